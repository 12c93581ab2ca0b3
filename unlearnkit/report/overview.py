"""What `report` shows in a terminal: evaluations side by side, difficulty, and results by difficulty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from unlearnkit.report.curve import curve_sheet
from unlearnkit.report.sheet import Sheet, figure, fixed, label, number, shorten, significant, text
from unlearnkit.report.tables import ARROWS, NAME_WIDTH, READING, REASONS, SIDE_BY_SIDE

if TYPE_CHECKING:
    from unlearnkit.report.asserted import Clause
    from unlearnkit.report.collect import Evaluated, Findings, Third
    from unlearnkit.runs.figures import Figure
    from unlearnkit.store.records import AggregateRow

RETAIN_ONLY = "retain-only"


def report_tables(found: Findings) -> list[Sheet]:
    """Runs side by side, difficulty, and results by difficulty."""
    numbered = list(enumerate(found.evaluated, 1))
    sheets = [_evaluations(numbered)] if numbered else []
    sheets += _known(found, numbered)
    sheets += _not_there(numbered)
    if found.difficulty:
        sheets.append(_difficulty(found))
    for _, group in groupby(sorted(found.thirds, key=lambda t: t.score_run), key=lambda t: t.score_run):
        sheets += _by_thirds(numbered, list(group))
    if found.attacks:
        from unlearnkit.report.attacks import attack_sheets

        sheets += attack_sheets(found.attacks)
    return sheets + [curve_sheet(c) for c in found.curves]


Numbered = tuple[int, "Evaluated"]


def _known(found: Findings, numbered: Sequence[Numbered]) -> Iterator[Sheet]:
    """Evaluations side by side, those of a suite in tables of their own: others have other numbers."""
    against = {run: e.label for run, e in found.references.items()} | {e.run.id: f"#{i}" for i, e in numbered}
    suites, note = _by_suite(numbered), READING
    for suite, some in suites.items():
        title = "what is known" if len(suites) == 1 else f"what is known, by suite {suite}"
        for portion, reference in _with_references(found, some):
            yield _side_by_side(title, portion, reference, against, note)
            note = ""


def _by_suite(numbered: Sequence[Numbered]) -> dict[str, list[Numbered]]:
    found: dict[str, list[Numbered]] = {}
    for i, e in numbered:
        found.setdefault(e.run.method, []).append((i, e))
    return found


def _not_there(numbered: Sequence[Numbered]) -> Iterator[Sheet]:
    """Numbers that evaluations lack, with why, and which evaluations do. What some were held against a reference for is
    not missed of the others, the reference among them."""
    compared = {row.name for _, e in numbered for row in e.aggregates if row.reference is not None}
    lack: dict[tuple[str, str], list[str]] = {}
    for i, e in numbered:
        numbers: list[tuple[str, Figure | AggregateRow]] = [*e.figures.items()]
        numbers += [(a.name, a) for a in e.aggregates if a.reference is not None or a.name not in compared]
        for name, of in numbers:
            if of.value is None:
                lack.setdefault((name, of.reason or "undefined"), []).append(f"#{i}")
    if lack:
        sheet = Sheet("not there", fixed(""), text("why"), text("in"))
        for (name, reason), runs in lack.items():
            sheet.add(name, REASONS.get(reason, reason), " ".join(runs))
        yield sheet


def _portions(numbered: Sequence[Numbered]) -> list[Sequence[Numbered]]:
    return [numbered[i : i + SIDE_BY_SIDE] for i in range(0, len(numbered), SIDE_BY_SIDE)]


def clauses_table(clauses: Sequence[Clause]) -> Sheet:
    """Conditions and what was found."""
    sheet = Sheet("asserted", fixed("condition"), text("value"), fixed("met"), label("model"), fixed("run"))
    for c in clauses:
        value = figure(c.value) if c.value is not None else _why(c.reason)
        sheet.add(str(c.condition), value, "yes" if c.met else "NO", c.label, c.run)
    return sheet


def _why(reason: str | None) -> str:
    return f"– ({REASONS.get(reason or '', reason)})"


def _with_references(
    found: Findings, numbered: Sequence[Numbered]
) -> Iterator[tuple[Sequence[Numbered], Evaluated | None]]:
    """Evaluations that stand side by side, and the newest that any of them was held against, where that is elsewhere:
    it needs a column too."""
    start = 0
    while start < len(numbered):
        some = numbered[start : start + SIDE_BY_SIDE]
        if len(some) == SIDE_BY_SIDE > 1 and _elsewhere(some):
            some = some[:-1]
        yield some, found.references.get(_elsewhere(some) or "")
        start += len(some)


def _elsewhere(some: Sequence[Numbered]) -> str | None:
    shown = {e.run.id for _, e in some}
    return max((e.reference for _, e in some if e.reference is not None and e.reference not in shown), default=None)


def _evaluations(numbered: Sequence[Numbered]) -> Sheet:
    """Which run is behind each of the numbers that head the other tables."""
    sheet = Sheet("evaluations", fixed(""), label("model"), fixed("evaluated by run"), fixed("made by run"))
    for i, e in numbered:
        sheet.add(f"#{i}", e.label, e.run.id, e.writer.id if e.writer else "–")
    return sheet


def _heads(numbered: Sequence[Numbered]) -> Iterator[Any]:
    """A column each: its number, then the label with each of its parts on a line."""
    for i, e in numbered:
        yield number(_head(f"#{i}", e))


def _head(name: str, e: Evaluated) -> str:
    parts = [*name.split("\n"), *(shorten(part, NAME_WIDTH) for part in e.label.split(", "))]
    return "\n".join(dict.fromkeys(parts))  # a model that is called retain-only says so once


def _side_by_side(
    title: str, numbered: Sequence[Numbered], reference: Evaluated | None, against: Mapping[str, str], note: str
) -> Sheet:
    """Evaluations as columns, and one that they were held against. `against` names these."""
    held = {e.reference for _, e in numbered}
    heads = [number(_head(f"#{i}\n{RETAIN_ONLY}" if e.run.id in held else f"#{i}", e)) for i, e in numbered]
    heads += [number(_head(RETAIN_ONLY, reference))] if reference else []
    sheet = Sheet(title, label(""), fixed(""), *heads, note=note)
    some = [e for _, e in numbered]
    every = [*some, *filter(None, [reference])]
    names = dict.fromkeys(name for e in some for name in e.figures)
    for split, of_split in groupby(names, key=lambda name: name.partition(".")[0]):
        sheet.add(f"{split} set", "", *("" for _ in every))
        for name in of_split:
            cells = (figure(e.figures[name].value) if name in e.figures else "" for e in every)
            sheet.add(f"  {name.partition('.')[2]}", _arrow(some, name), *cells)
    if any(e.aggregates for e in some):
        sheet.add("over samples", "", *("" for _ in every))
    values = {(e.run.id, a.name, a.reference): a.value for e in every for a in e.aggregates}
    compared = {a.name for e in some for a in e.aggregates if a.reference is not None}
    for name, held_against in dict.fromkeys((a.name, a.reference) for e in some for a in e.aggregates):
        if held_against is None and name in compared:
            continue
        versus = "" if held_against is None else f" vs {shorten(against[held_against], NAME_WIDTH)}"
        keys = [(e.run.id, name, held_against) for e in every]
        cells = (figure(values[key]) if key in values else "" for key in keys)
        sheet.add(f"  {name}{versus}", _arrow(some, name), *cells)
    return sheet


def _arrow(some: Sequence[Evaluated], name: str) -> str:
    return next((ARROWS.get(e.meanings[name].direction, "") for e in some if name in e.meanings), "")


def _difficulty(found: Findings) -> Sheet:
    columns = (number(name) for name in ("n", "lowest", "median", "highest", "reliab.", "unclear"))
    note = "unclear: share of samples with a score below twice its standard error"
    sheet = Sheet("difficulty", label("scores"), *columns, note=note)
    for d in found.difficulty:
        unclear = "–" if d.unclear is None else f"{d.unclear:.0%}"
        values = (significant(d.low), significant(d.median), significant(d.high), significant(d.reliability, 2))
        sheet.add(f"{d.scorer}: {d.label}", str(d.n), *values, unclear)
    return sheet


def _by_thirds(numbered: Sequence[Numbered], thirds: Sequence[Third]) -> Iterator[Sheet]:
    """The same split of the forget set under each evaluation, those of a suite together."""
    there = {t.eval_run for t in thirds}
    note = (
        f"ranked by {thirds[0].scorer}, run {thirds[0].score_run}; what its scorer calls {thirds[0].third} need not be "
        "so"
    )
    for of_suite in _by_suite([(i, e) for i, e in numbered if e.run.id in there]).values():
        for some in _portions(of_suite):
            yield _of_thirds(some, [t for t in thirds if t.eval_run in {e.run.id for _, e in some}], note)
            note = ""


def _of_thirds(some: Sequence[Numbered], thirds: Sequence[Third], note: str) -> Sheet:
    values = {(t.eval_run, t.metric, t.third): t.value for t in thirds}
    sheet = Sheet("forget set by difficulty before unlearning", fixed(""), fixed("third"), *_heads(some), note=note)
    for metric, of_metric in groupby(dict.fromkeys((t.metric, t.third) for t in thirds), key=lambda pair: pair[0]):
        for i, pair in enumerate(of_metric):
            cells = (figure(values.get((e.run.id, *pair))) for _, e in some)
            sheet.add(metric if i == 0 else "", pair[1], *cells)
    return sheet
