"""What a training run is asked to look at on its way, and what for, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import Aggregate, Direction
from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import BadInput
from unlearnkit.models import ModelSource
from unlearnkit.runs.conditions import NLLS, Best, Goals, check_name, parse
from unlearnkit.runs.evaluate import EvalTask, checked_suite, eval_task, held_against, of_suite, read_sets
from unlearnkit.runs.figures import metrics_of
from unlearnkit.runs.workplace import Workplace
from unlearnkit.suites import Suite, Use

if TYPE_CHECKING:
    from unlearnkit.runs.evaluate import Prepared


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated every so many optimiser steps, and at the start and the end; `asked` is the request by which
    the starting model's is made again, and `reference` the evaluation to be made before any, to hold them against."""

    every: int
    task: EvalTask
    asked: Mapping[str, Any]
    reference: Prepared | None = None

    def determines(self, place: Workplace) -> dict[str, Any]:
        """What the evaluations depend on besides the weights."""
        against = self.task.against
        return {"every": self.every, "reference": against and against.id, **self.task.determines(place)}


@dataclass(frozen=True)
class Watching:
    """What is asked for; `unlearn` describes the fields of the same names."""

    until: Sequence[str] = ()
    keep: Sequence[str] = ()
    best: str | None = None
    eval_every: int | None = None
    suite_name: str = "tofu"
    eval_data: Mapping[str, DataSpec] = field(default_factory=dict)
    max_new_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.eval_every is not None and self.eval_every < 1:
            raise BadInput(f"--eval-every must be a whole number ≥ 1, got {self.eval_every}", code="value")
        if self.eval_every is None and (self.eval_data or self.max_new_tokens is not None):
            said = "--eval-data" if self.eval_data else "--max-new-tokens"
            raise BadInput(f"{said} is for evaluations during training", hint="--eval-every STEPS", code="usage")

    def data(self, place: Workplace, forget: DataSpec, retain: DataSpec | None) -> dict[str, DataSpec]:
        """What evaluations read: the run's own sets, where no others are named."""
        if self.eval_every is None:
            return {}
        own = {"forget": forget} if retain is None else {"forget": forget, "retain": retain}
        data = {**of_suite(place, self.suite_name, own), **self.eval_data}
        checked_suite(place, self.suite_name, data, max_new_tokens=self.max_new_tokens)
        return data

    def goals(self, place: Workplace, splits: Iterable[str], *, retain: bool, reference: str | None) -> Goals:
        """What `until`, `keep` and `best` mean in a run that evaluates some splits.

        Raises:
            BadInput: code `condition`, for what cannot be read, a name that nothing has, and a value that could never
                be there or that has no better or worse.
        """
        until = [parse("--until", text) for text in self.until]
        keep = [parse("--keep", text) for text in self.keep]
        flags = [("--until", c.name) for c in until] + [("--keep", c.name) for c in keep]
        flags += [] if self.best is None else [("--best", self.best)]
        whole = place.suite(self.suite_name)
        chosen = whole.only(*splits)
        evaluated = _directions(place, whole)
        better: dict[str, Direction] = {**NLLS, **(_directions(place, chosen) if chosen.splits else {})}
        aggregates = {use.name: use for use in chosen.aggregates}
        for flag, name in flags:
            if name == "retain.nll" and not retain:
                raise BadInput(f"{flag} {name} needs a retain set", hint="--retain DATA", code="condition")
            check_name(flag, name, better, evaluated, evaluating=bool(chosen.splits))
            if name in aggregates and reference is None and _aggregate(place, aggregates[name]).needs_reference:
                raise BadInput(f"{flag} {name} needs a reference", hint="--reference RUN|MODEL", code="condition")
        if self.best is None:
            return Goals(until, keep)
        if better[self.best] == "none":
            raise BadInput(f"--best {self.best}: the metric does not say which way is better", code="condition")
        return Goals(until, keep, Best(self.best, higher=better[self.best] == "higher"))

    def evaluation(
        self, place: Workplace, model: str, source: ModelSource, data: Mapping[str, DataSpec], *,
        reference: str | None, template: str, system_prompt: str | None,
    ) -> Evaluation | None:  # fmt: skip
        """What is evaluated on the way, read and checked; None where nothing is.

        Raises:
            UnlearnkitError: what `evaluate` finds wrong with data and reference.
        """
        if self.eval_every is None:
            return None
        chosen = checked_suite(place, self.suite_name, data, max_new_tokens=self.max_new_tokens)
        sets = read_sets(place, chosen, data)
        task = eval_task(
            place, chosen, metrics_of(place, chosen), source, data, sets, max_new_tokens=self.max_new_tokens,
            template=template, system_prompt=system_prompt,
        )  # fmt: skip
        against, first = held_against(
            place, reference, task.inputs, data=data, suite_name=self.suite_name, max_new_tokens=self.max_new_tokens,
            template=template, system_prompt=system_prompt,
        )  # fmt: skip
        task = replace(task, against=against)
        samples = sum(len(of.samples) for of in task.inputs.sets.values())
        place.progress.say(f"evaluated by {chosen.name} every {self.eval_every} steps, on {samples} samples")
        asked = task.request(place, model=model, data=data, template=template, system_prompt=system_prompt)
        return Evaluation(self.eval_every, task, asked, first)

    def request(self) -> dict[str, Any]:
        """What was asked for and is not the default, as arguments of `unlearn`."""
        usual = Watching()
        return {name: value for name, value in vars(self).items() if value != getattr(usual, name)}


def _directions(place: Workplace, chosen: Suite) -> dict[str, Direction]:
    """Which way each number of an evaluation is better, by name."""
    found = {f"{split}.{name}": metric.better(split) for (split, name), metric in metrics_of(place, chosen).items()}
    return {**found, **{use.name: _aggregate(place, use).direction for use in chosen.aggregates}}


def _aggregate(place: Workplace, use: Use) -> Aggregate:
    return place.plugins.build("aggregate", use.plugin, use.options)  # type: ignore[no-any-return]
