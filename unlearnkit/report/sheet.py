"""How a table looks: a title of its own, columns that know how they give way, numbers of a few characters.

A terminal has 80 columns. Ids and numbers keep theirs, labels end in "…" on one line, texts go on below. Whatever
stands in a cell is untrusted: it is shown, never obeyed.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Column, Table
from rich.text import Text

from unlearnkit.text import clean


def number(name: str) -> Column:
    """Right-aligned, never cut."""
    return Column(Text(name), justify="right", no_wrap=True)


def fixed(name: str) -> Column:
    """What will be copied or compared: never cut."""
    return Column(Text(name), no_wrap=True)


def label(name: str) -> Column:
    """On one line, shortened where there is no room."""
    return Column(Text(name), overflow="ellipsis")


def text(name: str) -> Column:
    """Whole, on as many lines as it takes."""
    return Column(Text(name), overflow="fold")


class Sheet:
    """A table under a title, and a line of explanation. Rich would fold both to the table's width."""

    def __init__(self, title: str, *columns: Column, note: str = "") -> None:
        self.title, self.note = title, note
        self._table = Table(
            *columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
        )

    def add(self, *cells: str) -> None:
        """A row. Of a label's cell, the line's end goes first."""
        columns = self._table.columns
        self._table.add_row(
            *(Text(clean(c), no_wrap=column.overflow == "ellipsis") for c, column in zip(cells, columns, strict=True))
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        del console, options
        if self.title:
            yield Text(clean(self.title), style="bold")
        if self.note:
            yield Text(clean(self.note))
        yield self._table
        if self.title:
            yield ""


def figure(value: float | None) -> str:
    """A metric's value or a loss; "–" where there is none."""
    if value is None:
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 100:
        return f"{value:.3f}"
    return f"{value:,.0f}" if 100 <= abs(value) < 1e5 else f"{value:.1e}"


def significant(value: float | None, digits: int = 3) -> str:
    """A value of any magnitude, in so many digits."""
    if value is None:
        return "–"
    return f"{value:#.{digits}g}".rstrip(".") if value == 0 or 1e-4 <= abs(value) < 1e5 else f"{value:.{digits - 1}e}"
