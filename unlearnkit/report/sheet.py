"""How a table looks: a title of its own, columns that know how they give way, numbers of a few characters.

A terminal has 80 columns. Ids and numbers keep theirs, labels end in "…" on one line, texts go on below, and a table
with more numbers than there is room for goes on as another below, with the same first columns. Whatever stands in a
cell is untrusted: it is shown, never obeyed. Colours only repeat what a word or a sign says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Column, Table
from rich.text import Text

from unlearnkit.report.spark import ASCII
from unlearnkit.text import clean

GAP = 2
"""Blanks between columns."""
LEAST = 12
"""Characters that a label or a text keeps where there is little room."""
TONES = {
    **dict.fromkeys(("complete", "yes", "ok", "passed"), "green"),
    **dict.fromkeys(("failed", "diverged", "NO", "FAILS"), "red"),
    **dict.fromkeys(("interrupted", "running", "created", "skipped"), "yellow"),
    "–": "dim",
}
"""Of words that a table is looked through for."""
PLAIN = str.maketrans({"…": "~", "–": "-", "−": "-", "↑": "^", "↓": "v", "·": ".", "≥": ">", "≤": "<", **ASCII})
"""For an output that takes ASCII alone: a character for a character, so that columns stay where they are."""


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


def drawn(name: str) -> Column:
    """Sparklines."""
    return Column(Text(name), no_wrap=True, style="cyan")


class Sheet:
    """A table under a title, and a line of explanation. Rich would fold both to the table's width."""

    def __init__(self, title: str, *columns: Column, note: str = "") -> None:
        self.title, self.note = title, note
        self._columns = columns
        self._rows: list[list[str]] = []

    def add(self, *cells: str) -> None:
        """A row. Of a label's cell, the line's end goes first."""
        self._rows.append([clean(cell) for _, cell in zip(self._columns, cells, strict=True)])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        del console
        signs = PLAIN if options.ascii_only else {}
        if self.title:
            yield Text(clean(self.title).translate(signs), style="bold")
        if self.note:
            yield Text(clean(self.note).translate(signs), style="dim")
        for i, some in enumerate(self._portions(options.max_width)):
            if i:
                yield ""
            yield self._table(some, signs)
        if self.title:
            yield ""

    def _table(self, some: Sequence[int], signs: dict[int, str]) -> Table:
        """Some of the columns."""
        columns = [self._columns[i].copy() for i in some]
        for column in columns:
            column.header = Text(str(column.header).translate(signs))
        table = Table(
            *columns, box=box.SIMPLE_HEAD, show_header=any(str(column.header) for column in columns), show_edge=False,
            pad_edge=False, padding=(0, 1, 0, 0), header_style="bold",
        )  # fmt: skip
        for row in self._rows:
            table.add_row(
                *(
                    Text(row[i].translate(signs), no_wrap=column.overflow == "ellipsis", style=TONES.get(row[i], ""))
                    for i, column in zip(some, columns, strict=True)
                )
            )
        return table

    def _portions(self, width: int) -> Iterator[list[int]]:
        """The columns of each table: the first ones, up to a number, in all of them."""
        needs = [self._need(i) + GAP for i in range(len(self._columns))]
        numbers = (i for i, column in enumerate(self._columns) if column.justify == "right")
        first = list(range(max(1, next(numbers, len(needs)))))
        some = list(first)
        for i in range(len(first), len(needs)):
            if len(some) > len(first) and sum(needs[j] for j in some) + needs[i] - GAP > width:
                yield some
                some = list(first)
            some.append(i)
        yield some

    def _need(self, i: int) -> int:
        """Characters that a column takes, at the least."""
        column = self._columns[i]
        lines = [*str(column.header).split("\n"), *(row[i] for row in self._rows)]
        widest = max(map(cell_len, lines))
        return widest if column.no_wrap else min(widest, LEAST)


def shorten(text: str, width: int) -> str:
    """One clean line that takes at most `width` columns of a terminal, where some characters take two."""
    line = clean(" ".join(text.split()))
    return line if cell_len(line) <= width else f"{set_cell_size(line, width - 1).rstrip()}…"


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
