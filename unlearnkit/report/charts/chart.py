"""What a chart is, and how all of them look, on a page and in a file.

Series are told apart by colour and by shape or dash, never by colour alone. Colours are those of Okabe and Ito
(https://jfly.uni-koeln.de/color/) that stand out from white and from near-black alike. A chart is Vega-Lite without a
theme, so that ink can follow the page that it stands on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import altair as alt

from unlearnkit.report.sheet import shorten

T = TypeVar("T", alt.X, alt.Y)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
DASHES = ([1, 0], [6, 3], [2, 2], [9, 3, 2, 3], [4, 5], [1, 3])
MOST = len(COLOURS)
"""Series in one chart: more cannot be told apart."""
HEIGHT = 260
LABEL = 28
"""Characters of a series' name."""


@dataclass(frozen=True)
class Chart:
    """A chart: the name of its file, what it shows, how to read it, and Vega-Lite with its data in it."""

    name: str
    title: str
    about: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Charts:
    """What is drawn of one subject, and why what is left out is."""

    drawn: Sequence[Chart] = ()
    left_out: Sequence[str] = field(default=())


def chart(name: str, title: str, about: str, *layers: alt.Chart, height: int = HEIGHT) -> Chart:
    """Layers as one chart, checked against Vega-Lite's schema; those without data are left out."""
    spec = alt.layer(*(layer for layer in layers if layer.data["values"])).properties(height=height).to_dict()
    spec.pop("config")
    return Chart(slug(name), title, about, spec)


def data(rows: Sequence[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=list(rows)))


def having(field: str, rows: Sequence[dict[str, Any]]) -> alt.Chart:
    """Of the rows in which a field is known: an interval is not always."""
    return data([row for row in rows if row[field] is not None])


def series(name: str) -> str:
    """What a series is called: one short clean line."""
    return shorten(name, LABEL)


def legend() -> alt.Legend:
    """Below the chart in two columns, which a phone has room for."""
    return alt.Legend(title=None, orient="bottom", columns=2, labelLimit=145, symbolLimit=MOST, symbolOpacity=1)


def colour(names: Sequence[str], range_: Sequence[str] = COLOURS) -> alt.Color:
    scale = alt.Scale(domain=list(names), range=list(range_[: len(names)]))
    return alt.Color("series:N", scale=scale, legend=legend())


def shape(names: Sequence[str], range_: Sequence[str] = SHAPES) -> alt.Shape:
    scale = alt.Scale(domain=list(names), range=list(range_[: len(names)]))
    return alt.Shape("series:N", scale=scale, legend=legend())


def dash(names: Sequence[str]) -> alt.StrokeDash:
    scale = alt.Scale(domain=list(names), range=DASHES[: len(names)])
    return alt.StrokeDash("series:N", scale=scale, legend=legend())


def quiet_lines(rows: Sequence[dict[str, Any]], names: Sequence[str], **encoding: Any) -> list[alt.Chart]:
    """A line for each series, for points that are in the legend."""
    return [
        data([row for row in rows if row["series"] == name])
        .mark_line(color=COLOURS[i], strokeDash=DASHES[i])
        .encode(**encoding)
        for i, name in enumerate(names)
    ]


def wide(values: Sequence[float]) -> bool:
    """Whether values are so far apart, and all positive, that they are read by ratios."""
    return len(values) > 0 and min(values) > 0 and max(values) > 100 * min(values)


def measure(kind: type[T], field: str, title: str, values: Sequence[float], *, ratios: bool = True) -> T:
    """An axis for numbers of any size, none of them told as 0 but 0: by `ratios` where they are wide apart."""
    if ratios and wide(values):
        powers = [10.0**k for k in range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)]
        scale, axis = alt.Scale(type="log"), alt.Axis(values=powers, format="~g")
    else:
        small = max(map(abs, values), default=1) < 0.01
        scale, axis = alt.Scale(zero=False, nice=True), alt.Axis(format="~g" if small else alt.Undefined)
    return kind(f"{field}:Q", title=title, scale=scale, axis=axis)


def slug(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80]


def theme(ink: str, background: str | None) -> dict[str, Any]:
    """Vega-Lite's `config`: ink and background are the page's."""
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', 'DejaVu Sans', sans-serif"
    text = {"labelColor": ink, "titleColor": ink, "labelFont": font, "titleFont": font}
    return {
        "background": background,
        "font": font,
        "view": {"stroke": None},
        "axis": {
            **text, "tickCount": 5, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500,
            "labelSeparation": 6,
            "titlePadding": 10,
            "domainColor": ink, "domainOpacity": 0.4, "tickColor": ink, "tickOpacity": 0.4,
            "gridColor": ink, "gridOpacity": 0.1, "labelOpacity": 0.85,
        },
        "axisX": {"grid": False, "labelFlush": True},
        "legend": {**text, "labelFontSize": 12, "symbolSize": 90, "symbolStrokeWidth": 2, "rowPadding": 4},
        "title": {"color": ink, "font": font, "fontSize": 14, "fontWeight": 600, "anchor": "start", "offset": 12},
        "text": {"color": ink, "font": font, "fontSize": 11},
        "rule": {"color": ink, "strokeWidth": 1.5},
        "line": {"strokeWidth": 2, "color": COLOURS[0]},
        "point": {"size": 60, "color": COLOURS[0]},
        "bar": {"color": COLOURS[0]},
    }  # fmt: skip
