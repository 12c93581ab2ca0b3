"""What long work tells whoever watches. The command line draws bars; the Python API is silent unless given one."""

from __future__ import annotations


class Progress:
    """Silent. Subclass to show something."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """A stretch of work begins: `total` pieces, `done` of them already in the store."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """`n` more pieces are done; `note` is the state of things in a few words."""

    def finish(self) -> None:
        """The stretch is over."""

    def say(self, text: str) -> None:
        """Something worth knowing."""

    def warn(self, text: str) -> None:
        """Something that may make a number mean less than it seems."""


SILENT = Progress()
