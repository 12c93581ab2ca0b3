"""`sweep`: every combination of some choices, each an ordinary unlearning run and an evaluation of what it wrote.

What the store holds is read and a run that was interrupted goes on, so a sweep that was killed goes on when it is asked
for again, and a wider one costs what is new in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from statistics import fmean, stdev
from typing import Any

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import Interrupted, UnlearnkitError
from unlearnkit.runs.axes import Axes, Choice
from unlearnkit.runs.dry import Total, sweeping
from unlearnkit.runs.evaluate import (
    checked_suite,
    evaluate,
    held_against,
    made_first,
    named_reference,
    of_suite,
    weights_of,
)
from unlearnkit.runs.evaluate import prepared as evaluate_prepared
from unlearnkit.runs.reference import warn_if_seen
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.unlearn import prepared, unlearn
from unlearnkit.runs.workplace import Workplace, silent


@dataclass(frozen=True)
class Outcome:
    """What came of one run: `state` is its status, "lacking" where there is none yet, or "not evaluated"; `reason` says
    why it is not complete. `steps` are those that it takes at most, until it has taken them. `values` are the numbers
    of its evaluation, None where undefined."""

    choice: Choice
    seed: int
    lr: float
    state: str
    model: str = ""
    """Fingerprint of the one that it starts from."""
    run: str | None = None
    evaluation: str | None = None
    steps: int | None = None
    seconds: float | None = None
    values: Mapping[str, float | None] = field(default_factory=dict)
    reason: str | None = None

    def json(self) -> dict[str, Any]:
        """The outcome as data, its numbers beside the rest."""
        own = {name: value for name, value in vars(self).items() if name not in ("choice", "lr", "model", "values")}
        return {**_json(self.choice, self.lr), **own, **self.values}


@dataclass(frozen=True)
class Mean:
    """A number over seeds: its mean, and its standard deviation where there are two."""

    value: float
    deviation: float | None
    n: int


@dataclass(frozen=True)
class Averaged:
    """The complete runs of a choice, over seeds. What is undefined in all of them is absent from `values`."""

    choice: Choice
    lr: float
    seeds: Sequence[int]
    values: Mapping[str, Mean]
    """With `steps` and `seconds`."""

    def json(self) -> dict[str, Any]:
        """The averages as data."""
        return {
            **_json(self.choice, self.lr),
            "seeds": list(self.seeds),
            "values": {name: {"mean": m.value, "sd": m.deviation, "n": m.n} for name, m in self.values.items()},
        }


def _json(choice: Choice, lr: float) -> dict[str, Any]:
    """A combination as data, with the rate that it comes to."""
    own = {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(choice).items()}
    return {"plugin": own.pop("algorithm"), **own, "lr": lr}


@dataclass(frozen=True)
class SweepReport:
    """Every run's outcome, combination by combination; of a dry run also what those that are left take."""

    outcomes: Sequence[Outcome]
    plan: Total | None = None

    @property
    def averages(self) -> list[Averaged]:
        """One for each choice that a run of is complete."""
        groups: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            if outcome.state == "complete":
                groups.setdefault(outcome.choice.label, []).append(outcome)
        return [_averaged(group) for group in groups.values()]

    @property
    def incomplete(self) -> list[Outcome]:
        """Runs that did not come to an end."""
        return [outcome for outcome in self.outcomes if outcome.state != "complete"]

    def json(self) -> dict[str, Any]:
        """The sweep as data."""
        return {
            "combinations": [a.json() for a in self.averages],
            "runs": [o.json() for o in self.outcomes],
            "plan": None if self.plan is None else self.plan.json(),
        }


def sweep(
    place: Workplace,
    *,
    axes: Axes,
    model: str,
    forget: DataSpec,
    retain: DataSpec | None = None,
    schedule: Schedule | None = None,
    suite_name: str = "tofu",
    eval_data: Mapping[str, DataSpec] | None = None,
    max_new_tokens: int | None = None,
    eval_every: int | None = None,
    reference: str | None = None,
    template: str = "auto",
    system_prompt: str | None = None,
    dry_run: bool = False,
    **asked: Any,
) -> SweepReport:
    """Unlearn by every combination, evaluate each model, and say what came of it; a run that fails is an outcome.

    Args:
        schedule: what all runs share; its learning rate and seed are those of the combinations.
        suite_name, eval_data, max_new_tokens: of the evaluations, which also read `forget` and `retain`.
        reference: what `unlearn` says; a model is evaluated once, as those that are written are.
        dry_run: whether to say only what the store has.
        asked: further arguments of `unlearn`.

    Raises:
        UnlearnkitError: bad input of any combination, before a model is loaded or anything is written.
        Interrupted: a signal asked to stop.
    """
    own = {"forget": forget} if retain is None else {"forget": forget, "retain": retain}
    data = {**of_suite(place, suite_name, own), **(eval_data or {})}
    checked_suite(place, suite_name, data, max_new_tokens=max_new_tokens)
    reading: dict[str, Any] = {
        "suite_name": suite_name, "reference": named_reference(place, reference), "template": template,
        "system_prompt": system_prompt,
    }  # fmt: skip
    measured: dict[str, Any] = {"data": data, "max_new_tokens": max_new_tokens, **reading}
    alone = {**measured, "reference": None}
    on_the_way: dict[str, Any] = {"eval_every": eval_every, "eval_data": eval_data, "max_new_tokens": max_new_tokens}
    shared = {"model": model, "forget": forget, "retain": retain, **reading, **asked}
    shared |= {} if eval_every is None else on_the_way
    jobs = [
        Job(choice, seed, dict(**shared, **_of(choice, seed, schedule or Schedule())))
        for choice, seed in product(axes.choices(), axes.seeds)
    ]
    with silent(place):
        before = [_found(place, job) for job in jobs]
        # it stands for the models that will be written, whose reference it may be itself
        start = evaluate_prepared(place, model=model, **alone)
        against, first = held_against(place, **{**measured, "inputs": start.task.inputs})
        start = replace(start, task=replace(start.task, against=against), reference=first)
    lacking = [job for job, outcome in zip(jobs, before, strict=True) if outcome.state != "complete"]
    lost = sum(outcome.state == "diverged" for outcome in before)
    held, todo = len(jobs) - len(lacking), len(lacking) - lost
    told = f"{len(jobs)} runs: {held} in the store, {todo} to do"
    place.progress.say(f"{told}{f', {lost} diverged' if lost else ''}{_time(place, lacking, before)}")
    if dry_run:
        if reference is not None:  # else each run tells of it
            theirs, inputs = weights_of(against, first), start.task.inputs
            warn_if_seen(place, reference, theirs, start.source.fingerprint, inputs.sets, begins=True)
        with silent(place):
            left = [job for job, o in zip(jobs, before, strict=True) if o.state not in ("complete", "diverged")]
            runs = [prepared(place, **job.asked) for job in left]
            plan = sweeping(place, runs, start)
        return SweepReport(before, plan)
    if start.reference is not None:
        made_first(place, start.reference)
    outcomes: list[Outcome] = []
    for number, job in enumerate(jobs, 1):
        place.progress.say(f"run {number} of {len(jobs)}: {job.choice.label}, seed {job.seed}")
        outcomes.append(_outcome(place, job, measured))
    return SweepReport(outcomes)


@dataclass(frozen=True)
class Job:
    """One run of a sweep: the arguments of `unlearn`."""

    choice: Choice
    seed: int
    asked: Mapping[str, Any]


def _of(choice: Choice, seed: int, schedule: Schedule) -> dict[str, Any]:
    plugins = {name: value for name, value in vars(choice).items() if name != "lr"}
    return {**plugins, "schedule": replace(schedule, lr=choice.lr, seed=seed)}


def _found(place: Workplace, job: Job) -> Outcome:
    """What the store has of a run. Checks the combination."""
    made = prepared(place, **job.asked)
    run = place.find("unlearn", made.draft.identity)
    known = Outcome(job.choice, job.seed, made.plan.lr, "lacking", model=made.draft.model, steps=made.plan.steps)
    if run is None:
        return known
    if run.state == "complete":
        known = replace(known, steps=run.summary["steps"], seconds=run.summary["seconds"])
    return replace(known, run=run.id, state=run.status, reason=run.error)


def _time(place: Workplace, lacking: Sequence[Job], found: Sequence[Outcome]) -> str:
    """How long training takes, by what steps of the same algorithm, or of any, took with this model."""
    if not lacking or "store" not in vars(place):
        return ""
    took: dict[str, list[tuple[float, int]]] = {}
    for run in place.reading().runs(kind="unlearn", state="complete", model=found[0].model):
        if run.summary["steps"]:
            took.setdefault(run.method, []).append((run.summary["seconds"], run.summary["steps"]))
    usual = [pair for pairs in took.values() for pair in pairs]
    if not usual:
        return ""
    todo = [outcome for outcome in found if outcome.state not in ("complete", "diverged")]
    seconds = sum((o.steps or 0) * _rate(took.get(o.choice.algorithm, usual)) for o in todo)
    return f"; about {seconds / 60:.1f} minutes of training, by what the store has of this model"


def _rate(took: Sequence[tuple[float, int]]) -> float:
    """Seconds a step."""
    return sum(seconds for seconds, _ in took) / sum(steps for _, steps in took)


def _outcome(place: Workplace, job: Job, measured: Mapping[str, Any]) -> Outcome:
    """Make or find the run and its evaluation."""
    try:
        trained = unlearn(place, **job.asked)
        report = evaluate(place, model=f"run:{trained.run}", **measured)
    except Interrupted as stop:
        raise Interrupted(f"{stop.message}; the same command goes on") from stop
    except Exception as error:  # of a plugin, or of a device: others may well do
        told = error.message if isinstance(error, UnlearnkitError) else f"{type(error).__name__}: {error}"
        place.progress.warn(f"{job.choice.label}, seed {job.seed}: {told}")
        with silent(place):
            now = _found(place, job)
        return replace(now, state="not evaluated" if now.state == "complete" else now.state, reason=now.reason or told)
    with silent(place):
        return replace(_found(place, job), evaluation=report.run, values=report.values)


def _averaged(group: Sequence[Outcome]) -> Averaged:
    rows = [{**o.values, "steps": o.steps, "seconds": o.seconds} for o in group]
    names = dict.fromkeys(name for row in rows for name in row)
    numbers = {name: [value for row in rows if (value := row.get(name)) is not None] for name in names}
    values = {
        name: Mean(fmean(some), stdev(some) if len(some) > 1 else None, len(some))
        for name, some in numbers.items()
        if some
    }
    return Averaged(group[0].choice, group[0].lr, [o.seed for o in group], values)
