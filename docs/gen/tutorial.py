"""Run docs/tutorial.ipynb and keep what it shows, less what is of the machine alone: `python docs/gen/tutorial.py`."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

PAGE = Path(__file__).parents[1] / "tutorial.ipynb"
FOLDER = re.compile(r"/[^\s'\"<>]*/tmp[a-z0-9_]+/")
"""The one that the notebook works in."""


def run(page: Path = PAGE) -> NotebookNode:
    """The notebook after all of its cells.

    Raises:
        CellExecutionError: one of them failed.
    """
    book = nbformat.read(page, as_version=4)
    NotebookClient(book, timeout=600, kernel_name="python3", record_timing=False).execute()
    return book


def tidied(book: NotebookNode) -> NotebookNode:
    """Without warnings, without texts that stand in for tables and pictures, without the folder's name."""
    for cell in book.cells:
        outputs = [out for out in cell.get("outputs", ()) if out.get("name") != "stderr"]
        for data in (out.data for out in outputs if "data" in out):
            shown = {kind: text for kind, text in data.items() if kind != "text/plain"} or data
            out_of_folder = {kind: FOLDER.sub("", text) for kind, text in shown.items()}
            data.clear()
            data.update(out_of_folder)
        if "outputs" in cell:
            cell.outputs = outputs
    return book


if __name__ == "__main__":
    nbformat.write(tidied(run()), PAGE)
