"""`report --assert`: whether the numbers of evaluations are as they should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput, NotFound

if TYPE_CHECKING:
    from unlearnkit.report.collect import Evaluated
    from unlearnkit.runs.conditions import Condition


@dataclass(frozen=True)
class Clause:
    """A condition on one evaluation. A value that does not exist has missed it, and has a reason."""

    run: str
    label: str
    condition: Condition
    value: float | None
    reason: str | None

    @property
    def met(self) -> bool:
        return self.condition.holds(self.value, None)

    def json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "condition": str(self.condition),
            "value": self.value,
            "reason": self.reason,
            "met": self.met,
        }


def asserted(evaluated: Sequence[Evaluated], conditions: Sequence[Condition]) -> list[Clause]:
    """Every condition on every evaluation.

    Raises:
        NotFound: code `evaluations`, where there is none. BadInput: code `condition`, for a name that none has.
    """
    if not evaluated:
        raise NotFound("--assert: there is no evaluation to look at", hint="unlearnkit eval MODEL", code="evaluations")
    known = dict.fromkeys(name for e in evaluated for name in e.values)
    for condition in conditions:
        if condition.name not in known:
            close = get_close_matches(condition.name, known, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"there are: {', '.join(known)}"
            raise BadInput(f'--assert: there is no number "{condition.name}"', hint=hint, code="condition")
    return [_clause(e, condition) for e in evaluated for condition in conditions]


def _clause(e: Evaluated, condition: Condition) -> Clause:
    value = e.values.get(condition.name)
    return Clause(e.run.id, e.label, condition, value, None if value is not None else _reason(e, condition.name))


def _reason(e: Evaluated, name: str) -> str:
    """Why a number has no value, in a stable word."""
    if name in e.figures:
        return e.figures[name].reason or "undefined"
    return next((row.reason for row in e.aggregates if row.name == name and row.reason), "not_evaluated")
