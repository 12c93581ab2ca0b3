"""A page's tables of numbers: what was asserted, every number of every evaluation, thirds and attacks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from unlearnkit.report.charts.chart import slug
from unlearnkit.report.html.cells import Cell, Table, head, interval, number
from unlearnkit.report.sheet import figure, shorten
from unlearnkit.report.tables import ARROWS, REASONS

if TYPE_CHECKING:
    from unlearnkit.report.asserted import Clause
    from unlearnkit.report.collect import Evaluated, Third
    from unlearnkit.report.subject import Subject
    from unlearnkit.runs.figures import Figure
    from unlearnkit.store.records import AggregateRow

SIDE_BY_SIDE = 4
"""Evaluations in one table, so that it fits a printed page."""
NAME = 24
"""Characters of a label that heads a column."""
WORDS = {"higher": "higher is better", "lower": "lower is better"}


def verdict(about: Subject, clauses: Sequence[Clause]) -> list[Table]:
    """What was to hold, and whether it does."""
    if not clauses:
        return []
    heads = [head("condition"), head("value", number=True), head("holds"), head("model")]
    rows = [
        [
            Cell(str(c.condition), href=anchor(c.condition.name)), number(c.value, _why(c.reason)),
            Cell("yes" if c.met else "no", good=c.met), Cell(f"{about.marks.get(c.run, '')} {c.label}".strip()),
        ]
        for c in clauses
    ]  # fmt: skip
    return [Table("What was asserted", heads, rows)]


def numbers(about: Subject) -> list[Table]:
    """Some evaluations side by side in each table; a number that is defined nowhere is told with its reason."""
    shown = about.evaluated
    return [_side_by_side(about, shown[i : i + SIDE_BY_SIDE]) for i in range(0, len(shown), SIDE_BY_SIDE)]


def _side_by_side(about: Subject, some: Sequence[Evaluated]) -> Table:
    heads = [
        head("number"),
        head("better"),
        *(head(about.marks[e.run.id], number=True, small=shorten(e.label, NAME)) for e in some),
    ]
    against = any(e.reference for e in some)
    rows = []
    for name, reference in _names(some):
        versus = "" if reference is None else f" against {about.marks.get(reference, reference)}"
        meaning = next((e.meanings[name] for e in some if name in e.meanings), None)
        direction = "" if meaning is None else meaning.direction
        alone = next((v for e in some if (v := about.found.about(e, name)["retain_only"]) is not None), None)
        rows.append(
            [
                Cell(name, small=f"{'' if meaning is None else meaning.unit}{versus}".strip(), href=anchor(name)),
                Cell(f"{ARROWS[direction]} {direction}" if direction in ARROWS else ""),
                *(_cell(e, name, reference) for e in some),
                *([number(alone)] if against else []),
            ]
        )
    heads += [head("retain-only", number=True)] if against else []
    marks = ", ".join(about.marks[e.run.id] for e in some)
    return Table(f"Every number of {marks}", heads, rows)


def _names(some: Sequence[Evaluated]) -> list[tuple[str, str | None]]:
    """Names of figures and aggregates, these with what they were held against; without one only where none has one."""
    figures: list[tuple[str, str | None]] = [(name, None) for e in some for name in e.figures]
    held = [(row.name, row.reference) for e in some for row in e.aggregates]
    compared = {name for name, reference in held if reference is not None}
    kept = [pair for pair in held if pair[1] is not None or pair[0] not in compared]
    return list(dict.fromkeys(figures + kept))


def _cell(e: Evaluated, name: str, reference: str | None) -> Cell:
    found: Figure | AggregateRow | None = e.figures.get(name)
    found = found or next((row for row in e.aggregates if (row.name, row.reference) == (name, reference)), None)
    if found is None:
        return Cell("", number=True)
    if found.value is None:
        return number(None, _why(found.reason or "undefined"))
    return number(found.value, interval(found.low, found.high, found.n))


def _why(reason: str | None) -> str:
    return "" if reason is None else REASONS.get(reason, reason)


def anchor(name: str) -> str:
    """Of a number's definition, on the page: an aggregate's name, or a metric's without its split."""
    return f"def-{slug(name.rpartition('.')[2])}"


def thirds(about: Subject) -> list[Table]:
    """For each ranking, evaluations as columns and thirds as rows."""
    ranked = sorted(about.found.thirds, key=lambda t: t.score_run)
    return [
        table
        for score_run, of in groupby(ranked, key=lambda t: t.score_run)
        for table in _thirds(about, about.marks.get(score_run, score_run), list(of))
    ]


def _thirds(about: Subject, mark: str, found: Sequence[Third]) -> list[Table]:
    values = {(t.eval_run, t.metric, t.third): t for t in found}
    labels = {t.eval_run: t.label for t in found}
    runs, tables = list(labels), []
    for i in range(0, len(runs), SIDE_BY_SIDE):
        some = runs[i : i + SIDE_BY_SIDE]
        heads = [head("metric"), head("third")]
        heads += [head(about.marks[run], number=True, small=shorten(labels[run], NAME)) for run in some]
        rows = [
            [
                Cell(f"forget.{metric}", href=anchor(metric)), Cell(third, sort=float(at)),
                *(
                    number(t.value, f"n {t.n}") if (t := values.get((run, metric, third))) else number(None)
                    for run in some
                ),
            ]
            for at, (metric, third) in enumerate(dict.fromkeys((t.metric, t.third) for t in found))
        ]  # fmt: skip
        tables.append(Table(f"By third, ranked by {mark} {found[0].scorer}", heads, rows))
    return tables


def attacks(about: Subject) -> list[Table]:
    """A table for each attacked model."""
    heads = [head("attack"), head("metric"), head("samples")]
    names = ("n", "before", "under attack", "rise", "comes back", "retain-only", "beyond it")
    heads += [head(name, number=True) for name in names]
    tables = []
    for label in dict.fromkeys(attack.label for attack in about.found.attacks):
        rows = [
            [
                Cell(f"{about.marks[attack.run]} {attack.attack}"), Cell(o.metric, href=anchor(o.metric)),
                Cell(o.samples), number(o.n, text=str(o.n)), number(o.before), number(o.under),
                number(o.rise, interval(o.rise_low, o.rise_high, None)), _share(o.returned),
                number(o.reference_under), _share(o.beyond),
            ]
            for attack in about.found.attacks
            if attack.label == label
            for o in attack.outcomes
        ]  # fmt: skip
        tables.append(Table(f"Forgotten, and what comes back: {label}", heads, rows))
    return tables


def _share(value: float | None) -> Cell:
    return number(value, text=figure(None) if value is None else f"{value:.0%}")
