"""Charts as PNG and SVG files, drawn by vl-convert: no browser, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal

from unlearnkit.report.charts.chart import Chart, Charts, theme

if TYPE_CHECKING:
    from collections.abc import Iterator

Form = Literal["png", "svg"]
WIDTH = 640
INK, PAPER = "#1c1e21", "#ffffff"
"""A file stands on pages of any colour, so it brings its own."""


def images(found: Mapping[str, Charts], form: Form) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Each chart as a file: its name, and what draws its content. PNGs have two pixels for each one of the SVGs."""
    for charts in found.values():
        for chart in charts.drawn:
            yield f"{chart.name}.{form}", partial(_image, chart, form)


def _image(chart: Chart, form: Form) -> bytes:
    import vl_convert

    title = {"text": chart.title}
    spec = {**chart.spec, "width": WIDTH, "title": title, "config": theme(INK, PAPER), "padding": 16}
    if form == "svg":
        return str(vl_convert.vegalite_to_svg(spec, vl_version=version())).encode()
    return bytes(vl_convert.vegalite_to_png(spec, scale=2, vl_version=version()))


def version() -> str:
    """Of Vega-Lite: the one that altair checked the charts against."""
    from altair import SCHEMA_VERSION

    return ".".join(SCHEMA_VERSION.lstrip("v").split(".")[:2])
