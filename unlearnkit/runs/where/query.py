"""Whether a run is one of those that `--where` means."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import chain
from typing import TYPE_CHECKING

from unlearnkit.errors import BadInput
from unlearnkit.runs.figures import Figures, current
from unlearnkit.runs.where.fields import DATES, FIELDS, Fields, Value
from unlearnkit.runs.where.grammar import Comparison, Every, Not, Tree, comparisons, read, shown

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store, records

_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LONGEST = 300
"""Digits up to which a whole number is compared to the last one; as a float, one of more is more than any that is."""
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d)?)?)?)?)?", re.ASCII)


def parse(text: str) -> Tree:
    """A condition from what was typed.

    Raises:
        BadInput: code `where`, where it is none, compares a time with no date, or orders what has no order.
    """
    tree = read(text)
    for comparison in comparisons(tree):
        if comparison.operator == "~":
            continue
        if comparison.field in DATES and not _is_date(comparison.value):
            raise _misfit(comparison, "is compared with a date", "such as 2026-11, 2026-11-26 or '2026-11-26 15:04'")
        if comparison.operator in _ORDER and comparison.field not in DATES and not _NUMBER.fullmatch(comparison.value):
            raise _misfit(
                comparison, f"takes a number behind {comparison.operator}", "texts are compared by = != and ~"
            )
    return tree


def select(place: Workplace, text: str) -> list[records.Run]:
    """The runs that a condition means, newest first; figures that it asks for and that are not kept yet are made.

    Raises:
        BadInput: code `where`; also for a field that no run of the store has, before any figure is made.
    """
    tree, store = parse(text), place.reading()
    runs, numbers = store.runs(), _aggregates(store)
    fields = Fields(store, runs, numbers)
    known = {*FIELDS, *fields.options(), *fields.numbers()}
    if further := [comparison.field for comparison in comparisons(tree) if comparison.field not in known]:
        evaluations = [run for run in runs if run.kind == "eval" and run.state == "complete"]
        figures = Figures(place, [run.id for run in evaluations])
        known.update(chain.from_iterable(_measured(figures, run) for run in evaluations))
        for name in further:
            if name not in known:
                raise _unknown(name, known)
        made = {run.id: {name: of.value for name, of in figures.of(run).items()} for run in evaluations}
        fields = Fields(store, runs, {run: {**numbers.get(run, {}), **made.get(run, {})} for run in {*numbers, *made}})
    return [run for run in runs if _holds(tree, run, fields)]


def _measured(figures: Figures, run: records.Run) -> Iterator[str]:
    return (f"{split}.{metric}" for split, metric, _ in figures.measures(run).keys)


def _aggregates(store: Store) -> Mapping[str, Mapping[str, float | None]]:
    """By run and name, each against the newest reference that is there."""
    known = {run.id for run in store.runs(kind="eval")} | {run.id for run in store.runs(kind="attack")}
    return {
        run: {row.name: row.value for row in reversed(current(rows, known))}
        for run, rows in store.every_aggregate().items()
    }


def _holds(tree: Tree, run: records.Run, fields: Fields) -> bool:
    if isinstance(tree, Comparison):
        return _compared(tree, fields.of(tree.field, run))
    if isinstance(tree, Not):
        return not _holds(tree.of, run, fields)
    return (all if isinstance(tree, Every) else any)(_holds(of, run, fields) for of in tree.of)


def _compared(comparison: Comparison, values: Iterable[Value]) -> bool:
    """Whether it holds for any of the values; `!=` is the contrary of `=`."""
    if comparison.operator == "!=":
        return not _compared(Comparison(comparison.field, "=", comparison.value), values)
    test = _date if comparison.field in DATES else _plain
    return any(test(comparison, value) for value in values)


def _plain(comparison: Comparison, value: Value) -> bool:
    wanted = comparison.value
    if comparison.operator == "~":
        return _like(str(value), wanted)
    if isinstance(value, str):
        return comparison.operator == "=" and value.casefold() == wanted.casefold()
    if not _NUMBER.fullmatch(wanted):
        return False
    digits = wanted.lstrip("+-")
    number = int(wanted) if digits.isdigit() and len(digits) <= _LONGEST else float(wanted)
    return bool(_ORDER.get(comparison.operator, operator.eq)(value, number))


def _is_date(text: str) -> bool:
    """Whether it is a time, or the beginning of one, that the calendar has."""
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text + "2000-01-01T00:00:00"[len(text) :])
    except ValueError:
        return False
    return True


def _date(comparison: Comparison, value: Value) -> bool:
    """A date means all of its day, month or year: it is compared with as much of the run's time."""
    wanted, time = comparison.value.replace(" ", "T"), str(value)
    if comparison.operator == "~":
        return _like(time, comparison.value)
    return bool(_ORDER.get(comparison.operator, operator.eq)(time[: len(wanted)], wanted))


def _like(value: str, pattern: str) -> bool:
    """Whether a text is as a pattern with `*`, `?` and `[…]` has it, or contains one without; capitals aside."""
    if not any(mark in pattern for mark in "*?["):
        pattern = f"*{pattern}*"
    return fnmatchcase(value.casefold(), pattern.casefold())


def _unknown(name: str, known: Iterable[str]) -> BadInput:
    close = get_close_matches(name, sorted(known), n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"all runs have: {', '.join(FIELDS)}"
    return BadInput(f'--where: no run has "{shown(name)}"', hint=hint, code="where")


def _misfit(comparison: Comparison, message: str, hint: str) -> BadInput:
    return BadInput(f'--where: {comparison.field} {message}, got "{shown(comparison.value)}"', hint=hint, code="where")
