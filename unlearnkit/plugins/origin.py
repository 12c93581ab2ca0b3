"""Where a plugin comes from, what it offers there, and why it could not be loaded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from unlearnkit.errors import UnlearnkitError


@dataclass(frozen=True)
class Offer:
    """A name of a kind and what stands behind it: a class, or the import string of one."""

    name: str
    kind: str
    target: str | type
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """Distribution and version, as in "unlearnkit 0.1.0"."""
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class Broken:
    """A plugin that is left out, and the cause in one line."""

    plugin: str
    distribution: str
    version: str
    cause: str

    def __str__(self) -> str:
        origin = f"{self.distribution} {self.version}".strip()
        return f'plugin "{self.plugin}"' + (f" ({origin})" if origin else "") + f" not loaded: {self.cause}"


def cause_of(error: BaseException) -> str:
    """An exception in one line: its text where that speaks for itself, else its type too."""
    text = " ".join(str(error).split())
    if isinstance(error, ImportError | UnlearnkitError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)
