"""Tables of a page: cells that show one thing and are sorted by another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from unlearnkit.report.sheet import figure


@dataclass(frozen=True)
class Cell:
    """`text` is shown, with `small` below it; `sort` is a number to order by, in place of the text. `href` is an anchor
    on the page, `whole` what the text was cut from."""

    text: str
    small: str = ""
    sort: float | None = None
    number: bool = False
    href: str = ""
    whole: str = ""
    good: bool | None = None
    """Met or missed, of a verdict."""
    prose: bool = False
    """Of a length that folds."""


@dataclass(frozen=True)
class Table:
    """Column heads and rows of as many cells each. Where `numbers` holds of a column it is right-aligned."""

    caption: str
    heads: Sequence[Cell]
    rows: Sequence[Sequence[Cell]] = field(default=())


def head(text: str, *, number: bool = False, small: str = "") -> Cell:
    return Cell(text, small, number=number)


def number(value: float | None, small: str = "", text: str | None = None) -> Cell:
    return Cell(figure(value) if text is None else text, small, value, number=True)


def interval(low: float | None, high: float | None, n: int | None) -> str:
    """A 95 % interval and the number of samples, as far as they are known."""
    told = [] if low is None or high is None else [f"{figure(low)} … {figure(high)}"]
    return " · ".join(told + ([] if n is None else [f"n {n}"]))
