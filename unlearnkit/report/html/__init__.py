"""`report --html`, `--png` and `--svg`: what a report says as a page of its own, and its charts as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.report.subject import subject
from unlearnkit.report.written import check_file, check_folder, write_files

if TYPE_CHECKING:
    from unlearnkit.report.asserted import Clause
    from unlearnkit.report.collect import Findings
    from unlearnkit.runs.workplace import Workplace


NEWEST = 24
"""Runs of each kind that a page is about where none is named: one that scrolls for hours is not read."""


@dataclass(frozen=True)
class Wanted:
    """Where a report goes: a page, folders of charts; None for what is not wanted. `text` shows samples' texts on the
    page, of what the store holds; `force` replaces files that are there."""

    html: Path | None = None
    png: Path | None = None
    svg: Path | None = None
    text: bool = False
    force: bool = False

    @property
    def any(self) -> bool:
        return any((self.html, self.png, self.svg))

    def check(self) -> None:
        """See that the page and the folders can be written, before any work; which charts there are, the store says.

        Raises:
            BadInput: codes `exists`, `value`; UnlearnkitError: code `write`.
        """
        if self.html is not None:
            check_file(self.html, force=self.force)
        for folder in filter(None, (self.png, self.svg)):
            check_folder(folder)


def write(
    place: Workplace, found: Findings, refs: Sequence[str], wanted: Wanted, clauses: Sequence[Clause] = ()
) -> list[Path]:
    """Write what is wanted of the findings about some runs, or about all of the store. Returns the files' paths.

    Raises:
        BadInput: codes `exists`, `value`, before any is drawn; UnlearnkitError: code `write`.
    """
    from unlearnkit.report.charts import charts
    from unlearnkit.report.charts.files import images
    from unlearnkit.report.html.page import page

    about = subject(place, found, refs)
    drawn = charts(about)
    files: list[tuple[Path, Callable[[], bytes]]] = []
    if wanted.html is not None:
        files.append((wanted.html, lambda: page(about, drawn, clauses, text=wanted.text).encode()))
    if wanted.png is not None:
        files += [(wanted.png / name, content) for name, content in images(drawn, "png")]
    if wanted.svg is not None:
        files += [(wanted.svg / name, content) for name, content in images(drawn, "svg")]
    return write_files(files, force=wanted.force)
