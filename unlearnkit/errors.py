"""The one family of errors that the kit raises on purpose.

Each says what is wrong and where (`message`), what to do about it (`hint`) and a stable `code` for programs. The
command line catches the family once and makes two lines on stderr and an exit code of it; nothing else formats errors.
"""

from __future__ import annotations


class UnlearnkitError(Exception):
    """Something failed in a way that the user can understand and act on. Exit code 1."""

    exit_code = 1
    default_code = "failed"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code


class BadInput(UnlearnkitError):  # noqa: N818 - reads as what happened: `raise BadInput("--lr must be > 0")`
    """What was typed cannot be meant. Exit code 2."""

    exit_code = 2
    default_code = "usage"


class NotFound(UnlearnkitError):  # noqa: N818
    """A plugin, run, model or data set of that name does not exist. Exit code 3."""

    exit_code = 3
    default_code = "not-found"


class Interrupted(UnlearnkitError):  # noqa: N818
    """Stopped by a signal; what was done is kept and the run can go on. Exit code 130."""

    exit_code = 130
    default_code = "interrupted"
