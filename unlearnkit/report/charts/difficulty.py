"""How hard samples are to forget, how sure that is, and whether it came true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from unlearnkit.errors import NotFound
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
from unlearnkit.runs.scored import Scored, scored

if TYPE_CHECKING:
    from unlearnkit.report.collect import Difficulty
    from unlearnkit.report.subject import Subject
    from unlearnkit.runs.analyze.difficulty import Group

DOTS = 400
"""In the ranked chart; of more samples, evenly spaced ranks are drawn."""
BARS = 24
CLEAR, UNCLEAR = "clear", "unclear (< 2 std errors)"
RANKED = (
    "Every sample's score from the lowest to the highest, with one standard error up and down. Where bars overlap, the "
    "order of two samples may be chance: read the thirds, not the ranks."
)
HISTOGRAM = (
    "How many samples have such a score. A long tail to one side means that a few samples decide the mean over all."
)
TRUTH = (
    "Each sample's score before unlearning against the update at which it counted as forgotten. Triangles above the "
    "line were never forgotten in that run. A slope says that the score predicts forgetting, a cloud that it does not."
)


def difficulty(about: Subject) -> Charts:
    """Scores of each score run, then scores against updates to forget."""
    found = about.found.difficulty[-MOST:]
    left_out = [] if found else ["No samples have been scored: unlearnkit score --model MODEL --data DATA."]
    if len(about.found.difficulty) > MOST:
        left_out.append(f"Of {len(about.found.difficulty)} score runs the newest {MOST} are drawn.")
    drawn = [made for d in found for made in _scores(about, d)]
    truth, why = _truth(about)
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


def _truth(about: Subject) -> tuple[list[Chart], list[str]]:
    """Scores against updates to forget, for the runs of the report that were probed."""
    from unlearnkit.runs.analyze import difficulty as analyze

    store = about.place.reading()
    newest = [run.id for run in about.trained if run.kind == "unlearn" and run.state == "complete"][-MOST:]
    probed = [run for run in newest if store.probes(run)]
    if not probed:
        return [], ["Difficulty against updates to forget is not drawn: no run was probed (unlearn --probe-every 5)."]
    try:
        groups = analyze(about.place, runs=probed).groups
    except NotFound as error:
        return [], [f"Difficulty against updates to forget is not drawn: {error.message}."]
    drawn = [made for i, group in enumerate(groups, 1) if (made := _against(about, i, group)) is not None]
    return drawn, []


def _against(about: Subject, i: int, group: Group) -> Chart | None:
    """One group's updates against the score of which most samples are known, of equals the report's newest."""
    rows = [row for row in about.place.reading().rows(group.runs[0].run.datasets["forget"]) if row.sample is not None]
    samples = [str(row.sample) for row in rows]
    of_model = [scored(about.place, d.run) for d in about.found.difficulty if d.run.model == group.model]
    by: Scored | None = max(of_model, key=lambda s: len(s.defined.keys() & set(samples)), default=None)
    if by is None or not by.defined.keys() & set(samples):
        return None
    last = max(run.last for run in group.runs)
    never = {run.run.id: last * (1.08 + 0.06 * i) for i, run in enumerate(group.runs)}
    dots: list[dict[str, Any]] = [
        {
            "series": series(about.run_name(run.run)), "score": by.defined[sample], "sample": sample[:12],
            "updates": float(updates) if np.isfinite(updates) else never[run.run.id],
            "told": f"{updates:.0f}" if np.isfinite(updates) else "never", "never": not bool(np.isfinite(updates)),
        }
        for run in group.runs
        for sample, updates in zip(samples, run.updates, strict=True)
        if sample in by.defined and not np.isnan(updates)
    ]  # fmt: skip
    names = list(dict.fromkeys(dot["series"] for dot in dots))
    rho = next((p.rho for p in group.predictions if p.scorer == by.name), None)
    said = ""
    if rho is not None and rho.value is not None:
        interval = "" if rho.low is None else f" [{rho.low:+.2f}, {rho.high:+.2f}]"
        said = f" Spearman's ρ, as the mean over these runs: {rho.value:+.2f}{interval}."
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
        f"difficulty updates {i}", f"{series(by.name)} against updates to forget", f"{TRUTH}{said}",
        edge.mark_rule(strokeDash=[2, 3], opacity=0.5),
        edge.mark_text(align="right", dy=9, opacity=0.8).encode(x=alt.value("width"), text="told:N"),
        base.transform_filter("!datum.never").mark_point(filled=True, opacity=0.85).encode(shape=shape(names)),
        base.transform_filter("datum.never").mark_point(filled=False, shape="triangle-up", size=80),
    )  # fmt: skip
