"""Charts of a report as Vega-Lite with their data: a page draws them by its script, `files` without a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from unlearnkit.report.charts.attacks import attacks
from unlearnkit.report.charts.chart import Chart, Charts
from unlearnkit.report.charts.difficulty import difficulty
from unlearnkit.report.charts.frontier import frontier
from unlearnkit.report.charts.steps import steps
from unlearnkit.report.charts.thirds import thirds

if TYPE_CHECKING:
    from unlearnkit.report.subject import Subject

__all__ = ["Chart", "Charts", "charts"]


def charts(about: Subject) -> Mapping[str, Charts]:
    """Every chart of a report by section, each under a name of its own."""
    found = {of.__name__: of(about) for of in (frontier, steps, difficulty, thirds, attacks)}
    taken: dict[str, int] = {}

    def named(chart: Chart) -> Chart:
        taken[chart.name] = again = taken.get(chart.name, 0) + 1
        return chart if again == 1 else replace(chart, name=f"{chart.name}-{again}")

    return {section: replace(of, drawn=[named(chart) for chart in of.drawn]) for section, of in found.items()}
