"""`score`: a difficulty per sample, measured once and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearnkit import scoring
from unlearnkit.contracts import Scorer
from unlearnkit.data.samples import DataSpec, SampleSet
from unlearnkit.errors import BadInput
from unlearnkit.models import load_model
from unlearnkit.plugins import options_of
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import Inputs, find_model, prepare, read_set, request
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import new_id, records

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.data.encode import Encoded

BATCH_SIZE = 8
"""Samples in a scoring batch. Part of a score's identity, so one default serves `score` and the samplers."""


@dataclass(frozen=True)
class SampleScore:
    """A sample's score as it is reported; `position` counts the data set's rows from 0."""

    sample: str
    position: int
    value: float | None
    stderr: float | None
    status: str
    prompt: str = ""


@dataclass(frozen=True)
class ScoreReport:
    """What `score` found. `computed` and `from_store` count stored pieces of work: a draw over a shard of samples."""

    run: str
    scorer: str
    options: Mapping[str, Any]
    n: int
    computed: int
    from_store: int
    reliability: float | None
    samples: tuple[SampleScore, ...]

    def json(self) -> dict[str, Any]:
        shown = [
            {
                "sample": s.sample,
                "position": s.position,
                "value": s.value,
                "stderr": s.stderr,
                "status": s.status,
            }
            for s in self.samples
        ]
        return {
            "run": self.run,
            "scorer": self.scorer,
            "options": dict(self.options),
            "n": self.n,
            "computed": self.computed,
            "from_store": self.from_store,
            "reliability": self.reliability,
            "samples": shown,
        }


@dataclass(frozen=True)
class ScoreTask:
    """What is to be scored: one model's view of one set. `weights` names the weights by content, and `load` brings
    them into memory when something has to be computed."""

    weights: str
    load: Callable[[], nn.Module]
    inputs: Inputs
    role: str
    scorer_name: str
    scorer: Scorer
    seed: int
    batch_size: int = BATCH_SIZE

    @property
    def samples(self) -> SampleSet:
        return self.inputs.sets[self.role]

    @property
    def encoded(self) -> list[Encoded]:
        items = self.inputs.encoded[self.role]
        return [item.labelled_whole() for item in items] if self.scorer.tokens == "all" else items


def score(
    place: Workplace,
    *,
    model: str,
    data: DataSpec,
    scorer: str = "mrd",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    template: str = "auto",
    system_prompt: str | None = None,
) -> ScoreReport:
    """Score every sample of a set, computing only what the store does not hold.

    Args:
        model: folder, hub name, `gguf:FILE` or `run:ID`.
        data: the set to score.
        scorer: a scorer plugin; `options` are its options, as objects or as typed on a command line.
        seed: of the noise.

    Raises:
        UnlearnkitError: bad input, before a model is loaded or anything is written; `busy`, where another process
            works on the same scores.
    """
    if batch_size < 1:
        raise BadInput(f"--batch-size must be a whole number ≥ 1, got {batch_size}", code="value")
    built: Scorer = place.plugins.build("scorer", scorer, options or {})
    samples = read_set(place, data)
    source = find_model(place, model)
    inputs = prepare(
        place, source, {"data": data}, {"data": samples}, template=template, system_prompt=system_prompt
    ).unique("data")
    asked = request(
        place, model=model, data=data, scorer=scorer, options=options_of(built), seed=seed, batch_size=batch_size,
        template=template, system_prompt=system_prompt,
    )  # fmt: skip
    task = ScoreTask(source.fingerprint, lambda: load_model(source), inputs, "data", scorer, built, seed, batch_size)
    return run_task(place, task, asked)


def run_task(place: Workplace, task: ScoreTask, asked: Mapping[str, Any], *, parent: str | None = None) -> ScoreReport:
    """Find or make the run of a task, measure what is missing, and report."""
    run, series = _run_of(place, task, asked, parent)
    shards = scoring.rows_by_shard(task.encoded, task.batch_size)
    pieces = task.scorer.units(len(shards))
    units = len(pieces)
    if len({piece.draw for piece in pieces if piece.draw >= 0}) == 1:
        place.progress.warn("a single draw tells nothing of its spread: the scores have no standard errors")
    place.check_same(run)
    task.inputs.record(place)
    run, _ = place.store.begin(run)
    if run.state == "complete":
        return _report(place, task, run, computed=0, units=units)
    with place.working(run) as held:
        computed = 0
        if scoring.missing_units(place.store, series, task.scorer, task.encoded, task.batch_size):
            computed = scoring.measure(
                place.store, series, task.scorer, task.load(), task.encoded,
                batch_size=task.batch_size, pad=task.inputs.pad, seed=task.seed,
                progress=place.progress, beat=run.id,
            )  # fmt: skip
        scores, reliability = scoring.reduce(place.store, series, task.scorer, task.encoded, task.batch_size)
        rows = [
            records.ScoreRow(sample.id, s.value, s.stderr, s.n, s.status, s.clamped)
            for sample, s in zip(task.samples.samples, scores, strict=True)
        ]
        place.store.put_scores(run.id, rows)
        if held.exact and any(r.series == series and not r.exact for r in place.store.runs(kind="score")):
            place.store.mark_inexact(run.id)  # a draw that it shares may have been made elsewhere
        run = place.store.finish(run.id, "complete", summary={"reliability": reliability, "n": len(rows)})
    return _report(place, task, run, computed=computed, units=units)


def _run_of(place: Workplace, task: ScoreTask, asked: Mapping[str, Any], parent: str | None) -> tuple[records.Run, str]:
    """The run as it would be new, and the key of its draws."""
    now = place.environment()
    options = options_of(task.scorer)
    drawn = {key: value for key, value in options.items() if key not in task.scorer.reduced_by}
    determines = {
        "scorer": place.plugins.code("scorer", task.scorer_name),
        "options": drawn,
        "model": task.weights,
        "data": task.samples.fingerprint,
        "tokens": digest([[item.ids, item.labels_from] for item in task.encoded]),
        "batch_size": task.batch_size,
        "seed": task.seed,
        "environment": now,
    }
    series = digest("score", determines)
    return (
        records.Run(
            id=new_id(),
            kind="score",
            identity=digest(series, options),
            state="created",
            method=task.scorer_name,
            model=task.weights,
            datasets={task.role: task.samples.fingerprint},
            config={
                "request": dict(asked),
                "options": options,
                "template": task.inputs.template.kind,
                "shards": [
                    [task.samples.samples[row].id for batch in shard for row in batch]
                    for shard in scoring.rows_by_shard(task.encoded, task.batch_size)
                ],
            },
            environment=now,
            argv=place.argv,
            seed=task.seed,
            parent=parent,
            series=series,
        ),
        series,
    )


def _report(place: Workplace, task: ScoreTask, run: records.Run, *, computed: int, units: int) -> ScoreReport:
    stored = place.store.scores(run.id)
    samples = [
        SampleScore(s.id, s.position, row.value, row.stderr, row.status, s.prompt or s.answer)
        for s in task.samples.samples
        for row in [stored[s.id]]
    ]
    samples += [SampleScore("", position, None, None, reason) for position, reason in task.samples.skipped.items()]
    return ScoreReport(
        run=run.id,
        scorer=task.scorer_name,
        options=run.config["options"],
        n=len(task.samples.samples),
        computed=computed,
        from_store=units - computed,
        reliability=run.summary.get("reliability"),
        samples=tuple(sorted(samples, key=lambda s: s.position)),
    )
