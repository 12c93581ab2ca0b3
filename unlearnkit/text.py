"""Text from data and models is untrusted: it may hold escape sequences that a terminal obeys. And counts in words."""

from __future__ import annotations

import unicodedata


def clean(text: str) -> str:
    """The text with control and direction-changing characters shown as escapes, on one line."""
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else f"\\u{ord(c):04x}" for c in text)


def counted(n: int, thing: str) -> str:
    """So many of a thing, in English: "1 piece", "2 pieces"."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def shorten(text: str, width: int) -> str:
    """One clean line of at most `width` characters."""
    line = clean(" ".join(text.split()))
    return line if len(line) <= width else line[: width - 1] + "…"
