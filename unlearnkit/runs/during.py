"""Looking at a model while it trains: NLLs of its samples, and evaluations by a suite, at the steps where they are due.

A look changes no bit of training. What it finds is in the store, NLLs as probes and evaluations as runs under the
fingerprint of the weights, so that a run that goes on looks at nothing again, nor does another with the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unlearnkit.errors import UnlearnkitError
from unlearnkit.models import live_fingerprint
from unlearnkit.runs.adapters import measurable
from unlearnkit.runs.conditions import NLLS, Goals, Verdict
from unlearnkit.runs.evaluate import report_of, run_task
from unlearnkit.runs.watching import Evaluation
from unlearnkit.runs.weights import Weights, writer
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import records

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from unlearnkit.training.loop import Trainer
    from unlearnkit.training.probes import Probes

RETAINED = 64
"""Retain samples whose NLL is looked at, at most."""


@dataclass
class Watch:
    """Looks at what a trainer trains and says what that comes to. `retain` are the ids of the retain set, row by row.

    Args:
        evaluations: eval runs of the looks so far, by optimiser steps.
    """

    place: Workplace
    run: records.Run
    trainer: Trainer
    goals: Goals = field(default_factory=Goals)
    evaluation: Evaluation | None = None
    retain: Sequence[str] = ()
    evaluations: dict[int, str] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    looks: dict[int, dict[str, float | None]] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether training is over by what was found."""
        return self.verdict.ended is not None

    def look(self, *, ends: bool = False) -> None:
        """Look at the weights as they are, where that is due, as it is at an end.

        Raises:
            UnlearnkitError: code `condition`, where what is to be kept is lost before the first step.
        """
        trainer = self.trainer
        ends = ends or trainer.done == trainer.plan.steps
        trainer.probe(ends=ends)
        self._note(self._nlls(trainer.done))
        if self._due(ends):
            self._note(self._evaluate())
        if self.ended and self.verdict.step is None and self.goals.keep:
            raise UnlearnkitError(
                f"before the first step, --{self.verdict.ended} is not so", hint="NUMBERx measures by the start",
                code="condition",
            )  # fmt: skip

    def restore(self, evaluations: Mapping[int, str]) -> None:
        """Know what a run knew that had made these evaluations, once the trainer is where it was."""
        self.evaluations = dict(evaluations)
        if self._probes is not None:
            for updates in self._probes.sweeps:
                self._note(self._nlls(updates, again=False), updates)
        for step, run in evaluations.items():
            assert self.evaluation is not None, "evaluations are part of a run's identity"
            self._note(report_of(self.place, self.evaluation.task, run, "").values, step)

    def _note(self, values: Mapping[str, float | None], step: int | None = None) -> None:
        if values:
            self.looks.setdefault(self.trainer.done if step is None else step, {}).update(values)
            self.verdict = self.goals.judge(self.looks)

    def _due(self, ends: bool) -> bool:
        done = self.trainer.done
        if self.evaluation is None or done in self.evaluations:
            return False
        return ends or self.ended or done % self.evaluation.every == 0

    # ------------------------------------------------------------------------------------------------------ looking

    @property
    def _probes(self) -> Probes | None:
        return self.trainer.probes

    def _nlls(self, updates: int, *, again: bool = True) -> dict[str, float | None]:
        """What goals say of NLLs at a sweep, empty where there was none. Retain samples are looked at where they have
        not been, unless that was `again` ruled out."""
        probes, wanted = self._probes, NLLS.keys() & set(self.goals.names)
        if probes is None or not wanted or (forget := probes.swept_at(updates, dict.fromkeys(probes.samples))) is None:
            return {}
        found = {"forget.nll": _mean(forget), "forget.min_nll": _lowest(forget)}
        if "retain.nll" in wanted:
            rows = spread(self.retain, RETAINED)
            if again:
                unseen = [row for row, sample in rows.items() if probes.swept_at(updates, [sample]) is None]
                probes.look(updates, {rows[row]: nll for row, nll in self.trainer.sweep("retain", unseen)})
            retain = probes.swept_at(updates, rows.values())
            if retain is not None:
                found["retain.nll"] = _mean(retain)
        return {name: value for name, value in found.items() if name in wanted}

    def _evaluate(self) -> dict[str, float | None]:
        """Every number of the suite under the weights as they are."""
        place, trainer, evaluation = self.place, self.trainer, self.evaluation
        assert evaluation is not None
        model, source, asked = trainer.plain(), evaluation.task.inputs.model, evaluation.asked
        # What is measured is stored: a signal need not wait for the end.
        with as_found(model), measurable(model, trainer.adapter), place.stop.holding(False):
            if trainer.done == 0 and trainer.plan.precision != "bf16":  # the folder's weights, found by its readers
                weights, parent = Weights(source.fingerprint, source.label, lambda: model), writer(place, source)
            else:
                label = f"{self.run.method} after {trainer.done} steps"
                known = live_fingerprint(model, evaluation.task.inputs.tokenizer)
                weights, parent, asked = Weights(known, label, lambda: model, unwritten=True), self.run.id, {}
            found = run_task(place, evaluation.task, weights, asked, parent=parent, step=trainer.done)
        self.evaluations[trainer.done] = found.run
        return found.values


def spread(samples: Sequence[str], most: int) -> dict[int, str]:
    """At most so many of a set's samples, evenly over it, each by its first row."""
    unique = list({sample: row for row, sample in reversed(list(enumerate(samples)))}.values())[::-1]
    n = min(most, len(unique))
    return {row: samples[row] for row in (unique[i * len(unique) // n] for i in range(n))}


@contextmanager
def as_found(model: PreTrainedModel) -> Iterator[None]:
    """Afterwards each module is in the mode that it was in, and the model generates as it did."""
    modes: dict[nn.Module, bool] = {module: module.training for module in model.modules()}
    generation = model.generation_config
    try:
        yield
    finally:
        model.generation_config = generation
        for module, training in modes.items():
            module.training = training


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean, None where a value does not exist."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if len(there) == len(values) else None


def _lowest(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return min(there) if len(there) == len(values) else None
