"""`eval`: every metric of a suite on every split there is data for, per sample; then the numbers over them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import Aggregate, Columns, Metric, Sample, Undefined, to_be_forgotten
from unlearnkit.data.layout import Layout
from unlearnkit.data.made import completed
from unlearnkit.data.samples import DataSpec, SampleSet
from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.metrics.intervals import estimate
from unlearnkit.models import load_model
from unlearnkit.notebook import table
from unlearnkit.plugins import options_of
from unlearnkit.runs.alike import alike
from unlearnkit.runs.figures import (
    Figure,
    Metrics,
    aggregate_json,
    aggregates_of,
    figure_json,
    figures_of,
    meaning_json,
    metrics_of,
)
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import MODEL_KINDS, Inputs, find_model, prepare, read_set, request
from unlearnkit.runs.reference import check_other, warn_if_seen
from unlearnkit.runs.weights import Weights, writer
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import BATCH_SIZE
from unlearnkit.store import new_id, records
from unlearnkit.suites import Suite, Use

if TYPE_CHECKING:
    from unlearnkit.evaluating import Part
    from unlearnkit.models import ModelSource
    from unlearnkit.runs.definitions import Meaning


@dataclass(frozen=True)
class Missing:
    """A split, a figure or a number over samples that an evaluation lacks, and why: a word that the report spells
    out."""

    name: str
    reason: str


@dataclass(frozen=True)
class EvalReport:
    """What an evaluation found. `computed` and `from_store` count samples over all splits; `made`, by split, those
    whose "paraphrases" or "wrong" answers a rule made up. `missing` is what the suite has and this has not."""

    run: str
    model: str
    suite: str
    computed: int
    from_store: int
    metrics: Mapping[str, Figure]
    aggregates: Mapping[str, records.AggregateRow]
    made: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    missing: Sequence[Missing] = ()
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    """Of the numbers, by name."""

    @property
    def values(self) -> dict[str, float | None]:
        """Every number by its name, None where undefined."""
        figures = {name: figure.value for name, figure in self.metrics.items()}
        return {**figures, **{name: row.value for name, row in self.aggregates.items()}}

    def _repr_html_(self) -> str:
        numbers: dict[str, Figure | records.AggregateRow] = {**self.metrics, **self.aggregates}
        rows = [
            {"number": name, "value": of.value, "low": of.low, "high": of.high, "n": of.n, "why not": of.reason or ""}
            for name, of in numbers.items()
        ]
        return table(f"{self.suite}: {self.model}, run {self.run}", rows)

    def json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "model": self.model,
            "suite": self.suite,
            "computed": self.computed,
            "from_store": self.from_store,
            "metrics": {
                name: {**figure_json(f), **meaning_json(self.meanings, name)} for name, f in self.metrics.items()
            },
            "aggregates": {
                name: {**aggregate_json(a), **meaning_json(self.meanings, name)} for name, a in self.aggregates.items()
            },
            "made": {split: dict(counts) for split, counts in self.made.items()},
            "missing": [{"name": m.name, "reason": m.reason} for m in self.missing],
        }


@dataclass(frozen=True)
class Prepared:
    """An evaluation, checked and not begun. `reference` is the evaluation of what it is held against, where that has
    to be made first; `asked` are the arguments that the task does not say."""

    task: EvalTask
    source: ModelSource
    asked: Mapping[str, Any]
    reference: Prepared | None = None

    @property
    def weights(self) -> Weights:
        source = self.source
        return Weights(source.fingerprint, source.label, lambda: load_model(source))


def evaluate(place: Workplace, **asked: Any) -> EvalReport:
    """Evaluate a model, computing only what the store does not hold, as `prepared` describes it.

    Raises:
        UnlearnkitError: what `prepared` does.
    """
    return carry_out(place, prepared(place, **asked))


def carry_out(place: Workplace, made: Prepared) -> EvalReport:
    """Find or begin the run, and before it that of the reference; measure what is missing, and report."""
    task = made.task
    if made.reference is not None:
        task = replace(task, against=made_first(place, made.reference))
    asked = task.request(place, **made.asked)
    return run_task(place, task, made.weights, asked, parent=writer(place, made.source))


def made_first(place: Workplace, reference: Prepared) -> records.Run:
    """Make the evaluation that others are held against."""
    place.progress.say(f"first {reference.asked['model']}, which the numbers are held against")
    return place.store.run(carry_out(place, reference).run)


def prepared(
    place: Workplace,
    *,
    model: str,
    data: Mapping[str, DataSpec],
    suite_name: str = "tofu",
    reference: str | None = None,
    max_new_tokens: int | None = None,
    batch_size: int = BATCH_SIZE,
    template: str = "auto",
    system_prompt: str | None = None,
) -> Prepared:
    """An evaluation of a model.

    Args:
        model: folder, hub name, `gguf:FILE`, `run:ID`, or the id of a run that wrote a model.
        suite_name: a suite, a file of one, or several joined by "+".
        data: split of the suite ("forget", "retain", …) to its data.
        reference: a model that never saw the forget set, as `model` names one, or an evaluation of it. A model without
            an evaluation on these data is evaluated first, as a run of its own. One that saw it by the store's own
            record is told of.

    Raises:
        UnlearnkitError: bad input, before a model is loaded or anything is written.
    """
    chosen = checked_suite(place, suite_name, data, max_new_tokens=max_new_tokens, batch_size=batch_size)
    reference = named_reference(place, reference)  # a slip is seen before anything is read
    metrics = metrics_of(place, chosen)
    sets = read_sets(place, chosen, data)
    model = run_source(place, model)
    source = find_model(place, model)
    task = eval_task(
        place, chosen, metrics, source, data, sets, max_new_tokens=max_new_tokens, batch_size=batch_size,
        template=template, system_prompt=system_prompt,
    )  # fmt: skip
    asked: dict[str, Any] = {"model": model, "data": data, "template": template, "system_prompt": system_prompt}
    against, first = held_against(
        place, reference, task.inputs, data=data, suite_name=suite_name, max_new_tokens=max_new_tokens,
        batch_size=batch_size, template=template, system_prompt=system_prompt,
    )  # fmt: skip
    if reference is not None:
        theirs = weights_of(against, first)
        check_other(reference, theirs, source.fingerprint)
        warn_if_seen(place, reference, theirs, source.fingerprint, task.inputs.sets)
    return Prepared(replace(task, against=against), source, asked, first)


def held_against(
    place: Workplace, reference: str | None, inputs: Inputs, **asked: Any
) -> tuple[records.Run | None, Prepared | None]:
    """The evaluation to hold one of these inputs against; or, where the model that was named has none, the one that is
    to be made first, as `prepared` is asked for the other.

    Raises:
        UnlearnkitError: what `prepared` does.
    """
    if reference is None:
        return None, None
    if (run := known_reference(place, reference, inputs)) is not None:
        return run, None
    first = prepared(place, model=reference, **asked)
    made = place.find("eval", identity_of(place, first.task, first.weights))
    return (made, None) if made is not None and made.state == "complete" else (None, first)


def weights_of(against: records.Run | None, first: Prepared | None) -> str:
    """The fingerprint of a reference, of its evaluation or of the one that is to be made first. An imported one's is
    that of no model, and so of none that the store knows."""
    if first is not None:
        return first.source.fingerprint
    return "" if against is None else against.model


def read_sets(place: Workplace, chosen: Suite, data: Mapping[str, DataSpec]) -> dict[str, SampleSet]:
    """The data of a suite's splits as a model is asked: in their layout, behind their examples, with the other answers
    that a suite wants made."""
    read = {split: read_set(place, spec, chosen.splits[split].rows) for split, spec in data.items()}
    sets = {}
    for split, samples in read.items():
        of = chosen.splits[split]
        layout = of.rows or Layout()
        shots = read[of.examples].samples[: of.shots] if of.examples in read else ()
        before = layout.before(shots)
        asked = samples.behind(before) if before else samples
        sets[split] = completed(asked) if of.others == "made" else asked
    return sets


def eval_task(
    place: Workplace, chosen: Suite, metrics: Metrics, source: ModelSource, data: Mapping[str, DataSpec],
    sets: Mapping[str, SampleSet], *, max_new_tokens: int | None, template: str, system_prompt: str | None,
    batch_size: int = BATCH_SIZE,
) -> EvalTask:  # fmt: skip
    """An evaluation, held against none, with its sets encoded and checked; see `evaluate`."""
    inputs = prepare(
        place, source, data, sets, template=template, system_prompt=system_prompt,
        templates={split: of.template for split, of in chosen.splits.items() if of.template is not None},
        longest={split: of.longest_answer for split, of in chosen.splits.items() if of.longest_answer is not None},
        others=True,
    ).unique(*data)  # fmt: skip
    return EvalTask(
        suite=chosen,
        metrics=metrics,
        inputs=inputs,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )


@dataclass(frozen=True)
class EvalTask:
    """An evaluation but for the weights: which metrics are read of which samples, each once, and how."""

    suite: Suite
    """With the splits that there are data for."""
    metrics: Metrics
    inputs: Inputs
    against: records.Run | None = None
    """The evaluation that numbers over samples are held against."""
    max_new_tokens: int | None = None
    """Longest generation, in place of the suite's."""
    batch_size: int = BATCH_SIZE

    def determines(self, place: Workplace) -> dict[str, Any]:
        """All that its results depend on besides the weights and the environment."""
        from unlearnkit.evaluating import VERSION

        return {
            "engine": VERSION,
            "parts": {
                split: {
                    "metrics": {use.name: _code(place, self.metrics[split, use.name], use) for use in of.metrics},
                    "data": self.inputs.sets[split].extras_fingerprint,
                    "template": self.inputs.template_of(split).fingerprint,
                    "max_new_tokens": self._ends(split),
                    "before": self._before_key(split),
                }
                for split, of in self.suite.splits.items()
            },
            "aggregates": [
                [use.name, *place.plugins.code("aggregate", use.plugin), dict(use.options)]
                for use in self.suite.aggregates
            ],
        }

    def request(self, place: Workplace, **parts: Any) -> dict[str, Any]:
        """The arguments of `evaluate` that make it again; `parts` are those that the task does not say."""
        return request(
            place, **parts, suite_name=self.suite.name, reference=None if self.against is None else self.against.id,
            max_new_tokens=self.max_new_tokens, batch_size=self.batch_size,
        )  # fmt: skip

    def parts(self, place: Workplace, weights: str) -> Iterator[Part]:
        """What is read of each split, under some weights."""
        from unlearnkit.evaluating import VERSION, Part

        for split, of in self.suite.splits.items():
            template, longest = self.inputs.template_of(split), self._longest(split)
            under = (VERSION, weights, place.environment(), template.fingerprint)
            said = digest("generation", *under, longest)
            yield Part(
                split=split,
                samples=self.inputs.sets[split].samples,
                metrics={use.name: self.metrics[split, use.name] for use in of.metrics},
                keys={use.name: digest("reading", *under, *self._reading(place, split, use)) for use in of.metrics},
                generations=said,
                template=template,
                max_new_tokens=longest,
                stop=of.stop,
                before=self._before(split),
            )

    def measured(self, place: Workplace) -> dict[str, dict[str, str]]:
        """By split and metric, what two evaluations must share for its values to be held against each other, besides
        what the samples and the template are (`asked_of`)."""
        from unlearnkit.evaluating import VERSION

        return {
            split: {use.name: digest("measured", VERSION, *self._reading(place, split, use)) for use in of.metrics}
            for split, of in self.suite.splits.items()
        }

    def _reading(self, place: Workplace, split: str, use: Use) -> list[Any]:
        """What determines a metric's value of a sample besides the model and how samples are put to it."""
        metric = self.metrics[split, use.name]
        needs = set(metric.needs)
        more = {
            "generation": self._ends(split) if "generation" in needs else None,
            "others": self.inputs.sets[split].extras_fingerprint if needs & {"paraphrases", "wrong"} else None,
            "before": self._before_key(split) if "prefixed" in needs else None,
        }
        return [_code(place, metric, use), more]

    def _longest(self, split: str) -> int:
        return self.max_new_tokens or self.suite.splits[split].max_new_tokens or self.suite.max_new_tokens

    def _ends(self, split: str) -> int | list[Any]:
        """What a generation ends by."""
        longest, stop = self._longest(split), self.suite.splits[split].stop
        return [longest, *stop] if stop else longest

    def _before(self, split: str) -> tuple[Sample, ...]:
        """The samples that stand before others of a split, none where there are no data for them."""
        of = self.suite.splits[split]
        found = self.inputs.sets.get(of.before or "")
        return () if found is None else found.samples[: of.shots]

    def _before_key(self, split: str) -> list[str]:
        return [sample.id for sample in self._before(split)]


def _code(place: Workplace, metric: Metric, use: Use) -> list[Any]:
    """What determines a metric's value of a probe."""
    return [*place.plugins.code("metric", use.plugin), options_of(metric), *metric.reads]


def checked_suite(
    place: Workplace, name: str, data: Iterable[str], *, max_new_tokens: int | None, batch_size: int = BATCH_SIZE
) -> Suite:
    """The suite, or several joined by "+", with the splits of the data; what it names is there, and the numbers of an
    evaluation are in their bounds."""
    chosen = place.suite(name)
    data = list(data)
    unknown = sorted(set(data) - set(chosen.splits))
    if unknown or not data:
        raise BadInput(
            f"suite {name} has no split {', '.join(unknown)}" if unknown else "no data to evaluate on",
            hint=f"its splits: {', '.join(chosen.splits)}",
            code="split",
        )
    check_numbers(max_new_tokens, batch_size)
    aggregates_of(place, chosen)
    return chosen.only(*data)


def check_numbers(max_new_tokens: int | None, batch_size: int) -> None:
    """See that the numbers of an evaluation are in their bounds."""
    if batch_size < 1:
        raise BadInput(f"--batch-size must be a whole number ≥ 1, got {batch_size}", code="value")
    if max_new_tokens is not None and not 1 <= max_new_tokens <= 100_000:
        raise BadInput(f"--max-new-tokens must be 1 … 100000, got {max_new_tokens}", code="value")


def of_suite(place: Workplace, name: str, sets: Mapping[str, DataSpec]) -> dict[str, DataSpec]:
    """Those of a training run's own sets that a suite has a split for."""
    splits = place.suite(name).splits
    return {split: spec for split, spec in sets.items() if split in splits}


def run_task(
    place: Workplace,
    task: EvalTask,
    weights: Weights,
    asked: Mapping[str, Any],
    *,
    parent: str | None,
    step: int | None = None,
) -> EvalReport:
    """Find or make the run of a task, measure what is missing, and report.

    Args:
        asked: the request that it can be made again by; empty for weights that are nowhere but in memory.
        step: how many optimiser steps of its parent made the weights, where that is training.
    """
    inputs, now = task.inputs, place.environment()
    draft = records.Run(
        id=new_id(),
        kind="eval",
        identity=identity_of(place, task, weights),
        state="created",
        method=task.suite.name,
        model=weights.fingerprint,
        datasets={split: chosen.fingerprint for split, chosen in inputs.sets.items()},
        config={
            "request": dict(asked),
            "suite": task.suite.json(),
            "template": inputs.template.kind,
            "asked": asked_of(inputs),
            "measured": task.measured(place),
            **({} if step is None else {"step": step}),
        },
        environment=now,
        argv=place.argv,
        parent=parent,
    )
    place.check_same(draft)
    inputs.record(place)
    run, _ = place.store.begin(draft)
    if run.state == "complete":
        return report_of(place, task, run.id, weights.label)
    with place.working(run):
        began = time.monotonic()
        computed = _measure(place, run, task, weights)
        took = {"seconds": round(time.monotonic() - began, 2), "computed": computed}
        found = report_of(place, task, run.id, weights.label, computed)
        place.plugins.notify("evaluated", run=run, figures=found.values)
        place.store.finish(run.id, "complete", summary={"label": weights.label, "splits": list(inputs.sets), **took})
    return found


def identity_of(place: Workplace, task: EvalTask, weights: Weights) -> str:
    """What makes two evaluations the same run."""
    determines = {**task.determines(place), "model": weights.fingerprint, "environment": place.environment()}
    determines |= {"unwritten": True} if weights.unwritten else {}
    return digest("eval", task.suite.name, determines)


def report_of(place: Workplace, task: EvalTask, run: str, label: str, computed: int = 0) -> EvalReport:
    """A complete evaluation as a report."""
    from unlearnkit.runs.definitions import meanings

    figures = figures_of(place, run, task.suite, task.metrics)
    aggregates = combine(place, run, task.suite, task.metrics, task.against)
    sets = task.inputs.sets
    total = sum(len(chosen.samples) for chosen in sets.values())
    made = {split: chosen.made for split, chosen in sets.items() if any(chosen.made.values())}
    absent = [split for split in place.suite(task.suite.name).splits if split not in sets]
    missing = lacking(figures, aggregates, absent)
    return EvalReport(
        run, label, task.suite.name, computed, total - computed, figures, aggregates, made, missing,
        meanings(place, task.suite),
    )  # fmt: skip


def lacking(
    figures: Mapping[str, Figure], aggregates: Mapping[str, records.AggregateRow], absent: Iterable[str] = ()
) -> list[Missing]:
    """What an evaluation lacks: splits that were `absent`, and numbers that are undefined."""
    numbers: dict[str, Figure | records.AggregateRow] = {**figures, **aggregates}
    missing = [Missing(split, "no_data") for split in absent]
    return missing + [Missing(name, of.reason or "undefined") for name, of in numbers.items() if of.value is None]


def run_source(place: Workplace, model: str) -> str:
    """A model's source, where a run's id may stand bare if no folder has that name."""
    if is_model(model):
        return model
    try:
        return f"run:{place.reading().run(model, MODEL_KINDS).id}"
    except NotFound:
        return model


def reference_run(place: Workplace, ref: str, inputs: Inputs) -> records.Run:
    """The evaluation to hold against: the one named, or the newest of the named run's model on these forget data.

    Raises:
        UnlearnkitError: code `reference`, where it is not complete, or not of the same forget data, wrong answers and
            template.
    """
    run = place.reading().run(ref)
    found = _fitting(place, run, inputs)
    if found is None:
        label = _forget_label(inputs.sets)
        again = f"unlearnkit eval MODEL --forget {label} …"
        hint = f"unlearnkit import LOG --data forget={label}, where it is of these data" if is_imported(run) else again
        raise _no_reference(run, f"{label}, with the same wrong answers and template", hint)
    if is_imported(found):
        place.progress.warn(f"reference {found.id} was imported: whether its template was the same is not known")
    return found


def reference_for(place: Workplace, ref: str, sets: Mapping[str, SampleSet]) -> records.Run:
    """The evaluation to hold one against that was imported: of the same samples, however they were asked.

    Raises:
        UnlearnkitError: code `reference`, where it is not complete, or not of these samples.
    """
    run = place.reading().run(ref)
    found = _evaluation(place, run, sets, lambda e: _same_samples(place, e, sets))
    if found is None:
        same = "import both logs with the same --data for each such split, or both without"
        hint = same if is_imported(run) else "unlearnkit eval MODEL --forget DATA, with the rows of the log"
        raise _no_reference(run, f"the same samples as {_forget_label(sets)}", hint)
    return found


def _forget_label(sets: Mapping[str, SampleSet]) -> str:
    return ", ".join(chosen.label for split, chosen in sets.items() if to_be_forgotten(split))


def _no_reference(run: records.Run, wanted: str, hint: str) -> UnlearnkitError:
    why = "is another evaluation" if run.kind == "eval" else "has no evaluation"
    return UnlearnkitError(f"run {run.id} {why}: needed is a complete one on {wanted}", hint=hint, code="reference")


def known_reference(place: Workplace, ref: str, inputs: Inputs) -> records.Run | None:
    """The evaluation to hold against; None where a model was named that has none on these data.

    Raises:
        UnlearnkitError: what `reference_run` finds wrong with an evaluation.
    """
    _check_forgets(inputs.sets)
    if not is_run(ref):
        return None
    run = place.reading().run(ref.removeprefix("run:"))
    if run.kind == "eval":
        return reference_run(place, run.id, inputs)
    return _fitting(place, run, inputs)


def named_reference(place: Workplace, ref: str | None) -> str | None:
    """What a reference is called by, a run by its id: "@last" is another one soon.

    Raises:
        NotFound: code `run` or `store`, where it could only be a run, and there is none.
    """
    if ref is None or not is_run(ref):
        return ref
    store = place.reading()
    try:
        run = store.run(ref.removeprefix("run:"))
    except NotFound as error:
        if ref.startswith("run:"):
            raise
        message = f"--reference: {error.message}, and no such folder"
        raise NotFound(message, hint=f"{error.hint}, or a model's folder", code=error.code) from None
    return run.id if run.kind == "eval" else f"run:{run.id}"


def is_run(ref: str) -> bool:
    """Whether what a reference is called names a run, or its model by it."""
    return ref.startswith("run:") or not is_model(ref)


def is_model(name: str) -> bool:
    """Whether a name is a model's, by its form or as there is such a folder, and so no run's."""
    return ":" in name or "/" in name or Path(name).exists()


def _fitting(place: Workplace, run: records.Run, inputs: Inputs) -> records.Run | None:
    """A complete evaluation that a run is, or that the model of a run has, of what is to be forgotten here."""

    def fits(e: records.Run) -> bool:
        return _same_samples(place, e, inputs.sets) if is_imported(e) else same_asked(e, inputs)

    return _evaluation(place, run, inputs.sets, fits)


def _evaluation(
    place: Workplace, run: records.Run, sets: Mapping[str, SampleSet], fits: Callable[[records.Run], bool]
) -> records.Run | None:
    """A complete evaluation that fits, which a run is or which the model of a run has."""
    _check_forgets(sets)
    evals = [run] if run.kind == "eval" else place.reading().runs(kind="eval", model=run.summary.get("model", ""))
    return next((e for e in evals if e.state == "complete" and fits(e)), None)


def is_imported(run: records.Run) -> bool:
    """Whether an evaluation is another program's."""
    return "imported" in run.config


def _same_samples(place: Workplace, run: records.Run, sets: Mapping[str, SampleSet]) -> bool:
    """Whether an evaluation is of the same samples of all that is to be forgotten, in any order."""
    return all(
        {row.sample for row in place.reading().rows(run.datasets.get(split, ""))} - {None}
        == {sample.id for sample in chosen.samples}
        for split, chosen in sets.items()
        if to_be_forgotten(split)
    )


def same_asked(run: records.Run, inputs: Inputs) -> bool:
    """Whether a run asked the same of all that is to be forgotten, and of what both keep."""
    mine = asked_of(inputs)
    theirs = run.config.get("asked") or {"forget": run.config.get("forget")}
    return all(theirs.get(split, None if to_be_forgotten(split) else said) == said for split, said in mine.items())


def _check_forgets(sets: Mapping[str, SampleSet]) -> None:
    if not any(map(to_be_forgotten, sets)):
        hint = f"leave it out, or evaluate what is to be forgotten (eval --forget DATA): here is only {', '.join(sets)}"
        raise BadInput("--reference is for the forget set", hint=hint, code="reference")


def asked_of(inputs: Inputs) -> dict[str, str]:
    """By split, what two evaluations must share to be held against each other."""
    return {
        split: digest(chosen.extras_fingerprint, inputs.template_of(split).fingerprint)
        for split, chosen in inputs.sets.items()
    }


def _measure(place: Workplace, run: records.Run, task: EvalTask, weights: Weights) -> int:
    from unlearnkit.evaluating import Evaluator, measure

    inputs = task.inputs

    def evaluator() -> Evaluator:
        return Evaluator(weights.load(), inputs.tokenizer, task.batch_size, inputs.model.context)

    evaluator = cache(evaluator)
    return sum(
        measure(
            place.store, run.id, part, evaluator, task.batch_size, place.progress, keep_text=place.settings.store_text
        )
        for part in task.parts(place, weights.fingerprint)
    )


def combine(
    place: Workplace, run: str, chosen: Suite, metrics: Metrics, against: records.Run | None
) -> dict[str, records.AggregateRow]:
    """The suite's aggregates, from stored columns; kept with the run that they were held against."""
    from unlearnkit.evaluating import columns

    mine = columns(place.store.results(run), metrics)
    theirs: Columns | None = None
    if against is not None:
        shared = alike(place, place.store.run(run).config.get("measured"), against, metrics)
        theirs = columns(place.store.results(against.id), shared)
    rows = []
    for use in chosen.aggregates:
        aggregate: Aggregate = place.plugins.build("aggregate", use.plugin, use.options)
        held = against.id if against is not None and aggregate.needs_reference else None
        found = estimate(aggregate, mine, theirs)
        if isinstance(found, Undefined):
            rows.append(records.AggregateRow(use.name, None, reason=found.reason, reference=held))
        else:
            low, high = found.interval or (None, None)
            rows.append(records.AggregateRow(use.name, found.value, n=found.n, reference=held, low=low, high=high))
    place.store.put_aggregates(run, rows)
    return {row.name: row for row in rows}
