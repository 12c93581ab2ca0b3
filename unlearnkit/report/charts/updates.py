"""Whether difficulty came true: scores from before unlearning against the updates that samples took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from unlearnkit.errors import NotFound
from unlearnkit.report.charts.chart import MOST, Chart, chart, colour, data, measure, series, shape
from unlearnkit.report.charts.steps import thinned
from unlearnkit.runs.scored import Scored, scored

if TYPE_CHECKING:
    from unlearnkit.report.subject import Subject
    from unlearnkit.runs.analyze.difficulty import Group

DOTS = 400
"""Samples in a chart; of more, those at evenly spaced ranks are drawn."""
TRUTH = (
    "Each sample's score before unlearning against the update at which it counted as forgotten. Triangles above the "
    "line were never forgotten in that run. A slope says that the score predicts forgetting, a cloud that it does not."
)


def updates(about: Subject) -> tuple[list[Chart], list[str]]:
    """A chart for each model and forget set whose unlearning was looked at on the way, and why others are left out."""
    from unlearnkit.runs.analyze import difficulty as analyze

    store, said = about.place.reading(), "Difficulty against updates to forget is not drawn"
    unlearned = [run for run in about.trained if run.kind == "unlearn" and run.state == "complete"][-MOST:]
    probed = [run for run in unlearned if store.probed(run.id)]
    by_scores = [run for run in probed if (order := store.order(run.id, 0)) is not None and order.scores is not None]
    fair = [run.id for run in probed if run not in by_scores]
    why = [f"{said} of {about.run_name(run)}: scores that drew its order come true by that." for run in by_scores]
    if not fair:
        return [], why or [f"{said}: no run was probed (unlearn --probe-every 5)."]
    try:
        groups = analyze(about.place, runs=fair).groups
    except NotFound as error:
        return [], [*why, f"{said}: {error.message}."]
    drawn = [made for i, group in enumerate(groups, 1) if (made := _against(about, i, group)) is not None]
    return drawn, why


def _against(about: Subject, i: int, group: Group) -> Chart | None:
    """One group's updates against the score of which most samples are known, of equals the report's newest."""
    rows = about.place.reading().rows(group.runs[0].run.datasets["forget"])
    samples = [row.sample for row in rows if row.sample is not None]
    of_model = [scored(about.place, d.run) for d in about.found.difficulty if d.run.model == group.model]
    by: Scored | None = max(of_model, key=lambda s: len(s.defined.keys() & set(samples)), default=None)
    scores = {} if by is None else by.defined
    index = {sample: at for at, sample in enumerate(samples)}
    known = [s for s in sorted(samples, key=lambda s: scores.get(s, 0.0)) if s in scores]
    last = max(run.last for run in group.runs)
    never = {run.run.id: last * (1.08 + 0.06 * at) for at, run in enumerate(group.runs)}
    dots: list[dict[str, Any]] = []
    for run in group.runs:
        for sample in thinned(known, DOTS):
            took = run.updates[index[sample]]
            if not np.isnan(took):
                went = bool(np.isfinite(took))
                dots.append(
                    {
                        "series": series(about.run_name(run.run)), "score": scores[sample], "sample": sample[:12],
                        "updates": float(took) if went else never[run.run.id],
                        "told": f"{took:.0f}" if went else "never", "never": not went,
                    }
                )  # fmt: skip
    if by is None or not dots:
        return None
    names = list(dict.fromkeys(dot["series"] for dot in dots))
    x = measure(alt.X, "score", f"{series(by.name)} (score)", [dot["score"] for dot in dots])
    top = max(never.values()) + 0.04 * last
    y = alt.Y("updates:Q", title="updates to forget", scale=alt.Scale(domain=[0, top], nice=False))
    edge = data([{"updates": 1.04 * last, "told": "never forgotten ↑"}]).encode(y=y)
    base = data(dots).encode(
        x=x, y=y, color=colour(names),
        tooltip=[alt.Tooltip("series:N", title="run"), alt.Tooltip("sample:N"),
                 alt.Tooltip("score:Q", format=".4g"), alt.Tooltip("told:N", title="updates to forget")],
    )  # fmt: skip
    return chart(
        f"difficulty updates {i}", f"{series(by.name)} against updates to forget", f"{TRUTH}{_rho(group, by)}",
        edge.mark_rule(strokeDash=[2, 3], opacity=0.5),
        edge.mark_text(align="right", dy=9, opacity=0.8).encode(x=alt.value("width"), text="told:N"),
        base.transform_filter("!datum.never").mark_point(filled=True, opacity=0.85).encode(shape=shape(names)),
        base.transform_filter("datum.never").mark_point(filled=False, shape="triangle-up", size=80),
    )  # fmt: skip


def _rho(group: Group, by: Scored) -> str:
    """What the analysis says of all samples, in a sentence; nothing where it is undefined."""
    rho = next((p.rho for p in group.predictions if p.scorer == by.name), None)
    if rho is None or rho.value is None:
        return ""
    interval = "" if rho.low is None else f" [{rho.low:+.2f}, {rho.high:+.2f}]"
    return f" Spearman's ρ, as the mean over these runs: {rho.value:+.2f}{interval}."
