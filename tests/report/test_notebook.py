"""Objects in a notebook: well-formed tables in which whatever data say is text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

import unlearnkit
from unlearnkit.notebook import SHOWN, facts, table
from unlearnkit.store import Store

from .conftest import HOSTILE, Lab

EVIL = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "<!--",
    "</td></table>",
    "&lt;",
    "\u202etxt",
    "\x1b[31m",
]


class Reader(HTMLParser):
    """Tags, attributes and the cells' texts, as a browser would read them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[Any] = []
        self.cells: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs
        self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_in_a_cell_is_markup(evil: str):
    read = Reader(table(evil, [{evil: evil}]))
    assert set(read.tags) <= TAGS and read.attributes == []
    shown = evil.replace("\u202e", "\\u202e").replace("\x1b", "\\u001b")
    assert read.cells.count(shown) == 3


def test_many_rows_are_shown_at_both_ends():
    read = Reader(table("t", [{"n": i} for i in range(1000)]))
    numbers = [int(cell) for cell in read.cells if cell.isdigit()]
    assert numbers == [*range(SHOWN // 2), *range(1000 - SHOWN // 2, 1000)] and "⋮" in read.cells
    assert len([cell for cell in Reader(facts("t", {"a": None, "b": 0.12345})).cells if cell in ("–", "0.1235")]) == 2


def test_runs_and_reports_show_what_they_are(lab: Lab, retain_file: Any):
    data = {"forget": lab.forget, "retain": retain_file}
    with Store.open(lab.store, readonly=True) as store:
        run = store.run(lab.unlearned["mrd"])
    runs = lab.evaluated["before"], lab.evaluated["mrd"]
    shown = {
        run.id: run,
        lab.scored: unlearnkit.score(lab.model, lab.forget, store=lab.store),
        lab.evaluated["before"]: unlearnkit.evaluate(lab.model, data, store=lab.store, max_new_tokens=4),
        lab.evaluated["mrd"]: unlearnkit.compare(*runs, store=lab.store),
        lab.unlearned["uniform"]: unlearnkit.resume(lab.unlearned["uniform"], store=lab.store),
    }
    for identity, of in shown.items():
        html = of._repr_html_()
        read = Reader(html)
        assert set(read.tags) <= TAGS and identity in read.cells[read.tags.index("caption")]
        assert not any(c in html for c in HOSTILE if c in "\x1b\x07\u202e")
    assert any("[bold]b" in cell for cell in Reader(shown[lab.scored]._repr_html_()).cells)
