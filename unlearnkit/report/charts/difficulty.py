"""How hard samples are to forget, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from unlearnkit.report.analysis import claim
from unlearnkit.report.charts.chart import (
    MOST,
    Chart,
    Charts,
    chart,
    colour,
    data,
    having,
    measure,
    series,
    shape,
    wide,
)
from unlearnkit.report.charts.steps import thinned
from unlearnkit.report.charts.updates import DOTS, updates
from unlearnkit.runs.scored import scored

if TYPE_CHECKING:
    from unlearnkit.report.collect import Difficulty
    from unlearnkit.report.subject import Subject

BARS = 24
CLEAR, UNCLEAR = "clear", "unclear (< 2 std errors)"
RANKED = (
    "Every sample's score from the lowest to the highest, with one standard error up and down. Where bars overlap, the "
    "order of two samples may be chance: read the thirds, not the ranks."
)
HISTOGRAM = (
    "How many samples have such a score. A long tail to one side means that a few samples decide the mean over all."
)


def difficulty(about: Subject) -> Charts:
    """Scores of each score run, then scores against updates to forget."""
    found = about.found.difficulty[-MOST:]
    left_out = [] if found else ["No samples have been scored: unlearnkit score --model MODEL --data DATA."]
    if len(about.found.difficulty) > MOST:
        left_out.append(f"Of {about.of_kind('score')} score runs the newest {MOST} are drawn.")
    drawn = [made for d in found for made in _scores(about, d)]
    truth, why = updates(about)
    return Charts([*drawn, *truth], [*left_out, *why])


def _scores(about: Subject, d: Difficulty) -> Iterator[Chart]:
    mark = about.marks[d.run.id]
    of = scored(about.place, d.run)
    ranked = sorted(
        (row for row in about.place.reading().scores(d.run.id).values() if row.value is not None),
        key=lambda row: (row.value, row.sample),
    )
    if not ranked:
        return
    rows: list[dict[str, Any]] = [
        {
            "rank": rank, "value": row.value, "low": row.value - row.stderr if row.stderr is not None else None,
            "high": row.value + row.stderr if row.stderr is not None else None, "sample": row.sample[:12],
            "series": UNCLEAR if row.stderr is not None and abs(row.value) < 2 * row.stderr else CLEAR,
        }
        for rank, row in thinned(list(enumerate(ranked, 1)), DOTS)
        if row.value is not None
    ]  # fmt: skip
    title = f"{mark} {series(d.scorer)}"
    said = f"{claim(of)[0].upper()}{claim(of)[1:]}."
    thinned_out = f" Of {len(ranked)} samples {DOTS} evenly spaced ranks are drawn." if len(ranked) > DOTS else ""
    yield chart(f"difficulty {mark} ranked", f"{title}: ranked", f"{RANKED} {said}{thinned_out}", *_ranked(rows, d))
    values = [row.value for row in ranked if row.value is not None]
    yield chart(f"difficulty {mark} histogram", f"{title}: histogram", HISTOGRAM, _histogram(values, d))


def _ranked(rows: Sequence[dict[str, Any]], d: Difficulty) -> list[alt.Chart]:
    ends = [row[key] for row in rows for key in ("low", "value", "high") if row[key] is not None]
    names = [name for name in (CLEAR, UNCLEAR) if any(row["series"] == name for row in rows)]
    hue, form = colour(names), shape(names, ("circle", "triangle-up"))
    if len(names) == 1:  # nothing to tell apart
        hue.legend = form.legend = None
    x = alt.X(
        "rank:Q", title="rank (1 is the lowest score)", axis=alt.Axis(tickMinStep=1),
        scale=alt.Scale(domain=[0, rows[-1]["rank"] + 1], nice=False),
    )  # fmt: skip
    title = f"{series(d.scorer)} (score)"
    tooltip = [
        alt.Tooltip("sample:N"), alt.Tooltip("rank:Q"), alt.Tooltip("value:Q", title="score", format=".4g"),
        alt.Tooltip("low:Q", title="− 1 standard error", format=".4g"),
        alt.Tooltip("high:Q", title="+ 1 standard error", format=".4g"), alt.Tooltip("series:N", title="is"),
    ]  # fmt: skip
    low, value = (measure(alt.Y, field, title, ends) for field in ("low", "value"))
    return [
        having("low", rows).mark_rule(opacity=0.6).encode(x=x, y=low, y2="high:Q", color=hue),
        data(rows)
        .mark_point(filled=True, opacity=1, size=34)
        .encode(x=x, y=value, color=hue, shape=form, tooltip=tooltip),
    ]


def _histogram(values: Sequence[float], d: Difficulty) -> alt.Chart:
    """Bars of equal width; of equal ratio, where values span orders of magnitude."""
    bars = min(BARS, max(5, round(len(values) ** 0.5) * 2))
    edges: Any = np.geomspace(min(values), max(values), bars + 1) if wide(values) else bars
    counts, edges = np.histogram(values, bins=edges)
    rows = [
        {"low": float(low), "high": float(high), "n": int(n)}
        for low, high, n in zip(edges, edges[1:], counts, strict=False)
    ]
    return data(rows).mark_bar(stroke=None, opacity=0.85).encode(
        x=measure(alt.X, "low", f"{series(d.scorer)} (score)", values), x2="high:Q",
        y=alt.Y("n:Q", title="samples", axis=alt.Axis(tickMinStep=1)), y2=alt.datum(0),
        tooltip=[alt.Tooltip("low:Q", title="from", format=".4g"), alt.Tooltip("high:Q", title="to", format=".4g"),
                 alt.Tooltip("n:Q", title="samples")],
    )  # fmt: skip
