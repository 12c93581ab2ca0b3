"""`score`: a difficulty per sample, measured once and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from unlearnkit import scoring
from unlearnkit.contracts import Scorer, Settled
from unlearnkit.data.samples import DataSpec, SampleSet
from unlearnkit.errors import BadInput
from unlearnkit.models import load_model
from unlearnkit.notebook import table
from unlearnkit.plugins import options_of
from unlearnkit.runs.identity import digest, environment
from unlearnkit.runs.inputs import Inputs, find_model, prepare, read_set, request
from unlearnkit.runs.workplace import Workplace
from unlearnkit.scoring import Crew, Ledger, Work
from unlearnkit.settings import BATCH_SIZE, Settings
from unlearnkit.store import new_id, records

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.contracts import Bench, Unit
    from unlearnkit.data.encode import Encoded
    from unlearnkit.scoring.engine import Measured

UNCLEAR = 0.5
"""Above this share of samples that are below twice their standard error, a ranking is mostly noise."""
UNRELIABLE = 0.5
"""Below this reliability, fresh draws would rank the samples otherwise."""


@dataclass(frozen=True)
class SampleScore:
    """A sample's score as it is reported; `position` counts the data set's rows from 0."""

    sample: str
    position: int
    value: float | None
    stderr: float | None
    status: str
    prompt: str = ""
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreReport:
    """What `score` found. `computed` and `from_store` count stored pieces of work: a draw over a shard of samples.

    `pairs` and `forward_passes` count the draws and the passes over the data that the scores are made from, `seconds`
    what those took, whichever run made them, added over workers. `unclear` is the share of samples whose value is below
    twice its standard error. `settled` holds the options that the scorer chose by itself, and `found` what it saw when
    it chose."""

    run: str
    scorer: str
    options: Mapping[str, Any]
    n: int
    computed: int
    from_store: int
    reliability: float | None
    pairs: int
    forward_passes: int
    seconds: float | None
    unclear: float | None
    settled: Mapping[str, Any]
    found: Mapping[str, Any]
    samples: tuple[SampleScore, ...]

    @property
    def noise(self) -> bool:
        """Whether most of the order would be another with fresh draws."""
        unclear, reliability = self.unclear, self.reliability
        return (unclear is not None and unclear > UNCLEAR) or (reliability is not None and reliability < UNRELIABLE)

    def _repr_html_(self) -> str:
        ranked = sorted((s for s in self.samples if s.value is not None), key=lambda s: s.value or 0.0)
        rows = [{"row": s.position + 1, self.scorer: s.value, "± s.e.": s.stderr, "sample": s.prompt} for s in ranked]
        return table(f"{self.scorer} of {self.n} samples, from the lowest, run {self.run}", rows)

    def json(self) -> dict[str, Any]:
        shown = [
            {
                "sample": s.sample,
                "position": s.position,
                "value": s.value,
                "stderr": s.stderr,
                "status": s.status,
                **s.details,
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
            "pairs": self.pairs,
            "forward_passes": self.forward_passes,
            "seconds": self.seconds,
            "unclear": self.unclear,
            "settled": dict(self.settled),
            "found": dict(self.found),
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
    def work(self) -> Work:
        items, sets = self.inputs.encoded[self.role], self.scorer.sets
        return Work(
            samples=self.samples.samples,
            encoded=[item.labelled_whole() for item in items] if self.scorer.tokens == "all" else items,
            pad=self.inputs.pad,
            seed=self.seed,
            batch_size=self.batch_size,
            sets={name: self.inputs.sets[name].samples for name in sets},
            encoded_sets={name: self.inputs.encoded[name] for name in sets} if self.scorer.reads_model else {},
        )


@dataclass(frozen=True)
class WorkerTask:
    """All that a worker has from its parent: with it, it makes its process like its parent's and takes up the task."""

    settings: Settings
    scorer_name: str
    options: Mapping[str, Any]
    work: Work
    load: Callable[[], nn.Module]

    @contextmanager
    def __call__(self) -> Iterator[tuple[Scorer, Bench]]:
        environment(self.settings)
        with Workplace(self.settings) as place:
            scorer: Scorer = place.plugins.build("scorer", self.scorer_name, self.options)
            with scoring.open_bench(self.work, scorer, self.load) as bench:
                yield scorer, bench


@dataclass(frozen=True)
class Prepared:
    """Scoring, checked and not begun: what is to be scored, the request that it can be made again by, and by how many
    processes."""

    task: ScoreTask
    asked: Mapping[str, Any]
    workers: int


def score(place: Workplace, **asked: Any) -> ScoreReport:
    """Score every sample of a set, computing only what the store does not hold, as `prepared` describes it.

    Raises:
        UnlearnkitError: what `prepared` does; `busy`, where another process works on the same scores.
    """
    return carry_out(place, prepared(place, **asked))


def carry_out(place: Workplace, made: Prepared) -> ScoreReport:
    """Find or begin the run, measure what is missing, and report."""
    return run_task(place, made.task, made.asked, workers=made.workers)


def prepared(
    place: Workplace,
    *,
    model: str,
    data: DataSpec,
    sets: Mapping[str, DataSpec] | None = None,
    scorer: str = "mrd",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    template: str = "auto",
    system_prompt: str | None = None,
    workers: int = 1,
) -> Prepared:
    """Scoring of every sample of a set.

    Args:
        model: folder, hub name, `gguf:FILE` or `run:ID`.
        data: the set to score.
        sets: other sets by name, for scorers that compare with them ("retain", "corpus").
        scorer: a scorer plugin; `options` are its options, as objects or as typed on a command line.
        seed: of the noise.
        workers: processes that measure, each with a model of its own; any number gives the same bits. A script that
            asks for several keeps its own work under `if __name__ == "__main__"`, as they import it.

    Raises:
        UnlearnkitError: bad input, before a model is loaded or anything is written.
    """
    for name, number in (("--batch-size", batch_size), ("--workers", workers)):
        if number < 1:
            raise BadInput(f"{name} must be a whole number ≥ 1, got {number}", code="value")
    built: Scorer = place.plugins.build("scorer", scorer, options or {})
    specs = {"data": data, **_wanted_sets(scorer, built, sets or {})}
    read = {role: read_set(place, spec) for role, spec in specs.items()}
    source = find_model(place, model)
    inputs = prepare(
        place, source, specs, read, template=template, system_prompt=system_prompt,
        as_texts=() if built.reads_model else built.sets,
    ).unique(*specs)  # fmt: skip
    asked = request(
        place, model=model, data=data, sets={role: specs[role] for role in built.sets}, scorer=scorer,
        options=options_of(built), seed=seed, batch_size=batch_size, template=template, system_prompt=system_prompt,
        workers=workers,
    )  # fmt: skip
    load = partial(load_model, source)
    return Prepared(
        ScoreTask(source.fingerprint, load, inputs, "data", scorer, built, seed, batch_size), asked, workers
    )


def _wanted_sets(name: str, scorer: Scorer, given: Mapping[str, DataSpec]) -> dict[str, DataSpec]:
    """The other sets that a scorer compares with, and no more."""
    for role in scorer.sets:
        if role not in given:
            raise BadInput(f"scorer {name} compares with a {role} set", hint=f"--{role} DATA", code="usage")
    if unused := [role for role in given if role not in scorer.sets]:
        raise BadInput(f"scorer {name} reads no {unused[0]} set", hint=f"without --{unused[0]}", code="usage")
    return {role: given[role] for role in scorer.sets}


Measuring = Callable[["Sequence[Unit]"], "Generator[Measured]"]


def run_task(
    place: Workplace, task: ScoreTask, asked: Mapping[str, Any], *, parent: str | None = None, workers: int = 1
) -> ScoreReport:
    """Find or make the run of a task, measure what is missing, and report.

    Args:
        workers: with more than one, `task.load` can be pickled.
    """
    with ExitStack() as held:
        opened: list[Bench] = []

        def bench() -> Bench:
            """The model in memory, the first time that something has to be computed."""
            if not opened:
                opened.append(held.enter_context(scoring.open_bench(task.work, task.scorer, task.load)))
            return opened[0]

        def measuring(scorer: Scorer) -> Measuring:
            if workers == 1 or not scorer.reads_model:
                return scoring.here(scorer, bench())
            opened.clear()
            held.close()  # of the model that chose the options: each worker has its own
            return held.enter_context(Crew(_for_workers(place, task, scorer, workers), workers))

        found = _run(place, task, asked, bench, measuring, parent)
        _warn(place, found, task.scorer.remedy)
        return found


def _for_workers(place: Workplace, task: ScoreTask, scorer: Scorer, workers: int) -> WorkerTask:
    threads, cores = environment(place.settings)["threads"], os.cpu_count() or 1
    if workers * threads > cores:
        said = f"{workers} workers of {threads} threads each share {cores} cores: fewer threads are faster"
        place.progress.say(f"{said} (UNLEARNKIT_THREADS; other threads are other bits)")
    return WorkerTask(
        replace(place.settings, threads=threads), task.scorer_name, options_of(scorer), task.work, task.load
    )


def _run(
    place: Workplace,
    task: ScoreTask,
    asked: Mapping[str, Any],
    bench: Callable[[], Bench],
    measuring: Callable[[Scorer], Measuring],
    parent: str | None,
) -> ScoreReport:
    draft = draft_of(place, task, asked, parent)
    place.check_same(draft)
    task.inputs.record(place)
    run, _ = place.store.begin(draft)
    if run.state == "complete":
        return _report(place, task, run, computed=0)
    with place.working(run) as held:
        settled = _settle(place, task, bench)
        scorer = replace(task.scorer, **settled.options)  # type: ignore[type-var]
        series = series_of(place, task, scorer)
        chosen = {"settled": dict(settled.options), "found": dict(settled.found)}
        run = place.store.settle(run.id, series, {**run.config, **chosen})
        ledger = Ledger(place.store, series, scorer, len(task.work.plan))
        computed = 0
        if ledger.missing():
            beat = partial(place.store.beat, run.id)
            computed = scoring.measure(ledger, measuring(scorer), place.progress, beat)
        outcome = ledger.outcome()
        samples = task.samples.samples
        rows = [
            records.ScoreRow(samples[row].id, s.value, s.stderr, s.n, s.status, s.clamped, s.details)
            for row, s in zip(task.work.rows, outcome.scores, strict=True)
        ]
        place.store.put_scores(run.id, rows)
        if held.exact and any(r.series == series and not r.exact for r in place.store.runs(kind="score")):
            place.store.mark_inexact(run.id)  # a draw that it shares may have been made elsewhere
        summary = {
            "n": len(rows),
            "reliability": outcome.reliability,
            "pairs": outcome.draws,
            "forward_passes": outcome.passes if scorer.reads_model else 0,
            "seconds": outcome.seconds,
            "unclear": outcome.unclear,
            "units": len(ledger.wanted()),
        }
        run = place.store.finish(run.id, "complete", summary=summary)
    return _report(place, task, run, computed=computed)


def _settle(place: Workplace, task: ScoreTask, bench: Callable[[], Bench]) -> Settled:
    """Options that the scorer chooses by itself, chosen once for these weights and samples whatever the draws."""
    if settled(place, task) is None:
        chosen = task.scorer.settle(bench())
        place.store.put_calibration(
            _settled_by(place, task), {"options": dict(chosen.options), "found": dict(chosen.found)}
        )
    kept = settled(place, task)
    assert kept is not None
    return kept


def settled(place: Workplace, task: ScoreTask) -> Settled | None:
    """What the scorer chose by itself, where it has something to choose; None where the store does not have it."""
    if not task.scorer.unsettled:
        return Settled({})
    kept = place.store.calibration(_settled_by(place, task))
    return None if kept is None else Settled(kept["options"], kept["found"])


def _settled_by(place: Workplace, task: ScoreTask) -> str:
    return digest("settle", _determines(place, task, task.scorer))


def series_of(place: Workplace, task: ScoreTask, scorer: Scorer) -> str:
    """The key of the draws that a task makes with a scorer that has nothing to choose any more."""
    return digest("score", _determines(place, task, scorer))


def _warn(place: Workplace, found: ScoreReport, remedy: str) -> None:
    """Say where a ranking is not to be trusted, and what would mend it."""
    if found.pairs == 1:
        place.progress.warn("a single draw tells nothing of its spread: the scores have no standard errors")
    if found.unclear is not None and found.unclear > UNCLEAR:
        ratios = sorted((2 * s.stderr / s.value) ** 2 for s in found.samples if s.value and s.stderr is not None)
        needed = f"; about {found.pairs * ratios[len(ratios) // 2]:,.0f} draws would do" if ratios else ""
        said = f"{found.unclear:.0%} of the samples score below twice their standard error: their order is noise"
        place.progress.warn(said + needed + (f" ({remedy})" if remedy else ""))
    elif found.noise:
        said = f"the ranking's reliability is {found.reliability:.2f}: fresh draws would rank the samples otherwise"
        place.progress.warn(said + (f" ({remedy})" if remedy else ""))


def _determines(place: Workplace, task: ScoreTask, scorer: Scorer) -> dict[str, Any]:
    """All that a draw depends on."""
    model = {"model": task.weights, "environment": place.environment()} if scorer.reads_model else {}
    work = task.work
    return {
        **model,
        "engine": scoring.VERSION,
        "scorer": place.plugins.code("scorer", task.scorer_name),
        "options": {key: value for key, value in options_of(scorer).items() if key not in scorer.reduced_by},
        "data": task.samples.fingerprint,
        "sets": {role: task.inputs.sets[role].fingerprint for role in scorer.sets},
        "tokens": [_tokens(items) for items in (work.encoded, *work.encoded_sets.values())],
        "packages": {name: version(name) for name in scorer.packages if _installed(name)},
        "batch_size": task.batch_size,
        "seed": task.seed,
    }


def _tokens(items: Sequence[Encoded]) -> str:
    return digest([[item.ids, item.labels_from] for item in items])


def _installed(name: str) -> bool:
    """Whether a package is there; a scorer that misses it says so itself when it measures."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def draft_of(place: Workplace, task: ScoreTask, asked: Mapping[str, Any], parent: str | None = None) -> records.Run:
    """The run as it would be new. What the scorer chooses by itself follows from what identifies it, so a run is there
    before anything is chosen."""
    options = options_of(task.scorer)
    return records.Run(
        id=new_id(),
        kind="score",
        identity=digest(series_of(place, task, task.scorer), options),
        state="created",
        method=task.scorer_name,
        model=task.weights,
        datasets={role: task.inputs.sets[role].fingerprint for role in (task.role, *task.scorer.sets)},
        config={
            "request": dict(asked),
            "options": options,
            "template": task.inputs.template.kind,
            "shards": [[task.samples.samples[row].id for batch in shard for row in batch] for shard in task.work.plan],
        },
        environment=place.environment(),
        argv=place.argv,
        seed=task.seed,
        parent=parent,
    )


def _report(place: Workplace, task: ScoreTask, run: records.Run, *, computed: int) -> ScoreReport:
    stored, kept = place.store.scores(run.id), run.summary
    samples = [
        SampleScore(s.id, s.position, row.value, row.stderr, row.status, s.prompt or s.answer, row.details)
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
        from_store=kept["units"] - computed,
        reliability=kept["reliability"],
        pairs=kept["pairs"],
        forward_passes=kept["forward_passes"],
        seconds=kept["seconds"],
        unclear=kept["unclear"],
        settled=run.config["settled"],
        found=run.config["found"],
        samples=tuple(sorted(samples, key=lambda s: s.position)),
    )
