"""The unlearning curve of a run: what its evaluations found on the way, step by step, from the store alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from unlearnkit.report.sheet import Sheet, drawn, figure, label, number
from unlearnkit.report.spark import spark

if TYPE_CHECKING:
    from unlearnkit.runs.figures import Figures
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import records

SHOWN = 8
"""Steps in a table, so that it fits 80 columns."""


@dataclass(frozen=True)
class Point:
    """The evaluation after so many optimiser steps; a value is None where it is undefined."""

    step: int
    run: str
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Curve:
    """A training run's evaluations. Its model has the weights after `step` steps."""

    run: records.Run
    label: str
    step: int
    points: Sequence[Point]

    def json(self) -> dict[str, Any]:
        """The curve as data."""
        points = [{"step": p.step, "run": p.run, "values": dict(p.values)} for p in self.points]
        return {"run": self.run.id, "label": self.label, "step": self.step, "points": points}


def curve(place: Workplace, run: records.Run) -> Curve | None:
    """The curve of a complete run; None for one that was not evaluated on its way."""
    from unlearnkit.runs.figures import Figures
    from unlearnkit.runs.training import evaluations_of

    evaluations = evaluations_of(run.summary)
    if not evaluations:
        return None
    figures = Figures(place, evaluations.values())
    points = [Point(step, found, _values(place, found, run, figures)) for step, found in sorted(evaluations.items())]
    return Curve(run, f"{run.method}, {run.config['sampler']}", run.summary["step"], points)


def _values(place: Workplace, evaluation: str, run: records.Run, figures: Figures) -> dict[str, float | None]:
    store = place.reading()
    against = run.config.get("reference") or ""
    return {
        **{name: figure.value for name, figure in figures.of(store.run(evaluation)).items()},
        **{row.name: row.value for row in store.aggregates(evaluation, against)},
    }


def curve_sheet(found: Curve) -> Sheet:
    """Some of the steps side by side: the first, the last and the one of the model among them."""
    points = _thinned(found)
    title = f"{found.label}: evaluations by steps"
    note = f"the model is that of step {found.step}" if found.step != found.points[-1].step else ""
    sheet = Sheet(title, label("after steps"), drawn(""), *(number(str(p.step)) for p in points), note=note)
    names = list(dict.fromkeys(name for p in points for name in p.values))
    parts = [(name.rpartition(".")[0], name) for name in names]
    for split, of_split in groupby(parts, key=lambda part: part[0]):
        sheet.add(f"{split} set" if split else "over samples", "", *("" for _ in points))
        for _, name in of_split:
            curve = spark([p.values.get(name) for p in found.points], width=SHOWN)
            sheet.add(f"  {name.rpartition('.')[2]}", curve, *(figure(p.values.get(name)) for p in points))
    return sheet


def _thinned(found: Curve) -> list[Point]:
    points = list(found.points)
    if len(points) <= SHOWN:
        return points
    last = len(points) - 1
    kept = {round(i * last / (SHOWN - 2)) for i in range(SHOWN - 1)}
    return [p for i, p in enumerate(points) if i in kept or p.step == found.step]
