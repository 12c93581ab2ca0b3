"""The notebook runs, and what it shows in the repository is what it showed when it ran."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.ipynb"


@pytest.fixture
def maker() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "gen" / "tutorial.py"))


def code(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def kinds(cell: nbformat.NotebookNode) -> set[str]:
    return {kind for out in cell.outputs for kind in out.get("data", {})}


@pytest.mark.slow
def test_the_notebook_runs(maker: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    ran, shown = maker["tidied"](maker["run"]()), nbformat.read(PAGE, as_version=4)
    assert [cell.source for cell in ran.cells] == [cell.source for cell in shown.cells]
    assert [kinds(cell) for cell in code(ran)] == [kinds(cell) for cell in code(shown)]
    assert "image/svg+xml" in kinds(code(ran)[-1])


def test_what_it_shows_is_in_order_and_of_no_machine():
    book = nbformat.read(PAGE, as_version=4)
    nbformat.validate(book)
    assert [cell.execution_count for cell in code(book)] == list(range(1, len(code(book)) + 1))
    assert all(cell.outputs for cell in code(book)[1:])
    assert not {out.output_type for cell in code(book) for out in cell.outputs} & {"error", "stream"}
    assert re.findall(r"/(?:home|root|work|tmp|usr)/\S*", PAGE.read_text(encoding="utf-8")) == []


def test_warnings_and_folders_are_left_out(maker: dict[str, Any]):
    new = nbformat.v4
    html = {"text/plain": "Run('/tmp/tmpab1/full')", "text/html": "<td>/tmp/tmpab1/full</td>"}
    outputs = [new.new_output("stream", name="stderr", text="warning"), new.new_output("execute_result", data=html)]
    book = new.new_notebook(cells=[new.new_code_cell("x", outputs=outputs), new.new_markdown_cell("y")])
    (left,) = maker["tidied"](book).cells[0].outputs
    assert left.data == {"text/html": "<td>full</td>"}
