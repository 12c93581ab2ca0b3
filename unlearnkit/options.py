"""How a plugin declares an option: a dataclass field that also carries its help and its bounds.

    @dataclass(frozen=True)
    class NPO(Algorithm):
        beta: float = option(0.1, "inverse temperature; small values stop earlier", gt=0)

A bare default (`beta: float = 0.1`) is an option too; this adds what a command line shows and checks.
Without bounds a number must still be finite. Several choices are a `Literal` type, not a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

T = TypeVar("T")

_METADATA = "unlearnkit.option"


@dataclass(frozen=True)
class About:
    """What `option` says of a field beyond its type and default."""

    help: str = ""
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    metric: bool = False
    """Whether the value, or each of several, is the name that a metric has in the suite."""

    def refuses(self, number: float) -> bool:
        """Whether a number is out of bounds."""
        return (
            (self.gt is not None and not number > self.gt)
            or (self.ge is not None and not number >= self.ge)
            or (self.lt is not None and not number < self.lt)
            or (self.le is not None and not number <= self.le)
        )

    def __str__(self) -> str:
        """The bounds in words: "> 0 and ≤ 1", empty where there are none."""
        bounds = ((">", self.gt), ("≥", self.ge), ("<", self.lt), ("≤", self.le))
        return " and ".join(f"{sign} {_plain(bound)}" for sign, bound in bounds if bound is not None)


def _plain(number: float) -> str:
    """A bound as it may be typed: 1000000 for a whole number, not 1e+06, which whole numbers may not be."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def option(
    default: T,
    help: str,  # noqa: A002 - the word that every command line uses
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    metric: bool = False,
) -> T:
    """A dataclass field with a default, one line of help, and bounds that its value must keep.

    An aggregate's option that is a `metric` names one of the suite, or several: a suite that gives it another is
    refused before anything is loaded."""
    return field(default=default, metadata={_METADATA: About(help, gt, ge, lt, le, metric)})


def about(metadata: Mapping[str, object]) -> About:
    """What a field's `metadata` says of it as an option."""
    return cast(About, metadata.get(_METADATA, About()))
