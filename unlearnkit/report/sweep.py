"""A sweep as sheets: what is forgotten, what is kept, what it took; a combination a row, seeds averaged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.table import Column

from unlearnkit.report.dry import total_sheets
from unlearnkit.report.sheet import Sheet, figure, fixed, label, number, text
from unlearnkit.runs.sweep import Averaged, Mean, SweepReport

TOOK = ("steps", "seconds")


def sweep_sheets(found: SweepReport) -> list[Sheet]:
    """Combinations with what they took and their numbers over samples, then each split's by their numbers, then the
    runs that did not come to an end."""
    rows = list(enumerate(found.averages, 1))
    names = list(dict.fromkeys(name for _, row in rows for name in row.values if name not in TOOK))
    over = [name for name in names if "." not in name]
    sheets = [_combinations(rows)] if rows else []
    if over:
        sheets.append(_means("over samples", rows, over))
    for split, group in groupby([name for name in names if "." in name], key=lambda name: name.partition(".")[0]):
        sheets.append(_means(f"{split} set", rows, list(group)))
    if found.incomplete:
        sheet = Sheet("not complete", label("combination"), number("seed"), fixed("state"), text("why"))
        for outcome in found.incomplete:
            sheet.add(outcome.choice.label, str(outcome.seed), outcome.state, outcome.reason or "")
        sheets.append(sheet)
    return sheets


def _combinations(rows: Sequence[tuple[int, Averaged]]) -> Sheet:
    heads = (number(name) for name in TOOK)
    sheet = Sheet("means over seeds, ± standard deviation", fixed(""), text("combination"), number("seeds"), *heads)
    for i, row in rows:
        took = (f"{row.values[name].value:.4g}" for name in TOOK)
        sheet.add(f"#{i}", row.choice.label, str(len(row.seeds)), *took)
    return sheet


def _means(title: str, rows: Sequence[tuple[int, Averaged]], names: Sequence[str]) -> Sheet:
    """Some numbers of each combination."""
    sheet = Sheet(title, fixed(""), *(_head(name.partition(".")[2] or name) for name in names))
    for i, row in rows:
        sheet.add(f"#{i}", *(_mean(row.values.get(name)) for name in names))
    return sheet


def dry_sheets(found: SweepReport) -> list[Sheet]:
    """What the store has of each run, and what the others take."""
    sheet = Sheet("", label("combination"), number("seed"), fixed("state"), fixed("run"))
    for outcome in found.outcomes:
        sheet.add(outcome.choice.label, str(outcome.seed), outcome.state, outcome.run or "–")
    return [sheet] if found.plan is None else [sheet, *total_sheets(found.plan)]


def _head(name: str) -> Column:
    return number(name.replace("_", "\n"))


def _mean(mean: Mean | None) -> str:
    if mean is None:
        return "–"
    return figure(mean.value) + ("" if mean.deviation is None else f" ±{mean.deviation:.1g}")
