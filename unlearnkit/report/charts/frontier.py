"""Forgetting against keeping, a mark for each evaluated model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from unlearnkit.report.charts.chart import COLOURS, SHAPES, Chart, Charts, chart, colour, data, having, series, shape

if TYPE_CHECKING:
    from unlearnkit.report.collect import Evaluated
    from unlearnkit.report.subject import Subject
    from unlearnkit.runs.figures import Figure
    from unlearnkit.store.records import AggregateRow

PAIRS = (
    ("forget.probability", "model_utility"),
    ("forget.probability", "retain.probability"),
    ("forget.rouge", "retain.rouge"),
)
"""What is forgotten, and what is to be kept."""
KINDS = ("unlearned", "before unlearning", "retain-only", "other")
ABOUT = (
    "Left is more forgotten, up is more kept: the upper left is where a model should be, no further left than the "
    "model that never saw the forget set. Whiskers are 95 % intervals; where they overlap, an order may be chance. The "
    "dotted line joins the unlearned models that no other beats in both."
)


def frontier(about: Subject) -> Charts:
    """One chart for each pair of numbers that two models or more have, model utility in place of its parts."""
    drawn: list[Chart] = []
    for forget, retain in PAIRS:
        rows = _rows(about, forget, retain)
        if len(rows) > 1 and not (retain == "retain.probability" and drawn):
            drawn.append(_chart(forget, retain, rows))
    if drawn:
        return Charts(drawn)
    return Charts(left_out=["No two models have both a number of forgetting and one of keeping."])


def _rows(about: Subject, forget: str, retain: str) -> list[dict[str, Any]]:
    """A row for each place in the chart: evaluations that found the same of the same share theirs."""
    before = {e.writer.model for e in about.evaluated if e.writer and e.writer.kind == "unlearn"}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for e in about.evaluated:
        x, y = _number(e, forget), _number(e, retain)
        if x and y:
            row = {
                "series": _kind(about, e, before), "label": e.label, "x": x.value, "x_low": x.low, "x_high": x.high,
                "y": y.value, "y_low": y.low, "y_high": y.high,
            }  # fmt: skip
            kept = rows.setdefault(tuple(row.values()), {**row, "marks": []})
            kept["marks"].append(about.marks[e.run.id])
    return [
        {**row, "mark": " ".join(row["marks"]), "name": series(f"{' '.join(row['marks'])} {row['label']}")}
        for row in rows.values()
    ]


def _kind(about: Subject, e: Evaluated, before: set[str]) -> str:
    if e.run.id in about.found.references and not (e.writer and e.writer.kind == "unlearn"):
        return "retain-only"
    if e.writer is not None and e.writer.kind == "unlearn":
        return "unlearned"
    return "before unlearning" if e.run.model in before else "other"


def _number(e: Evaluated, name: str) -> Figure | AggregateRow | None:
    """A number that has a value."""
    found = e.figures.get(name) or next((row for row in e.aggregates if row.name == name), None)
    return found if found is not None and found.value is not None else None


def _chart(forget: str, retain: str, rows: Sequence[dict[str, Any]]) -> Chart:
    kinds = [kind for kind in KINDS if any(row["series"] == kind for row in rows)]
    look = [KINDS.index(kind) for kind in kinds]
    hue = colour(kinds, [COLOURS[i] for i in look])
    x = alt.X("x:Q", title=f"{forget} (share; less is more forgotten)", scale=alt.Scale(zero=True, nice=True))
    y = alt.Y("y:Q", title=f"{retain} (share; more is more kept)", scale=alt.Scale(zero=False, nice=True))
    tooltip = [
        alt.Tooltip("name:N", title="model"), alt.Tooltip("series:N", title="what it is"),
        alt.Tooltip("x:Q", title=forget, format=".4f"), alt.Tooltip("y:Q", title=retain, format=".4f"),
    ]  # fmt: skip
    marks = (
        data(rows)
        .mark_point(filled=True, size=110, opacity=1)
        .encode(x=x, y=y, color=hue, shape=shape(kinds, [SHAPES[i] for i in look]), tooltip=tooltip)
    )
    layers = [
        *_reference_lines(rows),
        having("x_low", rows).mark_rule(opacity=0.8).encode(x="x_low:Q", x2="x_high:Q", y=y, color=hue),
        having("y_low", rows).mark_rule(opacity=0.8).encode(x=x, y="y_low:Q", y2="y_high:Q", color=hue),
        _best(rows), marks,
        *_labels(rows, x, y),
    ]  # fmt: skip
    return chart(f"frontier {forget} {retain}", f"{forget} against {retain}", ABOUT, *layers, height=340)


def _labels(rows: Sequence[dict[str, Any]], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Beside each mark, towards the middle; above and below in turn, so that neighbours keep apart."""
    middle = (min(row["x"] for row in rows) + max(row["x"] for row in rows)) / 2
    text = "name:N" if len(rows) <= 8 else "mark:N"
    layers = []
    for align, dx in (("left", 9), ("right", -9)):
        beside = [row for row in sorted(rows, key=lambda row: -row["y"]) if (row["x"] <= middle) == (align == "left")]
        for some, dy in ((beside[::2], -9), (beside[1::2], 13)):
            layers.append(data(some).mark_text(align=align, dx=dx, dy=dy).encode(x=x, y=y, text=text))
    return layers


def _reference_lines(rows: Sequence[dict[str, Any]]) -> list[alt.Chart]:
    """How much the model before unlearning kept, and how little one that never saw the forget set knows of it."""
    before = [row for row in rows if row["series"] == "before unlearning"][:1]
    alone = [row for row in rows if row["series"] == "retain-only"][:1]
    return [
        data(before).mark_rule(strokeDash=[4, 4], opacity=0.5).encode(y="y:Q"),
        data(alone).mark_rule(strokeDash=[4, 4], opacity=0.5).encode(x="x:Q"),
    ]


def _best(rows: Sequence[dict[str, Any]]) -> alt.Chart:
    """The unlearned models that no other beats in both."""
    own = [row for row in rows if row["series"] == "unlearned"]
    best = [a for a in own if not any(_beats(b, a) for b in own)]
    return data(best).mark_line(strokeDash=[1, 4], opacity=0.8, color=COLOURS[0]).encode(x="x:Q", y="y:Q", order="x:Q")


def _beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    no_worse = one["x"] <= other["x"] and one["y"] >= other["y"]
    return no_worse and (one["x"], one["y"]) != (other["x"], other["y"])
