"""How objects show themselves in a notebook: as a small table, in which everything is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from unlearnkit.text import clean

SHOWN = 20
"""Rows of a table; of more, those at both ends."""


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows under a title, as HTML. Names, labels and texts come from data: they are escaped, control characters too."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    half = SHOWN // 2
    gap = [dict.fromkeys(columns, "⋮")]
    some = rows if len(rows) <= SHOWN else [*rows[:half], *gap, *rows[-half:]]
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(row.get(c))}</td>' for c in columns)}</tr>" for row in some)
    return f"<table><caption>{_text(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts(title: str, values: Mapping[str, Any]) -> str:
    """Facts by name, as HTML."""
    return table(title, [{"": name, " ": value} for name, value in values.items()])


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return escape(clean(f"{value:.4g}" if isinstance(value, float) else str(value)))
