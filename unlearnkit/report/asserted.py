"""`report --assert`: whether the numbers of evaluations are as they should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput, NotFound

if TYPE_CHECKING:
    from unlearnkit.report.collect import Evaluated, Findings
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


def asked_for(found: Findings) -> list[Evaluated]:
    """The evaluations of the model that was evaluated last, the newest last, where no run was named: an evaluation that
    others were held against was not asked for by itself."""
    own = [e for e in found.evaluated if e.run.id not in found.references] or found.evaluated
    newest_last = sorted(own, key=lambda e: e.run.beat)
    return [e for e in newest_last if e.run.model == newest_last[-1].run.model]


def asserted(evaluated: Sequence[Evaluated], conditions: Sequence[Condition], *, newest: bool = False) -> list[Clause]:
    """Every condition on those evaluations of each model that have its number, or on the `newest` of them alone. Where
    none has, it is missed by the last of the model that should have.

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
    by_model: dict[str, list[Evaluated]] = {}
    for e in evaluated:
        by_model.setdefault(e.run.model, []).append(e)
    return [
        _clause(e, condition)
        for of_model in by_model.values()
        for condition in conditions
        for e in _judged(of_model, condition.name)[-1 if newest else 0 :]
    ]


def _judged(of_model: Sequence[Evaluated], name: str) -> Sequence[Evaluated]:
    """Those of a model's evaluations that say something of a number: its value, or at least why there is none."""
    there = [e for e in of_model if e.values.get(name) is not None]
    return there or ([e for e in of_model if name in e.values] or of_model)[-1:]


def _clause(e: Evaluated, condition: Condition) -> Clause:
    value = e.values.get(condition.name)
    return Clause(e.run.id, e.label, condition, value, None if value is not None else _reason(e, condition.name))


def _reason(e: Evaluated, name: str) -> str:
    """Why a number has no value, in a stable word."""
    if name in e.figures:
        return e.figures[name].reason or "undefined"
    return next((row.reason for row in e.aggregates if row.name == name and row.reason), "not_evaluated")
