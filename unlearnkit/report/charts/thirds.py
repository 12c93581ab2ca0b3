"""Results by easy, middle and hard third of the forget set."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import altair as alt

from unlearnkit.report.charts.chart import MOST, Chart, Charts, chart, colour, data, quiet_lines, series, shape

if TYPE_CHECKING:
    from unlearnkit.report.collect import Third
    from unlearnkit.report.subject import Subject

ABOUT = (
    "Means over each third of the forget set, ranked by difficulty before unlearning. A level line forgot hard samples "
    "as well as easy ones; a slope says for whom a mean over all does not hold. A third is a third of the samples: few "
    "samples make a noisy line."
)
METRICS = 6
"""Metrics drawn of one ranking; the table has all."""


def thirds(about: Subject) -> Charts:
    """For each ranking and metric a chart, with a line for each evaluation."""
    if not about.found.thirds:
        return Charts(
            left_out=["No evaluation of the forget set has scores under the model that unlearning began with."]
        )
    drawn, left_out = [], []
    ranked = sorted(about.found.thirds, key=lambda t: t.score_run)
    for score_run, of_ranking in groupby(ranked, key=lambda t: t.score_run):
        rows = list(of_ranking)
        metrics = list(dict.fromkeys(t.metric for t in rows))
        runs = list(dict.fromkeys(t.eval_run for t in rows))
        mark = about.marks.get(score_run, score_run)
        drawn += [
            _chart(about, mark, [t for t in rows if t.metric == m and t.eval_run in runs[-MOST:]])
            for m in metrics[:METRICS]
        ]
        if len(runs) > MOST:
            left_out.append(
                f"Of {len(runs)} evaluations ranked by {mark} the newest {MOST} are drawn; the table has all."
            )
        if len(metrics) > METRICS:
            left_out.append(f"Of {len(metrics)} metrics {METRICS} are drawn; the table has all.")
    return Charts(drawn, left_out)


def _chart(about: Subject, mark: str, found: list[Third]) -> Chart:
    metric, order = found[0].metric, list(dict.fromkeys(t.third for t in found))
    named = [(series(f"{about.marks[t.eval_run]} {t.label}"), t) for t in found]
    rows = [{"series": name, "third": t.third, "value": t.value, "n": t.n} for name, t in named]
    names = list(dict.fromkeys(name for name, _ in named))
    x = alt.X(
        "third:N", title=f"third of the forget set, by {series(found[0].scorer)}", sort=order,
        axis=alt.Axis(labelAngle=0), scale=alt.Scale(type="point", padding=0.3),
    )  # fmt: skip
    y = alt.Y("value:Q", title=f"forget.{metric} (mean)", scale=alt.Scale(zero=True, nice=True))
    points = data(rows).mark_point(filled=True, opacity=1).encode(
        x=x, y=y, color=colour(names), shape=shape(names),
        tooltip=[alt.Tooltip("series:N", title="evaluation"), alt.Tooltip("third:N"),
                 alt.Tooltip("value:Q", title="mean", format=".4f"), alt.Tooltip("n:Q", title="samples")],
    )  # fmt: skip
    lines = quiet_lines(rows, names, x=x, y=y)
    return chart(f"thirds {mark} {metric}", f"forget.{metric} by third ({mark})", ABOUT, *lines, points)
