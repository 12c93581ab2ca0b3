"""`eval`: every metric of a suite on every split there is data for, per sample; then the numbers over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, reduce
from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import Aggregate, Columns, Metric, Sample, Undefined
from unlearnkit.data.samples import DataSpec, SampleSet
from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.metrics.intervals import bootstrap, estimate
from unlearnkit.models import load_model
from unlearnkit.plugins import options_of
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import MODEL_KINDS, Inputs, check_other_answers, find_model, prepare, read_set, request
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import new_id, records
from unlearnkit.suites import Suite, Use

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from unlearnkit.evaluating import Part
    from unlearnkit.models import ModelSource

Metrics = Mapping[tuple[str, str], Metric]
"""By split and the name that their values stand under."""

BATCH_SIZE = 8


@dataclass(frozen=True)
class Figure:
    """A metric over a split: the mean of its per-sample terms with a 95 % bootstrap interval, None where undefined."""

    value: float | None
    n: int
    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True)
class EvalReport:
    """What an evaluation found. `computed` and `from_store` count samples over all splits."""

    run: str
    model: str
    suite: str
    computed: int
    from_store: int
    metrics: Mapping[str, Figure]
    aggregates: Mapping[str, records.AggregateRow]

    @property
    def values(self) -> dict[str, float | None]:
        """Every number by its name, None where undefined."""
        figures = {name: figure.value for name, figure in self.metrics.items()}
        return {**figures, **{name: row.value for name, row in self.aggregates.items()}}

    def json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "model": self.model,
            "suite": self.suite,
            "computed": self.computed,
            "from_store": self.from_store,
            "metrics": {
                name: {"value": f.value, "n": f.n, "low": f.low, "high": f.high} for name, f in self.metrics.items()
            },
            "aggregates": {
                name: {"value": a.value, "n": a.n, "low": a.low, "high": a.high, "reason": a.reason}
                for name, a in self.aggregates.items()
            },
        }


def evaluate(
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
) -> EvalReport:
    """Evaluate a model, computing only what the store does not hold.

    Args:
        model: folder, hub name, `gguf:FILE`, `run:ID`, or the id of a run that wrote a model.
        data: split of the suite ("forget", "retain", …) to its data.
        reference: the run of a model that never saw the forget set: an evaluation, or a run whose model has one.

    Raises:
        UnlearnkitError: bad input, before a model is loaded or anything is written.
    """
    chosen = checked_suite(place, suite_name, data, max_new_tokens=max_new_tokens, batch_size=batch_size)
    metrics = metrics_of(place, chosen)
    sets = {split: read_set(place, spec) for split, spec in data.items()}
    model = _run_source(place, model)
    source = find_model(place, model)
    task = eval_task(
        place, chosen, metrics, source, data, sets, reference=reference, max_new_tokens=max_new_tokens,
        batch_size=batch_size, template=template, system_prompt=system_prompt,
    )  # fmt: skip
    asked = task.request(place, model=model, data=data, template=template, system_prompt=system_prompt)
    weights = Weights(source.fingerprint, source.label, lambda: load_model(source))
    return run_task(place, task, weights, asked, parent=writer(place, source))


def eval_task(
    place: Workplace, chosen: Suite, metrics: Metrics, source: ModelSource, data: Mapping[str, DataSpec],
    sets: Mapping[str, SampleSet], *, reference: str | None, max_new_tokens: int | None, template: str,
    system_prompt: str | None, batch_size: int = BATCH_SIZE,
) -> EvalTask:  # fmt: skip
    """An evaluation, with its sets encoded and checked; see `evaluate`."""
    inputs = prepare(
        place, source, data, sets, template=template, system_prompt=system_prompt,
        templates={split: of.template for split, of in chosen.splits.items() if of.template is not None},
    ).unique(*data)  # fmt: skip
    check_other_answers(inputs)
    return EvalTask(
        suite=chosen,
        metrics=metrics,
        inputs=inputs,
        against=None if reference is None else reference_run(place, reference, inputs),
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
    against: records.Run | None
    """The evaluation that numbers over samples are held against."""
    max_new_tokens: int | None = None
    """Longest generation, in place of the suite's."""
    batch_size: int = BATCH_SIZE

    def determines(self, place: Workplace) -> dict[str, Any]:
        """All that its results depend on besides the weights and the environment."""
        return {
            "parts": {
                split: {
                    "metrics": {use.name: _code(place, self.metrics[split, use.name], use) for use in of.metrics},
                    "data": self.inputs.sets[split].extras_fingerprint,
                    "template": self.inputs.template_of(split).fingerprint,
                    "max_new_tokens": self._longest(split),
                    "before": self._before_key(split),
                }
                for split, of in self.suite.splits.items()
            }
        }

    def request(self, place: Workplace, **parts: Any) -> dict[str, Any]:
        """The arguments of `evaluate` that make it again; `parts` are those that the task does not say."""
        return request(
            place, **parts, suite_name=self.suite.name, reference=None if self.against is None else self.against.id,
            max_new_tokens=self.max_new_tokens, batch_size=self.batch_size,
        )  # fmt: skip

    def parts(self, place: Workplace, weights: str) -> Iterator[Part]:
        """What is read of each split, under some weights."""
        from unlearnkit.evaluating import Part

        for split, of in self.suite.splits.items():
            template, longest = self.inputs.template_of(split), self._longest(split)
            under = (weights, place.environment(), template.fingerprint)
            said = digest("generation", *under, longest)
            keys = {}
            for use in of.metrics:
                metric = self.metrics[split, use.name]
                needs = set(metric.needs)
                more = {
                    "generation": longest if "generation" in needs else None,
                    "others": self.inputs.sets[split].extras_fingerprint if needs & {"paraphrases", "wrong"} else None,
                    "before": self._before_key(split) if "prefixed" in needs else None,
                }
                keys[use.name] = digest("reading", *under, _code(place, metric, use), more)
            yield Part(
                split=split,
                samples=self.inputs.sets[split].samples,
                metrics={use.name: self.metrics[split, use.name] for use in of.metrics},
                keys=keys,
                generations=said,
                template=template,
                max_new_tokens=longest,
                before=self._before(split),
            )

    def _longest(self, split: str) -> int:
        return self.max_new_tokens or self.suite.splits[split].max_new_tokens or self.suite.max_new_tokens

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


@dataclass(frozen=True)
class Weights:
    """What is evaluated: weights by content, under a name, and how to get at them."""

    fingerprint: str
    label: str
    load: Callable[[], PreTrainedModel]


def checked_suite(
    place: Workplace, name: str, data: Iterable[str], *, max_new_tokens: int | None, batch_size: int = BATCH_SIZE
) -> Suite:
    """The suite, or several joined by "+", with the splits of the data; and the numbers of an evaluation in their
    bounds."""
    chosen = reduce(Suite.beside, (place.suite(part) for part in name.split("+")))
    data = list(data)
    unknown = sorted(set(data) - set(chosen.splits))
    if unknown or not data:
        raise BadInput(
            f"suite {name} has no split {', '.join(unknown)}" if unknown else "no data to evaluate on",
            hint=f"its splits: {', '.join(chosen.splits)}",
            code="split",
        )
    if batch_size < 1:
        raise BadInput(f"--batch-size must be a whole number ≥ 1, got {batch_size}", code="value")
    if max_new_tokens is not None and not 1 <= max_new_tokens <= 100_000:
        raise BadInput(f"--max-new-tokens must be 1 … 100000, got {max_new_tokens}", code="value")
    return chosen.only(*data)


def metrics_of(place: Workplace, chosen: Suite) -> Metrics:
    """The metrics of a suite's splits."""
    return {
        (split, use.name): place.plugins.build("metric", use.plugin, use.options)
        for split, of in chosen.splits.items()
        for use in of.metrics
    }


def suite_of(place: Workplace, run: records.Run) -> Suite:
    """The suite that a run was evaluated by, as it was then; as it is now, for a run that an early version made."""
    kept = run.config.get("suite")
    return place.suite(run.method) if kept is None else Suite.of(kept)


def offered(place: Workplace, chosen: Suite) -> Metrics:
    """The metrics of a suite's splits, without those whose plugin is not there any more."""
    there = place.plugins.offers("metric")
    splits = {
        name: replace(of, metrics=tuple(use for use in of.metrics if use.plugin in there))
        for name, of in chosen.splits.items()
    }
    return metrics_of(place, replace(chosen, splits=splits))


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
    determines = {**task.determines(place), "model": weights.fingerprint, "environment": now}
    draft = records.Run(
        id=new_id(),
        kind="eval",
        identity=digest("eval", task.suite.name, determines),
        state="created",
        method=task.suite.name,
        model=weights.fingerprint,
        datasets={split: chosen.fingerprint for split, chosen in inputs.sets.items()},
        config={
            "request": dict(asked),
            "suite": task.suite.json(),
            "template": inputs.template.kind,
            "forget": asked_of_forget(inputs),
            **({} if step is None else {"step": step}),
        },
        environment=now,
        argv=place.argv,
        parent=parent,
    )
    place.check_same(draft)
    inputs.record(place)
    run, _ = place.store.begin(draft)
    computed = 0
    if run.state != "complete":
        with place.working(run):
            computed = _measure(place, run, task, weights)
            summary = {"label": weights.label, "splits": list(inputs.sets)}
            run = place.store.finish(run.id, "complete", summary=summary)
    return report_of(place, task, run.id, weights.label, computed)


def report_of(place: Workplace, task: EvalTask, run: str, label: str, computed: int = 0) -> EvalReport:
    """A complete evaluation as a report."""
    figures = figures_of(place, run, task.suite, task.metrics)
    aggregates = combine(place, run, task.suite, task.metrics, task.against)
    total = sum(len(chosen.samples) for chosen in task.inputs.sets.values())
    return EvalReport(run, label, task.suite.name, computed, total - computed, figures, aggregates)


def _run_source(place: Workplace, model: str) -> str:
    """`eval` takes a run's id bare where no folder has that name."""
    from pathlib import Path

    if ":" in model or "/" in model or Path(model).exists():
        return model
    try:
        return f"run:{place.reading().run(model, MODEL_KINDS).id}"
    except NotFound:
        return model


def writer(place: Workplace, source: ModelSource) -> str | None:
    """The run that wrote a model, found by its content."""
    for run in place.store.runs(state="complete"):
        if run.kind in MODEL_KINDS and run.summary.get("model") == source.fingerprint:
            return run.id
    return None


def reference_run(place: Workplace, ref: str, inputs: Inputs) -> records.Run:
    """The evaluation to hold against: the one named, or the newest of the named run's model on these forget data.

    Raises:
        UnlearnkitError: code `reference`, where it is not complete, or not of the same forget data, wrong answers and
            template.
    """
    if "forget" not in inputs.sets:
        raise BadInput("--reference is for the forget set", hint="--forget DATA", code="reference")
    label, asked = inputs.sets["forget"].label, asked_of_forget(inputs)
    run = place.reading().run(ref)
    evals = [run] if run.kind == "eval" else place.reading().runs(kind="eval", model=run.summary.get("model", ""))
    found = next((e for e in evals if e.state == "complete" and e.config.get("forget") == asked), None)
    if found is not None:
        return found
    why = "is another evaluation" if run.kind == "eval" else "has no evaluation"
    raise UnlearnkitError(
        f"run {run.id} {why}: needed is a complete one on {label}, with the same wrong answers and template",
        hint=f"unlearnkit eval MODEL --forget {label} …",
        code="reference",
    )


def asked_of_forget(inputs: Inputs) -> str | None:
    """What two evaluations must share for their forget sets to be held against each other."""
    if "forget" not in inputs.sets:
        return None
    return digest(inputs.sets["forget"].extras_fingerprint, inputs.template_of("forget").fingerprint)


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


def figures_of(place: Workplace, run: str, chosen: Suite, metrics: Metrics) -> dict[str, Figure]:
    """{`split.metric`: figure} of a run, from its stored rows."""
    from unlearnkit.evaluating import columns

    results = place.store.results(run)
    made = columns(results, metrics)
    reasons = {(r.split, r.metric): r.status for r in reversed(results)}
    figures = {}
    for split, of in chosen.splits.items():
        for use in of.metrics:
            name = f"{split}.{use.name}"
            if (split, use.name) in made:
                terms = made[split, use.name].terms
                interval = bootstrap(terms)
                low, high = interval if interval is not None else (None, None)
                figures[name] = Figure(float(terms.mean()), len(terms), low, high)
            elif (split, use.name) in reasons:
                figures[name] = Figure(None, 0, None, None, reason=reasons[split, use.name])
    return figures


def combine(
    place: Workplace, run: str, chosen: Suite, metrics: Metrics, against: records.Run | None
) -> dict[str, records.AggregateRow]:
    """The suite's aggregates, from stored columns; kept with the run that they were held against."""
    from unlearnkit.evaluating import columns

    mine = columns(place.store.results(run), metrics)
    theirs: Columns | None = None if against is None else columns(place.store.results(against.id), metrics)
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
