"""What a report is about, from the store alone: evaluations side by side, difficulty, and results by difficulty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.report.attacks import Attack, attack
from unlearnkit.report.curve import Curve, curve
from unlearnkit.runs.about import label, last
from unlearnkit.runs.definitions import Meaning
from unlearnkit.runs.figures import Figure, Figures, aggregate_json, current, figure_json, meaning_json
from unlearnkit.runs.scored import scorer_name
from unlearnkit.store import records
from unlearnkit.text import counted

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


SHOWN = 8
"""Evaluations that are shown where nobody says which: two tables of 80 columns."""
KINDS = {
    "score": "score run", "unlearn": "unlearning run", "finetune": "fine-tuning run", "eval": "evaluation",
    "attack": "attack",
}  # fmt: skip


@dataclass(frozen=True)
class Evaluated:
    """An evaluation in a report: the run that made the model (None for one from elsewhere) and what was found."""

    run: records.Run
    writer: records.Run | None
    label: str
    figures: Mapping[str, Figure]
    aggregates: Sequence[records.AggregateRow]
    """One for each evaluation that a number was held against, the newest first."""
    meanings: Mapping[str, Meaning]
    """Of figures and aggregates, by name."""

    @property
    def reference(self) -> str | None:
        """The newest evaluation that a number was held against: of a model that never saw the forget set."""
        return max((row.reference for row in self.aggregates if row.reference is not None), default=None)

    @property
    def values(self) -> dict[str, float | None]:
        """Every number by its name; one that was held against several evaluations, against the newest."""
        rows = {row.name: row.value for row in reversed(self.aggregates)}
        return {name: figure.value for name, figure in self.figures.items()} | rows


@dataclass(frozen=True)
class Difficulty:
    """Scores of a set under one model. `unclear` is the share whose value is below twice its standard error."""

    run: records.Run
    scorer: str
    """Its name, and what was asked of it that is not its default."""
    label: str
    n: int
    undefined: int
    low: float | None
    median: float | None
    high: float | None
    unclear: float | None
    reliability: float | None
    clamped: int


@dataclass(frozen=True)
class Third:
    """Mean of a metric's terms over a third of the forget set, by difficulty before unlearning."""

    eval_run: str
    label: str
    score_run: str
    scorer: str
    metric: str
    third: str
    n: int
    value: float


@dataclass(frozen=True)
class Findings:
    evaluated: Sequence[Evaluated]
    references: Mapping[str, Evaluated]
    """The evaluations that others were held against, by their run."""
    difficulty: Sequence[Difficulty]
    thirds: Sequence[Third]
    curves: Sequence[Curve] = ()
    attacks: Sequence[Attack] = ()
    runs: Sequence[records.Run] = ()
    """All that it is about, oldest first."""
    left_out: Sequence[records.Run] = ()
    """Those that it is not about, as only the newest were asked for."""

    def json(self) -> dict[str, Any]:
        """The report as data."""
        return {
            "runs": [
                {
                    "run": e.run.id,
                    "label": e.label,
                    "model_run": e.writer.id if e.writer else None,
                    "metrics": {name: {**figure_json(f), **self.about(e, name)} for name, f in e.figures.items()},
                    "aggregates": self._by_name(e),
                }
                for e in self.evaluated
            ],
            "difficulty": [
                {"run": d.run.id, **{k: v for k, v in vars(d).items() if k != "run"}} for d in self.difficulty
            ],
            "thirds": [vars(t) for t in self.thirds],
            "curves": [c.json() for c in self.curves],
            "attacks": [a.json() for a in self.attacks],
        }

    def about(self, e: Evaluated, name: str) -> dict[str, Any]:
        """What a number means, and what it is of the model that never saw the forget set, None where there is none."""
        reference = self.references.get(e.reference or "")
        alone = None if reference is None else reference.values.get(name)
        if reference is not None and any(row.name == name and row.reference for row in reference.aggregates):
            alone = None  # it was held against yet another
        return {**meaning_json(e.meanings, name), "retain_only": alone}

    def _by_name(self, e: Evaluated) -> dict[str, Any]:
        """Aggregates as data: a name alone means the newest reference, the others' follow it."""
        found: dict[str, Any] = {}
        for row in e.aggregates:
            key = f"{row.name} vs {row.reference}" if row.name in found else row.name
            found[key] = {**aggregate_json(row), "reference": row.reference, **self.about(e, row.name)}
        return found


def collect(place: Workplace, refs: Sequence[str], *, newest: int | None = None) -> Findings:
    """Everything about the runs that were named, or about all of the store.

    Args:
        newest: only so many evaluations, attacks, score and training runs of these, those that were asked for last,
            with all evaluations of the very last one's model, and the runs that wrote what was evaluated.

    Raises:
        NotFound, BadInput: a reference that means no run, or several.
    """
    store = place.reading()
    named = [store.run(ref) for ref in refs]
    runs = store.runs()
    every = [run for run in runs if run.state == "complete" and run.config.get("request")]
    wanted = _connected(named, every) if named else every
    shown = wanted if newest is None else _newest(wanted, newest)
    kept = {run.id for run in shown}
    return _Reading(place, runs, every).findings(shown[::-1], [run for run in wanted if run.id not in kept])


def by_kind(runs: Iterable[records.Run]) -> str:
    """How many of each kind, in words; "" of none."""
    found: Counter[str] = Counter(run.kind for run in runs)
    return ", ".join(counted(found[kind], words) for kind, words in KINDS.items() if found[kind])


def _newest(runs: Sequence[records.Run], count: int) -> list[records.Run]:
    """Of each kind the runs that were asked for last, and all evaluations of the model that was evaluated last; with
    the runs that wrote the models of all these."""
    last = sorted(runs, key=lambda run: run.beat, reverse=True)
    chosen = {run.id for kind in {run.kind for run in runs} for run in [r for r in last if r.kind == kind][:count]}
    model = next((run.model for run in last if run.kind == "eval"), None)
    chosen |= {run.id for run in runs if run.kind == "eval" and run.model == model}
    chosen |= {run.parent for run in runs if run.id in chosen and run.kind == "eval" and run.parent}
    return [run for run in runs if run.id in chosen]


def _connected(named: Sequence[records.Run], every: Sequence[records.Run]) -> list[records.Run]:
    """The named runs, evaluations of and attacks on models that they wrote, and scores of the models that they began
    with."""
    ids = {run.id for run in named}
    written = {run.summary.get("model") for run in named if run.kind in ("unlearn", "finetune")}
    begun = {run.model for run in named if run.kind == "unlearn"}
    parents = {run.parent for run in named if run.kind == "eval"}
    begun |= {run.model for run in every if run.id in parents and run.kind == "unlearn"}
    return [
        run
        for run in every
        if run.id in ids
        or (run.kind in ("eval", "attack") and run.model in written)
        or (run.kind == "score" and run.model in begun)
    ]


class _Reading:
    """What the store says of some of its `runs`; `every` are those that a report may be about."""

    def __init__(self, place: Workplace, runs: Sequence[records.Run], every: Sequence[records.Run]) -> None:
        self._place, self._every = place, every
        self._runs = {run.id: run for run in runs}
        self._known = {run.id: run for run in every if run.kind == "eval"}

    def findings(self, wanted: Sequence[records.Run], left_out: Sequence[records.Run]) -> Findings:
        """About the wanted runs, in their order."""
        place, evals = self._place, [run for run in wanted if run.kind == "eval"]
        aggregates = {run.id: current(place.reading().aggregates(run.id), self._known) for run in evals}
        held = {row.reference for rows in aggregates.values() for row in rows if row.reference is not None}
        against = [self._known[run] for run in sorted(held)]
        aggregates |= {run.id: current(place.reading().aggregates(run.id), self._known) for run in against}
        figures = Figures(place, aggregates)
        evaluated = [self._evaluated(run, figures, aggregates[run.id]) for run in evals]
        return Findings(
            evaluated=evaluated,
            references={run.id: self._evaluated(run, figures, aggregates[run.id]) for run in against},
            difficulty=[_difficulty(place, run) for run in wanted if run.kind == "score"],
            thirds=[third for e in evaluated for third in self._thirds(e, figures)],
            curves=[found for run in wanted if (found := curve(place, run)) is not None],
            attacks=[attack(place, run, label(run, self._writer(run))) for run in wanted if run.kind == "attack"],
            runs=wanted,
            left_out=left_out,
        )

    def _writer(self, run: records.Run) -> records.Run | None:
        return self._runs.get(run.parent or "")

    def _evaluated(self, run: records.Run, figures: Figures, aggregates: Sequence[records.AggregateRow]) -> Evaluated:
        writer = self._writer(run)
        return Evaluated(
            run=run,
            writer=writer,
            label=label(run, writer),
            figures=figures.of(run),
            aggregates=aggregates,
            meanings=figures.measures(run).meanings,
        )

    def _thirds(self, found: Evaluated, figures: Figures) -> list[Third]:
        """Results on the forget set by difficulty before unlearning."""
        by = ranking(self._place, found.run, found.writer, self._every)
        if by is None:
            return []
        name = scorer_name(self._place, by)
        return [
            Third(found.run.id, found.label, by.id, name, row.metric, row.third, row.n, row.value)
            for row in figures.thirds(found.run, by)
            if row.value is not None
        ]


def label_of(place: Workplace, run: records.Run) -> str:
    """What an evaluation's model is called."""
    return label(run, writer_of(place, run))


def writer_of(place: Workplace, run: records.Run) -> records.Run | None:
    """The run that made an evaluation's model, None for one from elsewhere."""
    return place.reading().run(run.parent) if run.parent else None


def _difficulty(place: Workplace, run: records.Run) -> Difficulty:
    store = place.reading()
    rows = list(store.scores(run.id).values())
    values = np.array([row.value for row in rows if row.value is not None])
    judged = [row for row in rows if row.value is not None and row.stderr is not None]
    unclear = [abs(row.value) < 2 * row.stderr for row in judged if row.value is not None and row.stderr is not None]
    data = store.dataset(next(iter(run.datasets.values())))
    model = store.model(run.model)
    return Difficulty(
        run=run,
        scorer=scorer_name(place, run),
        label=f"{last(data.label) if data else '?'} under {last(model.source) if model else run.model[:8]}",
        n=len(rows),
        undefined=len(rows) - len(values),
        low=float(values.min()) if len(values) else None,
        median=float(np.median(values)) if len(values) else None,
        high=float(values.max()) if len(values) else None,
        unclear=float(np.mean(unclear)) if unclear else None,
        reliability=run.summary.get("reliability"),
        clamped=sum(row.clamped for row in rows),
    )


def ranking(
    place: Workplace, evaluated: records.Run, writer: records.Run | None, every: Sequence[records.Run]
) -> records.Run | None:
    """The scores that samples are ranked by: those that the model's own sampler drew by, else the newest of the forget
    set under the model that unlearning began with."""
    forget = evaluated.datasets.get("forget")
    began = writer.model if writer is not None and writer.kind == "unlearn" else evaluated.model
    fitting = [r for r in every if r.kind == "score" and r.model == began and forget in r.datasets.values()]
    order = None if writer is None else place.reading().order(writer.id, 0)
    own = next((r for r in fitting if order is not None and r.id == order.scores), None)
    return own or next(iter(fitting), None)
