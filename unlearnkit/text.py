"""Text from data and models is untrusted: it may hold escape sequences that a terminal obeys. And counts in words."""

from __future__ import annotations

import unicodedata


def clean(text: str) -> str:
    """The text with control and direction-changing characters shown as escapes, on one line."""
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else f"\\u{ord(c):04x}" for c in text)


def inert(cell: str) -> str:
    """A text as a cell of a file that spreadsheets open: they run what begins like a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def counted(n: int, thing: str) -> str:
    """So many of a thing, in English: "1 piece", "2 pieces"."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
