"""A suite, for those who have to bring the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unlearnkit.report.sheet import Sheet, fixed, text

if TYPE_CHECKING:
    from unlearnkit.runs.suites import SplitNeeds, SuiteNeeds


def suite_sheets(found: SuiteNeeds) -> Iterator[Sheet]:
    """What it reads, and the numbers over samples that it gives."""
    sheet = Sheet("splits", fixed("split"), text(""))
    for split in found.splits:
        for head, cell in zip((split.name, "", "", "", ""), _facts(split), strict=False):
            sheet.add(head, cell)
    yield sheet
    if found.aggregates:
        sheet = Sheet("over samples", fixed("number"), fixed("plugin"), text("needs"))
        for number in found.aggregates:
            sheet.add(number.name, number.plugin, "--reference" if number.needs_reference else "")
        yield sheet


def _facts(split: SplitNeeds) -> Iterator[str]:
    """A line each, the first what the split is about."""
    yield split.about
    may = f", and may have {', '.join(split.extra)}" if split.extra else ""
    yield f"columns {', '.join(split.columns)}{may}"
    if split.metrics:
        yield f"metrics {', '.join(split.metrics)}"
    how = [f"template {split.template}"] if split.template else []
    how += [f"behind samples of {split.behind}"] if split.behind else []
    if how:
        yield ", ".join(how)
    if split.hub:
        yield f"hub {split.hub}"
