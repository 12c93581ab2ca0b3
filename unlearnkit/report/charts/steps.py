"""Training as it went, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import altair as alt
import numpy as np

from unlearnkit.report.charts.chart import (
    COLOURS,
    MOST,
    Chart,
    Charts,
    chart,
    colour,
    dash,
    data,
    measure,
    quiet_lines,
    series,
    shape,
)

if TYPE_CHECKING:
    from unlearnkit.report.curve import Curve
    from unlearnkit.report.subject import Subject
    from unlearnkit.store.records import Run

T = TypeVar("T")

POINTS = 300
"""Of one line; of more steps, evenly spaced ones are drawn, the last among them."""
UNITS = {
    "loss": "loss (unit of the algorithm)",
    "forget": "forget term (unit of the algorithm)",
    "retain": "retain term (nats)",
    "lr": "learning rate",
    "grad_norm": "gradient norm before clipping",
}
LEFT_OUT = ("epoch",)
WATCHED = (
    "forget.probability",
    "retain.probability",
    "model_utility",
    "forget.rouge",
    "retain.rouge",
    "forget_quality",
)
"""What is drawn of evaluations on the way: all of them are shares, from 0 to 1."""
TERMS = (
    "Each line is a run. Terms are what the algorithm minimises, each in its own unit: compare the shape of two "
    "algorithms' lines, not their height. A term may fall while nothing is forgotten; the evaluations say what was."
)
NLL = (
    "Mean negative log-likelihood of the forget set's answers, as probed on the way, in a line for each run; the pale "
    "band holds the middle 80 % of the samples. Up is more forgotten. A rising mean with a low band means that some "
    "samples are pushed far while others stay."
)
ON_THE_WAY = (
    "What evaluations found at steps on the way. The vertical line is the step whose weights were kept. What was to be "
    "forgotten should fall before what was to be kept does; where both fall together, the run unlearns everything."
)


def steps(about: Subject) -> Charts:
    """Terms, learning rates and NLLs on the way, unlearning and fine-tuning apart."""
    drawn = [*_nll(about)]
    for kind in ("unlearn", "finetune"):
        drawn += _terms(about, kind)
    drawn += [_on_the_way(about, curve) for curve in about.found.curves[:MOST]]
    if drawn:
        return Charts(drawn, [*_cut(about)])
    return Charts(left_out=["No training run in this report has steps in the store."])


def _runs(about: Subject, kind: str) -> list[Run]:
    """The newest few of a kind, oldest first."""
    return [run for run in about.trained if run.kind == kind][-MOST:]


def _cut(about: Subject) -> Iterator[str]:
    for kind, words in (("unlearn", "unlearning"), ("finetune", "fine-tuning")):
        n = about.of_kind(kind)
        if n > MOST:
            yield f"Of {n} {words} runs the newest {MOST} are drawn."


def _terms(about: Subject, kind: str) -> Iterator[Chart]:
    store = about.place.reading()
    taken = {run.id: thinned(store.steps(run.id)) for run in _runs(about, kind)}
    names = dict.fromkeys(name for of in taken.values() for step in of for name in step.terms if name not in LEFT_OUT)
    whole: list[dict[str, Any]] = []
    for term in sorted(names, key=lambda name: (list(UNITS).index(name) if name in UNITS else 2, name)):
        rows = [
            {"series": series(about.run_name(run)), "step": step.step, "value": step.terms[term]}
            for run in _runs(about, kind)
            for step in taken[run.id]
            if term in step.terms
        ]
        if rows == whole:
            continue  # the only term there is
        whole = rows if term == "loss" else whole
        words = "unlearning" if kind == "unlearn" else "fine-tuning"
        title = UNITS.get(term, f"{term} term (unit of the algorithm)")
        lines = _lines(rows, title, ratios=term != "lr")
        yield chart(f"{kind} {term}", f"{words}: {term}", TERMS, lines)


def _lines(rows: Sequence[dict[str, Any]], title: str, *, ratios: bool) -> alt.Chart:
    names = list(dict.fromkeys(row["series"] for row in rows))
    return data(rows).mark_line().encode(
        x=_step(), y=measure(alt.Y, "value", title, [row["value"] for row in rows], ratios=ratios),
        color=colour(names), strokeDash=dash(names), tooltip=_tooltip(),
    )  # fmt: skip


def _step() -> alt.X:
    return alt.X("step:Q", title="optimiser steps", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False))


def _tooltip() -> list[alt.Tooltip]:
    return [alt.Tooltip("series:N", title="of"), alt.Tooltip("step:Q"), alt.Tooltip("value:Q", format=".5g")]


def _nll(about: Subject) -> Iterator[Chart]:
    store = about.place.reading()
    rows: list[dict[str, Any]] = []
    for run in _runs(about, "unlearn"):
        swept: dict[int, list[float]] = {}
        for probe in store.probes(run.id):
            if probe.swept and probe.nll is not None:
                swept.setdefault(probe.updates, []).append(probe.nll)
        for updates, values in thinned(sorted(swept.items())):
            low, high = np.quantile(values, [0.1, 0.9])
            rows.append(
                {"series": series(about.run_name(run)), "step": updates, "value": float(np.mean(values)),
                 "low": float(low), "high": float(high)}
            )  # fmt: skip
    if rows:
        names = list(dict.fromkeys(row["series"] for row in rows))
        title = "forget NLL (nats per label token)"
        bands = [
            data([row for row in rows if row["series"] == name])
            .mark_area(opacity=0.15, color=COLOURS[i])
            .encode(x=_step(), y=alt.Y("low:Q", title=title), y2="high:Q")
            for i, name in enumerate(names)
        ]
        lines = _lines(rows, title, ratios=False)
        yield chart("unlearn forget nll", "unlearning: NLL of the forget set", NLL, *bands, lines)


def _on_the_way(about: Subject, curve: Curve) -> Chart:
    there = [name for name in WATCHED if any(p.values.get(name) is not None for p in curve.points)]
    rows = [
        {"series": name, "step": point.step, "value": point.values[name]}
        for name in there
        for point in curve.points
        if point.values.get(name) is not None
    ]
    kept = data([{"step": curve.step}]).mark_rule(strokeDash=[4, 4], opacity=0.6).encode(x=_step())
    y = alt.Y("value:Q", title="value (share)", scale=alt.Scale(zero=True, nice=True))
    points = data(rows).mark_point(filled=True, opacity=1).encode(
        x=_step(), y=y, color=colour(there), shape=shape(there), tooltip=_tooltip()
    )  # fmt: skip
    lines = quiet_lines(rows, there, x=_step(), y=y)
    title = f"on the way: {about.run_name(curve.run)}"
    return chart(f"on the way {about.marks[curve.run.id]}", title, ON_THE_WAY, kept, *lines, points)


def thinned(rows: Sequence[T], most: int = POINTS) -> list[T]:
    """At most so many rows, evenly spaced, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]
