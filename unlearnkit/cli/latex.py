"""Rows as a LaTeX table, for a document that loads booktabs. Whatever stands in a cell is text, never a command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from unlearnkit.text import clean

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    **{c: f"\\{c}" for c in "{}$&#%_"},
    # Behind the end of a line these would be read as its options.
    "[": "{[}",
    "*": "{*}",
}
PAIRS = re.compile(r"([-',])(?=\1)")
"""Two of them in a row are set as another character: a dash, a quotation mark."""


def escape(text: str) -> str:
    """Text as LaTeX shows it again, character by character."""
    text = "".join(SPECIAL.get(c, c) for c in clean(text))
    return PAIRS.sub(r"\1{}", text)


def tabular(columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """A table with a head; columns of numbers are set to the right."""
    return "".join(f"{line}\n" for line in _lines(columns, rows, numeric))


def _lines(columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> Iterator[str]:
    yield r"% \usepackage{booktabs}"
    yield f"\\begin{{tabular}}{{{''.join('r' if of_numbers else 'l' for of_numbers in numeric)}}}"
    yield r"\toprule"
    yield _row(columns)
    yield r"\midrule"
    yield from map(_row, rows)
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(map(escape, cells))} \\\\"
