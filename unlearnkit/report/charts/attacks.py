"""What was forgotten, and what comes back under attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from unlearnkit.report.charts.chart import Chart, Charts, chart, colour, data, series, shape

if TYPE_CHECKING:
    from unlearnkit.report.subject import Subject

STATES = ("before", "under attack", "retain-only")
ABOUT = (
    "Each line is an attack on a model: from what it gave before to what the worst condition makes of it, as means "
    "over samples. What the retain-only model gives under the same attack is what anybody would who never saw them: "
    "only what lies beyond it came back."
)


def attacks(about: Subject) -> Charts:
    """A chart for each metric, a line for each attack and group of samples."""
    found = about.found.attacks
    if not found:
        return Charts(left_out=["No attack was made: unlearnkit attack relearn MODEL --forget DATA."])
    metrics = dict.fromkeys(outcome.metric for attack in found for outcome in attack.outcomes)
    return Charts([_chart(about, metric) for metric in metrics])


def _chart(about: Subject, metric: str) -> Chart:
    rows: list[dict[str, Any]] = []
    for attack in about.found.attacks:
        for o in attack.outcomes:
            if o.metric == metric:
                group = "" if o.samples == "all" else f" ({o.samples})"
                line = f"{series(f'{about.marks[attack.run]} {attack.attack}{group}')}\n{series(attack.label)}"
                values = zip(STATES, (o.before, o.under, o.reference_under), strict=True)
                rows += [
                    {"attack": line, "series": state, "value": value, "n": o.n}
                    for state, value in values
                    if value is not None
                ]
    lines = list(dict.fromkeys(row["attack"] for row in rows))
    states = [state for state in STATES if any(row["series"] == state for row in rows)]
    y = alt.Y("attack:N", title=None, sort=lines, axis=alt.Axis(labelLimit=150, labelExpr="split(datum.label, '\\n')"))
    x = alt.X("value:Q", title=f"{metric} (mean over samples)", scale=alt.Scale(zero=True, nice=True))
    base = data(rows).encode(y=y)
    rise = base.transform_filter(alt.FieldOneOfPredicate("series", list(STATES[:2])))
    return chart(
        f"attacks {metric}", f"under attack: {metric}", ABOUT,
        rise.mark_line(strokeWidth=2, opacity=0.5).encode(x=x, detail="attack:N"),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=x, color=colour(states), shape=shape(states),
            tooltip=[alt.Tooltip("attack:N"), alt.Tooltip("series:N", title="when"),
                     alt.Tooltip("value:Q", format=".4f"), alt.Tooltip("n:Q", title="samples")],
        ),
        height=max(90, 40 * len(lines) + 30),
    )  # fmt: skip
