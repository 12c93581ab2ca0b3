"""What `runs compare` shows in a terminal, as sheets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnkit.report.sheet import Sheet, figure, fixed, label, number, significant, text
from unlearnkit.report.tables import ARROWS, READING, REASONS

if TYPE_CHECKING:
    from unlearnkit.report.compare import Comparison


def comparison_sheets(found: Comparison) -> list[Sheet]:
    """Two evaluations: what they share, mean differences, sign tests, and what is not compared."""
    sheets = [_compared(found), _samples(found), _means(found), _tests(found)]
    return [*sheets, _left_out(found)] if found.left_out else sheets


def _compared(found: Comparison) -> Sheet:
    sheet = Sheet("compared", fixed(""), label("model"), fixed("evaluated by run"))
    for name, run, model in zip("AB", (found.one, found.other), found.labels, strict=True):
        sheet.add(name, model, run.id)
    return sheet


def _samples(found: Comparison) -> Sheet:
    sheet = Sheet("samples", label("set"), number("in both"), number("only A"), number("only B"))
    for split, shared in found.samples.items():
        sheet.add(split, str(shared.common), str(shared.only_a), str(shared.only_b))
    return sheet


def _means(found: Comparison) -> Sheet:
    by = "" if found.ranked is None else f" Thirds by {found.ranked.name}, run {found.ranked.run.id}."
    columns = (number(name) for name in ("n", "A", "B", "B − A"))
    note = f"Over the samples in both; 95 %: bootstrap of the mean difference.{by} {READING}"
    sheet = Sheet("differences", text(""), fixed(""), *columns, fixed("95 %"), note=note)
    for d in found.differences:
        f = d.found
        interval = "–" if f.low is None else f"{figure(f.low)} … {figure(f.high)}"
        means = (figure(value) for value in (f.one, f.other, f.difference))
        sheet.add(d.name, ARROWS.get(d.meaning.direction, ""), str(f.n), *means, interval)
    return sheet


def _tests(found: Comparison) -> Sheet:
    note = f"exact binomial, ties left out; Holm: p adjusted for all {found.tests} tests"
    columns = (number(name) for name in ("B higher", "lower", "ties", "p", "Holm"))
    sheet = Sheet("sign tests", text(""), *columns, note=note)
    for d in found.differences:
        counts = (str(n) for n in (d.found.higher, d.found.lower, d.found.ties))
        sheet.add(d.name, *counts, significant(d.found.p, 2), significant(d.adjusted, 2))
    return sheet


def _left_out(found: Comparison) -> Sheet:
    sheet = Sheet("not compared", text(""), text("why"))
    for name, reason in found.left_out.items():
        sheet.add(name, REASONS.get(reason, reason))
    return sheet
