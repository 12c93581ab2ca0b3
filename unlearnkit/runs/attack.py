"""`attack`: does it stay forgotten? The forget samples are measured before, and again under every condition.

A condition's rows are stored as they are found, under a key of all that determines them, so a killed attack goes on:
what an attack does to the weights is done again, to the same bits, and what is known of it is not measured again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from unlearnkit import training
from unlearnkit.contracts import Algorithm, Attack, Condition, Metric, Need, Target
from unlearnkit.data.encode import Template, choose_template, encode, encode_samples
from unlearnkit.data.samples import DataSpec, SampleSet
from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.models import load_model
from unlearnkit.plugins import options_of
from unlearnkit.runs.attacked import SHOWN, SPLIT, Outcome, Point, as_json, attacked, curve, outcomes, split_of
from unlearnkit.runs.evaluate import (
    EvalTask,
    asked_of,
    check_numbers,
    eval_task,
    run_source,
)
from unlearnkit.runs.figures import metrics_of
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import Inputs, find_model, lasting, read_set, request
from unlearnkit.runs.reference import check_other, warn_if_seen
from unlearnkit.runs.target import ModelTarget
from unlearnkit.runs.weights import writer
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import BATCH_SIZE
from unlearnkit.store import new_id, records
from unlearnkit.suites import Split, Suite, Use

if TYPE_CHECKING:
    from unlearnkit.evaluating import Part


@dataclass(frozen=True)
class AttackReport:
    """What an attack found. `computed` and `from_store` count samples over all conditions; `reference` is the same
    attack's run on the model that it is held against."""

    run: str
    attack: str
    model: str
    options: Mapping[str, Any]
    reference: str | None
    computed: int
    from_store: int
    outcomes: Sequence[Outcome]
    curve: Sequence[Point]

    def json(self) -> dict[str, Any]:
        return as_json(self)


@dataclass(frozen=True)
class Prepared:
    """An attack, checked and not begun, and the same on what it is held against, under the name that was given."""

    own: Assault
    theirs: Assault | None = None
    reference: str | None = None


def attack(place: Workplace, **asked: Any) -> AttackReport:
    """Attack a model, computing only what the store does not hold, as `prepared` describes it.

    Raises:
        UnlearnkitError: what `prepared` does; `plugin-error`.
    """
    return carry_out(place, prepared(place, **asked))


def carry_out(place: Workplace, made: Prepared) -> AttackReport:
    """Find or begin the run, and before it that of the reference; measure what is missing, and report."""
    other, before = None, 0
    if made.theirs is not None:  # first, so that what was called for is what was done last
        place.progress.say(f"the same attack on {made.reference}, which the numbers are held against, comes first")
        other, before = _run(place, made.theirs, aside=True)
    run, computed = _run(place, made.own)
    return report_of(place, run, other, before + computed)


def prepared(
    place: Workplace,
    *,
    model: str,
    attack: str,
    data: Mapping[str, DataSpec],
    options: Mapping[str, Any] | None = None,
    metrics: Sequence[str] | None = None,
    reference: str | None = None,
    max_new_tokens: int | None = None,
    batch_size: int = BATCH_SIZE,
    template: str = "auto",
    system_prompt: str | None = None,
) -> Prepared:
    """An attack on a model.

    Args:
        model: folder, hub name, `gguf:FILE`, `run:ID`, or the id of a run that wrote a model.
        attack: the plugin's name.
        data: "forget", and those of the attack's other sets that there are data for.
        metrics: names of metrics; None for the attack's own.
        reference: a model that never saw the forget set, named as `model` is, or the run of its evaluation or attack.
            It goes through the same attack.

    Raises:
        UnlearnkitError: bad input, before a model is loaded or anything is written.
    """
    check_numbers(max_new_tokens, batch_size)
    plugin: Attack = place.plugins.build("attack", attack, options or {})
    chosen = _suite(place, attack, plugin, metrics)
    _check_sets(attack, plugin, data)
    sets = {role: read_set(place, spec) for role, spec in data.items()}
    against = None if reference is None else lasting(place, _source_of(place, reference))
    names = [use.name for use in chosen.splits[SPLIT].metrics]

    def assault(source_name: str, held_against: str | None) -> Assault:
        source = find_model(place, source_name)
        task = eval_task(
            place, chosen, metrics_of(place, chosen), source, data, sets,
            max_new_tokens=max_new_tokens, batch_size=batch_size, template=template, system_prompt=system_prompt,
        )  # fmt: skip
        asked = request(
            place, model=source_name, attack=attack, data=data, options=options_of(plugin), metrics=names,
            reference=held_against, max_new_tokens=max_new_tokens, batch_size=batch_size, template=template,
            system_prompt=system_prompt,
        )  # fmt: skip
        return Assault(attack, plugin, task, asked)

    own = assault(run_source(place, model), against)
    if reference is None or against is None:
        return Prepared(own)
    theirs = assault(against, None)
    weights = theirs.inputs.model.fingerprint, own.inputs.model.fingerprint
    check_other(reference, *weights)
    warn_if_seen(place, reference, *weights, own.inputs.sets)
    return Prepared(own, theirs, reference)


@dataclass(frozen=True)
class Assault:
    """An attack on one model: the plugin under its name, what is measured of which samples, and the request that it can
    be made again by."""

    name: str
    plugin: Attack
    task: EvalTask
    asked: Mapping[str, Any]

    @property
    def inputs(self) -> Inputs:
        return self.task.inputs

    @property
    def others(self) -> dict[str, SampleSet]:
        return {role: chosen for role, chosen in self.inputs.sets.items() if role != SPLIT}

    @property
    def shown(self) -> SampleSet | None:
        """The samples that the attack teaches, None where it teaches none."""
        forget = self.inputs.sets[SPLIT]
        taught = {s.id for s in self.plugin.shown(forget.samples, {r: c.samples for r, c in self.others.items()})}
        if not taught:
            return None
        samples = tuple(sample for sample in forget.samples if sample.id in taught)
        return SampleSet(f"{forget.label}, {len(samples)} shown", samples, {})

    def determines(self, place: Workplace) -> dict[str, Any]:
        """All that a condition depends on, besides its name, the metrics and the environment."""
        forget = self.inputs.sets[SPLIT]
        return {
            "attack": [*place.plugins.code("attack", self.name), options_of(self.plugin), training.VERSION],
            "model": self.inputs.model.fingerprint,
            "sets": {role: chosen.fingerprint for role, chosen in self.inputs.sets.items()},
            "questions": [sample.questions for sample in forget.samples],
        }

    def identity(self, place: Workplace) -> str:
        """What makes two attacks the same run."""
        return digest("attack", self.determines(place), self.task.determines(place), place.environment())

    def draft(self, place: Workplace) -> records.Run:
        now, inputs, shown = place.environment(), self.inputs, self.shown
        sets = {**inputs.sets, **({} if shown is None else {SHOWN: shown})}
        return records.Run(
            id=new_id(),
            kind="attack",
            identity=self.identity(place),
            state="created",
            method=self.name,
            model=inputs.model.fingerprint,
            datasets={role: chosen.fingerprint for role, chosen in sets.items()},
            config={
                "request": dict(self.asked),
                "suite": self.task.suite.json(),
                "template": inputs.template.kind,
                "asked": asked_of(inputs),
                "options": options_of(self.plugin),
                "attempts": self.plugin.attempts,
            },
            environment=now,
            argv=place.argv,
            parent=writer(place, inputs.model),
        )


def _suite(place: Workplace, name: str, plugin: Attack, metrics: Sequence[str] | None) -> Suite:
    """What is measured of the forget set.

    Raises:
        BadInput: no metric, one that does not say which way is better: then no condition is the worst; or none that
            sees the attack.
    """
    chosen = list(dict.fromkeys(plugin.metrics if metrics is None else metrics))
    if not chosen:
        raise BadInput("no metric to measure by", hint="--metrics probability,rouge", code="usage")
    suite = Suite("attack", {SPLIT: Split(tuple(Use(metric, metric) for metric in chosen))})
    for (_, metric), built in metrics_of(place, suite).items():
        if built.better(SPLIT) == "none":
            raise BadInput(
                f"metric {metric} has no better and no worse, so attack {name} could not tell what comes back",
                hint="--metrics probability,rouge", code="usage",
            )  # fmt: skip
    if not any(_concerned(built, plugin.reads) for built in metrics_of(place, suite).values()):
        raise _unseen(name, plugin, chosen)
    return suite


def _unseen(name: str, plugin: Attack, metrics: Iterable[str]) -> BadInput:
    return BadInput(
        f"attack {name} changes nothing that {', '.join(metrics)} would see",
        hint=f"--metrics {','.join(plugin.metrics)}", code="usage",
    )  # fmt: skip


def _check_sets(name: str, plugin: Attack, data: Mapping[str, DataSpec]) -> None:
    if SPLIT not in data:
        raise BadInput("nothing to attack without what was to be forgotten", hint="--forget DATA", code="usage")
    if unused := [role for role in data if role not in (SPLIT, *plugin.sets)]:
        raise BadInput(f"attack {name} reads no {unused[0]} set", hint=f"without --{unused[0]}", code="usage")


def _source_of(place: Workplace, reference: str) -> str:
    """The model that a reference means: of the run of an evaluation or attack, the one that it was about."""
    try:
        run = place.reading().run(reference, ("eval", "attack"))
    except (NotFound, BadInput):
        return run_source(place, reference)
    asked = run.config["request"]
    if "model" not in asked:
        raise BadInput(
            f"run {run.id} is of no model that could be attacked: another program's, or training's on its way",
            hint="--reference MODEL", code="reference",
        )  # fmt: skip
    return str(asked["model"])


def _run(place: Workplace, work: Assault, *, aside: bool = False) -> tuple[records.Run, int]:
    """Find or make an attack's run; it, complete, and the number of samples that went through the model.

    Args:
        aside: it is not what was called for, and so no run that is gone on with.
    """
    draft = work.draft(place)
    if not aside:
        place.check_same(draft)
    replace(work.inputs, sets={**work.inputs.sets, **({SHOWN: work.shown} if work.shown else {})}).record(place)
    run, _ = place.store.begin(draft)
    computed = 0
    if run.state != "complete":
        if work.shown is not None and len(work.shown.samples) == len(work.inputs.sets[SPLIT].samples):
            place.progress.warn(f"attack {work.name} teaches all forget samples: none is left to come back by itself")
        with place.working(run):
            names, computed = _measure(place, run, work)
            summary = {"label": work.inputs.model.label, "conditions": names}
            run = place.store.finish(run.id, "complete", summary=summary)
    return run, computed


def _measure(place: Workplace, run: records.Run, work: Assault) -> tuple[list[str], int]:
    """Measure what the store lacks before the attack and under every condition: the conditions' names, and the number
    of samples that went through the model."""
    from unlearnkit.checks import checked_condition
    from unlearnkit.evaluating import Evaluator, measure

    task, inputs = work.task, work.inputs

    def load() -> Evaluator:
        return Evaluator(load_model(inputs.model), inputs.tokenizer, task.batch_size, inputs.model.context)

    evaluator = cache(load)

    def measured(part: Part) -> int:
        return measure(
            place.store, run.id, part, evaluator, task.batch_size, place.progress, keep_text=place.settings.store_text
        )

    (before,) = task.parts(place, inputs.model.fingerprint)
    seen: list[str] = []
    names: list[str] = []
    computed = measured(before)
    templates = _templates(inputs)
    target = ModelTarget(
        load=lambda: evaluator().model,
        samples=before.samples,
        sets={role: chosen.samples for role, chosen in work.others.items()},
        templates=list(templates),
        encode=lambda samples: encode(inputs.tokenizer, inputs.template, [(s.prompt, s.answer) for s in samples]),
        pad=inputs.pad,
        rate=float(f"{Algorithm.rate / inputs.model.width:.2g}"),
    )
    ids = {sample.id for sample in before.samples}
    for given in _blamed(work, target):
        condition = checked_condition(work.name, given, seen, ids)
        seen.append(condition.name)
        metrics = {name: metric for name, metric in before.metrics.items() if _concerned(metric, condition.reads)}
        if not metrics:
            continue
        (part,) = task.parts(place, digest("attacked", work.determines(place), condition.name))
        part = replace(
            part,
            split=split_of(condition.name),
            samples=before.samples if condition.samples is None else condition.samples,
            template=part.template if condition.template is None else templates[condition.template],
            metrics=metrics,
            keys={name: part.keys[name] for name in metrics},
            choose=condition.choose,
        )
        computed += measured(_fitting(place, run, inputs, part))
        names.append(condition.name)
    if not names:
        raise _unseen(work.name, work.plugin, before.metrics)
    return names, computed


def _blamed(work: Assault, target: Target) -> Iterator[Condition]:
    """The attack's conditions; an exception of its own as one line that names it."""
    try:
        yield from work.plugin.conditions(target)
    except UnlearnkitError:
        raise
    except (Exception, SystemExit) as error:
        raise UnlearnkitError(
            f"attack {work.name} failed: {type(error).__name__}: {error}",
            hint="--debug shows where; the run can be resumed", code="plugin-error",
        ) from error  # fmt: skip


def _concerned(metric: Metric, reads: Collection[Need]) -> bool:
    """Whether a metric can see what a condition changes; all can, where that is not said."""
    return not reads or bool(set(metric.needs) & set(reads))


def _templates(inputs: Inputs) -> dict[str, Template]:
    """The other ways to put samples to a model, by name."""
    has_chat = bool(inputs.tokenizer.chat_template)
    names = ("chat", "plain", "verbatim") if has_chat else ("plain", "verbatim")
    made = {name: choose_template(name, None, has_chat=has_chat) for name in names}
    used = inputs.template_of(SPLIT).fingerprint
    return {name: template for name, template in made.items() if template.fingerprint != used}


def _fitting(place: Workplace, run: records.Run, inputs: Inputs, part: Part) -> Part:
    """A part less the samples that cannot be asked in this way, which get their reason as rows."""
    needs = {need for metric in part.metrics.values() for need in metric.needs}
    read = [replace(s, answer=text) for s in part.samples for text in s.others(needs)]
    _, faults = encode_samples(inputs.tokenizer, part.template, [*read, *part.samples], context=inputs.model.context)
    unfit = {s.id: faults[s.position][0].replace("-", "_") for s in part.samples if s.position in faults}
    rows = [records.Result(part.split, name, s, None, why) for name in part.metrics for s, why in unfit.items()]
    place.store.put_results(run.id, rows)
    return replace(part, samples=[s for s in part.samples if s.id not in unfit])


def report_of(place: Workplace, run: records.Run, against: records.Run | None, computed: int = 0) -> AttackReport:
    """A complete attack as a report; what came back is kept as numbers of the run."""
    found = attacked(place, run)
    theirs = None if against is None else attacked(place, against)
    told = outcomes(found, theirs)
    rows = [row for outcome in told for row in _numbers(outcome)]
    place.store.put_aggregates(run.id, rows)
    runs = [run] if against is None else [run, against]
    asked = {(r.id, row.split, row.sample) for r in runs for row in place.store.results(r.id)}
    return AttackReport(
        run=run.id,
        attack=run.method,
        model=str(run.summary["label"]),
        options=run.config["options"],
        reference=None if against is None else against.id,
        computed=computed,
        from_store=len(asked) - computed,
        outcomes=told,
        curve=curve(found, theirs),
    )


def _numbers(o: Outcome) -> Iterator[records.AggregateRow]:
    """An outcome as numbers over a run's samples."""
    of = o.metric if o.samples == "all" else f"{o.metric}.{o.samples}"
    yield records.AggregateRow(f"{of}.rise", o.rise, n=o.n, low=o.rise_low, high=o.rise_high)
    if o.returned is not None:
        yield records.AggregateRow(f"{of}.returned", o.returned, n=o.n)
    if o.excess is not None:
        against = records.AggregateRow(f"{of}.beyond", o.beyond, n=o.n, reference=o.reference)
        yield against
        yield replace(against, name=f"{of}.excess", value=o.excess, low=o.excess_low, high=o.excess_high)
