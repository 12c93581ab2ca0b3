"""Figures of evaluations: the mean of a metric's terms over a split, or over a third of it by difficulty.

Reading all rows of an evaluation and resampling them takes long where there are many. So a figure of a complete
evaluation is kept, under a key of what it is determined by besides the rows: the metric's code and options, and how
means and intervals are made; of thirds also what the scorer calls them. One under another key is made again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import Aggregate, Metric
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.plugins import metrics_named, options_of
from unlearnkit.plugins.origin import nearest
from unlearnkit.runs.identity import digest
from unlearnkit.runs.scored import bins, scored, third_names
from unlearnkit.store import records
from unlearnkit.suites import Suite

if TYPE_CHECKING:
    from unlearnkit.contracts import Columns
    from unlearnkit.runs.definitions import Meaning
    from unlearnkit.runs.workplace import Workplace

log = logging.getLogger(__name__)

VERSION = 1
"""Changes when the same rows would come to other figures."""

Metrics = Mapping[tuple[str, str], Metric]
"""By split and the name that their values stand under."""


@dataclass(frozen=True)
class Figure:
    """A metric over a split: the mean of its per-sample terms with a 95 % bootstrap interval, None where undefined."""

    value: float | None
    n: int
    low: float | None
    high: float | None
    reason: str | None = None


def figure_json(figure: Figure) -> dict[str, Any]:
    """A metric's figure as data."""
    return {"value": figure.value, "n": figure.n, "low": figure.low, "high": figure.high}


def aggregate_json(row: records.AggregateRow) -> dict[str, Any]:
    """An aggregate as data."""
    return {"value": row.value, "n": row.n, "low": row.low, "high": row.high, "reason": row.reason}


def meaning_json(meanings: Mapping[str, Meaning], name: str) -> dict[str, str]:
    """What a number means as data: nothing where its plugin is not there any more."""
    return meanings[name].json() if name in meanings else {}


class Figures:
    """Figures of some complete evaluations, read together; those that are not kept yet are made and kept."""

    def __init__(self, place: Workplace, runs: Iterable[str]) -> None:
        self._place = place
        self._store = place.reading()
        self._keeping = not self._store.readonly
        self._rows = self._store.figures(runs)
        self._measures: dict[str, Measures] = {}
        self._pieces: dict[str, list[list[str]]] = {}

    def measures(self, run: records.Run) -> Measures:
        """What a run was evaluated by."""
        kept = json.dumps(run.config.get("suite") or run.method)
        if kept not in self._measures:
            chosen = suite_of(self._place, run)
            self._measures[kept] = Measures(self._place, chosen, offered(self._place, chosen))
        return self._measures[kept]

    def of(self, run: records.Run) -> dict[str, Figure]:
        """{`split.metric`: figure}, in the suite's order; without those that were not measured."""
        return self.by(run.id, self.measures(run))

    def by(self, run: str, measures: Measures) -> dict[str, Figure]:
        """The same of a run's id, by what it was measured by."""
        rows = self._kept(run, "", measures.keys)
        if rows is None:
            rows = self._keep(run, measures.figures(self._store.results(run)))
        return {
            f"{r.split}.{r.metric}": Figure(r.value, r.n, r.low, r.high, r.reason)
            for r in rows
            if r.value is not None or r.reason is not None
        }

    def thirds(self, run: records.Run, ranked: records.Run) -> list[records.FigureRow]:
        """Figures of the forget set by thirds of what a score run ranks, metric by metric, the lowest scores first;
        without those of no sample."""
        names, measures = third_names(self._place, ranked), self.measures(run)
        keys = {
            (split, metric, third): digest("third", names, key)
            for (split, metric, _), key in measures.keys.items()
            for third in names
            if split == "forget" and (split, metric) in measures.metrics
        }
        rows = self._kept(run.id, ranked.id, keys)
        if rows is None:
            if ranked.id not in self._pieces:
                self._pieces[ranked.id] = bins(scored(self._place, ranked).defined, 3)
            pieces = dict(zip(names, self._pieces[ranked.id], strict=True))
            made = measures.thirds(self._store.values(run.id, split="forget"), pieces, keys)
            rows = self._keep(run.id, [replace(row, scores=ranked.id) for row in made])
        return [row for row in rows if row.n]

    def _kept(self, run: str, scores: str, keys: Keys) -> list[records.FigureRow] | None:
        """What is kept of all that the keys are of, in their order; None where that is not all of it."""
        held = {(r.split, r.metric, r.third): r for r in self._rows.get(run, ()) if r.scores == scores}
        rows = [held.get(name) for name in keys]
        whole = [row for row, key in zip(rows, keys.values(), strict=True) if row is not None and row.key == key]
        return whole if len(whole) == len(keys) else None

    def _keep(self, run: str, rows: list[records.FigureRow]) -> list[records.FigureRow]:
        """Keeping only spares work the next time: where the store takes nothing in now, reading goes on."""
        if self._keeping:
            try:
                self._store.put_figures(run, rows)
            except UnlearnkitError as error:
                log.info("figures are not kept: %s", error.code)
                self._keeping = False
        return rows


Keys = Mapping[tuple[str, str, str], str]
"""By split, metric and third ("" for all samples)."""


class Measures:
    """A suite, and those of its metrics whose plugin is there."""

    def __init__(self, place: Workplace, suite: Suite, metrics: Metrics) -> None:
        self.suite, self.metrics = suite, metrics
        self._place = place

    @cached_property
    def meanings(self) -> Mapping[str, Meaning]:
        """What the suite's numbers mean, by name."""
        from unlearnkit.runs.definitions import meanings

        return meanings(self._place, self.suite)

    @cached_property
    def keys(self) -> Keys:
        """What determines figures besides the rows, in the suite's order."""
        return {
            (split, use.name, ""): digest(
                "figure",
                VERSION,
                [*self._place.plugins.code("metric", use.plugin), options_of(self.metrics[split, use.name])]
                if (split, use.name) in self.metrics
                else None,
            )
            for split, of in self.suite.splits.items()
            for use in of.metrics
        }

    def figures(self, results: Sequence[records.Result]) -> list[records.FigureRow]:
        """A row for each key; one without a value and a reason is of what was not measured."""
        from unlearnkit.analysis.bootstrap import bootstraps
        from unlearnkit.evaluating import columns

        made: Columns = columns(results, self.metrics)
        bounds = dict(zip(made, bootstraps([column.terms for column in made.values()]), strict=True))
        reasons = {(r.split, r.metric): r.status for r in reversed(results)}
        rows = []
        for (split, metric, third), key in self.keys.items():
            column = made.get((split, metric))
            low, high = bounds.get((split, metric)) or (None, None)
            value, n = (None, 0) if column is None else (column.mean, len(column.terms))
            reason = reasons.get((split, metric)) if column is None else None
            rows.append(records.FigureRow(split, metric, third, key, value, n, low, high, reason))
        return rows

    def thirds(
        self,
        values: Mapping[tuple[str, str], Mapping[str, float | None]],
        pieces: Mapping[str, Sequence[str]],
        keys: Keys,
    ) -> list[records.FigureRow]:
        """A row for each key: the mean over those of a piece's samples that have a value."""
        import numpy as np

        inside = {third: sorted(piece) for third, piece in pieces.items()}
        rows = []
        for (split, metric, third), key in keys.items():
            of = values.get((split, metric), {})
            some = np.array([value for sample in inside[third] if (value := of.get(sample)) is not None])
            mean = float(self.metrics[split, metric].summarise(some, split).mean()) if len(some) else None
            rows.append(records.FigureRow(split, metric, third, key, mean, len(some)))
        return rows


def figures_of(place: Workplace, run: str, chosen: Suite, metrics: Metrics) -> dict[str, Figure]:
    """{`split.metric`: figure} of one complete evaluation."""
    return Figures(place, [run]).by(run, Measures(place, chosen, metrics))


def metrics_of(place: Workplace, chosen: Suite) -> Metrics:
    """The metrics of a suite's splits."""
    return {
        (split, use.name): place.plugins.build("metric", use.plugin, use.options)
        for split, of in chosen.splits.items()
        for use in of.metrics
    }


def aggregates_of(place: Workplace, chosen: Suite) -> dict[str, Aggregate]:
    """The aggregates of a whole suite, by name.

    Raises:
        BadInput: code "suite", where an option names a metric that the suite does not have.
    """
    known = dict.fromkeys(use.name for of in chosen.splits.values() for use in of.metrics)
    found: dict[str, Aggregate] = {}
    for use in chosen.aggregates:
        found[use.name] = place.plugins.build("aggregate", use.plugin, use.options)
        for name in metrics_named(found[use.name], use.options):
            if name not in known:
                meant = nearest(name, known)
                hint = f'did you mean "{meant}"?' if meant else f"its metrics: {', '.join(known)}"
                raise BadInput(f'{use.name}: the suite has no metric "{name}"', hint=hint, code="suite")
    return found


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


def current(rows: Sequence[records.AggregateRow], known: Iterable[str]) -> list[records.AggregateRow]:
    """A number against each reference that is `known` to be there, the newest first; the row that only says that one is
    needed, where none is."""
    known = set(known)
    held = [row for row in rows if row.reference in known]
    names = {row.name for row in held}
    alone = [row for row in rows if row.reference is None and row.name not in names]
    newest_first = sorted(alone + held, key=lambda row: row.reference or "", reverse=True)
    return sorted(newest_first, key=lambda row: row.name)
