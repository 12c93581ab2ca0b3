"""What a training run is to reach, to keep and to end as: `--until`, `--keep` and `--best`.

All three speak of values by name, which a run looks at now and then. Whether training has ended and which step's
weights are the model is a function of those looks alone, so that a run that goes on ends as an undisturbed one does.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from unlearnkit.errors import BadInput
from unlearnkit.options import About
from unlearnkit.plugins.values import convert

Looks = Mapping[int, Mapping[str, float | None]]
"""{optimiser steps: {name: value}}; a value that was not looked at is absent, one that does not exist is None."""

NLLS: Mapping[str, Literal["higher", "lower"]] = {
    "forget.nll": "higher",
    "forget.min_nll": "higher",
    "retain.nll": "lower",
}
"""Values that need no evaluation, and which way they are better: nats per label token, the mean over samples or the
lowest of any."""

_COMPARED = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_GRAMMAR = re.compile(r"\s*(?P<name>[^\s<>=]+)\s*(?P<op>[<>]=?)\s*(?P<number>[^\s<>=]+?)\s*(?P<times>x?)\s*")


@dataclass(frozen=True)
class Condition:
    """`NAME OP NUMBER`, or `NAME OP NUMBERx`: so many times the value before the first step."""

    name: str
    op: str
    number: float
    relative: bool = False

    def __str__(self) -> str:
        return f"{self.name}{self.op}{self.number:g}{'x' if self.relative else ''}"

    def holds(self, value: float | None, start: float | None) -> bool:
        """Whether it holds; never for a value, or a start that it is measured by, that does not exist."""
        bound = self.number
        if self.relative:
            if start is None:
                return False
            bound *= start
        return value is not None and bool(_COMPARED[self.op](value, bound))


_AND = re.compile(r"\s+and\s+")


def parse_all(flag: str, text: str) -> list[Condition]:
    """Conditions joined by `and`, from what was typed after `flag`; of values as they are, as there is no start.

    Raises:
        BadInput: code `condition`.
    """
    found = [parse(flag, part, _ABSOLUTE) for part in _AND.split(text.strip())]
    if relative := next((condition for condition in found if condition.relative), None):
        raise BadInput(
            f'{flag} "{relative}": there is no start that a value could be so many times of',
            hint="a number without the x",
            code="condition",
        )
    return found


_RELATIVE = "such as 'forget.nll>=3', or 'retain.nll<=1.2x' for 1.2 times what it was at first"
_ABSOLUTE = "such as 'model_utility>=0.5', or 'model_utility>=0.5 and forget.probability<=0.1' for both"


def parse(flag: str, text: str, examples: str = _RELATIVE) -> Condition:
    """A condition from what was typed after `flag`; with `examples` of what may be.

    Raises:
        BadInput: code `condition`.
    """
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise BadInput(
            f'{flag} takes NAME>=NUMBER (or <=, >, <), got "{text}"',
            hint=examples,
            code="condition",
        )
    try:
        number = convert(found["number"], float, About())
    except ValueError as error:
        raise BadInput(f'{flag} "{text}": {error}', hint=examples, code="condition") from None
    assert isinstance(number, float)
    return Condition(found["name"], found["op"], number, found["times"] == "x")


@dataclass(frozen=True)
class Best:
    """The value that the model is to be best by."""

    name: str
    higher: bool

    def choose(self, looks: Looks) -> int | None:
        """The first of the steps with the best value; None where it exists at none."""
        values = {step: value for step, of in sorted(looks.items()) if (value := of.get(self.name)) is not None}
        return (max if self.higher else min)(values, key=lambda step: values[step], default=None)


@dataclass(frozen=True)
class Verdict:
    """What looks come to. `ended` is the condition that ended training, with its value; `step` is the one whose weights
    are the model, None where those are the last ones."""

    ended: str | None = None
    step: int | None = None


@dataclass(frozen=True)
class Goals:
    """What a run was asked for. Any `until` that holds ends it, and so does any `keep` that does not."""

    until: Sequence[Condition] = ()
    keep: Sequence[Condition] = ()
    best: Best | None = None

    @property
    def names(self) -> list[str]:
        """The values that it speaks of."""
        return [c.name for c in (*self.until, *self.keep)] + ([self.best.name] if self.best else [])

    def judge(self, looks: Looks) -> Verdict:
        """What to make of the looks so far. The model is the best of the steps that kept all, or else the last of
        them; the starting weights are the best of nothing."""
        start, kept, ended = looks.get(0, {}), [], None
        for step, values in sorted(looks.items()):
            lost = [c for c in self.keep if c.name in values and not c.holds(values[c.name], start.get(c.name))]
            reached = [c for c in self.until if c.name in values and c.holds(values[c.name], start.get(c.name))]
            if not lost and all(c.name in values for c in self.keep):
                kept.append(step)
            if lost or reached:
                said, first = ("keep", lost[0]) if lost else ("until", reached[0])
                ended = f"{said} {first}: {_shown(values[first.name])}"
                break
        best = self.best.choose({step: looks[step] for step in kept if step}) if self.best else None
        return Verdict(ended, best if best is not None else kept[-1] if self.keep and kept else None)


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def check_name(flag: str, name: str, known: Collection[str], evaluated: Collection[str], *, evaluating: bool) -> None:
    """See that a value is one that the run looks at; `evaluated` are those that a run which is `evaluating` can.

    Raises:
        BadInput: code `condition`.
    """
    if name in known:
        return
    if name in evaluated:
        said = f"{flag} {name} needs "
        if not evaluating:
            raise BadInput(f"{said}evaluations during training", hint="--eval-every STEPS", code="condition")
        split = name.partition(".")[0]
        raise BadInput(f"{said}data for {split}", hint=f"--eval-data {split}=DATA", code="condition")
    close = get_close_matches(name, [*known, *evaluated], n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"there are: {', '.join(known)}"
    raise BadInput(f'{flag}: there is no value "{name}"', hint=hint, code="condition")
