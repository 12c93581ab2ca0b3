"""`runs diff`: in what two runs differ, name by name: what was asked for, on what, where, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearnkit.runs.figures import Figure, Figures, current

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import records

PARTS = ("run", "model", "data", "asked", "configuration", "environment", "result")
PLACES = ("request.out", "request.force", "summary.model_dir")
"""Where a model was put says nothing of the run."""


@dataclass(frozen=True)
class Entry:
    """A value by its dotted name in both runs, None where one has no such value. `part` is one of `PARTS`."""

    part: str
    name: str
    one: Any
    other: Any

    @property
    def same(self) -> bool:
        return bool(self.one == self.other)

    def json(self) -> dict[str, Any]:
        return {"part": self.part, "name": self.name, "a": self.one, "b": self.other, "same": self.same}


@dataclass(frozen=True)
class Diff:
    """Two runs, and what of them was compared."""

    one: records.Run
    other: records.Run
    entries: Sequence[Entry]

    def json(self) -> dict[str, Any]:
        return {"a": self.one.id, "b": self.other.id, "entries": [entry.json() for entry in self.entries]}


def diff(place: Workplace, one: str, other: str, *, everything: bool = False) -> Diff:
    """What differs between two runs; with `everything` also what is the same.

    Raises:
        NotFound, BadInput: a reference that means no run, or several.
    """
    store = place.reading()
    runs = store.run(one), store.run(other)
    facts = [dict(_facts(place, run)) for run in runs]
    names = sorted(dict.fromkeys([*facts[0], *facts[1]]), key=lambda key: PARTS.index(key[0]))
    entries = [Entry(*key, facts[0].get(key), facts[1].get(key)) for key in names]
    return Diff(*runs, [entry for entry in _told_once(entries) if everything or not entry.same])


def _facts(place: Workplace, run: records.Run) -> Iterator[tuple[tuple[str, str], Any]]:
    """(part, dotted name) and value of all that a run is and came to."""
    store = place.reading()
    for name in ("kind", "method", "state", "seed", "exact"):
        yield ("run", name), getattr(run, name)
    model = store.model(run.model)
    yield ("model", "model"), run.model
    yield ("model", "model.label"), None if model is None else model.source
    for role, fingerprint in run.datasets.items():
        data = store.dataset(fingerprint)
        yield ("data", f"data.{role}"), fingerprint
        yield ("data", f"data.{role}.label"), None if data is None else data.label
    for part, values in {
        "asked": {"request": run.config.get("request") or {}},
        "configuration": {key: value for key, value in run.config.items() if key != "request"},
        "environment": dict(run.environment),
        "result": {"summary": run.summary, "results": _numbers(place, run)},
    }.items():
        for name, value in _flat(values):
            if name not in PLACES:
                yield (part, name), value


def _numbers(place: Workplace, run: records.Run) -> dict[str, float | str | None]:
    """What a run came to, with the reason of what is undefined: that was looked for, unlike what is not there."""
    store = place.reading()
    found: dict[str, Figure | records.AggregateRow] = {}
    if run.kind == "eval" and run.state == "complete":
        found.update(Figures(place, [run.id]).of(run))
    known = [other.id for other in store.runs(kind=run.kind)]
    rows = current(store.aggregates(run.id), known)
    found.update({row.name: row for row in reversed(rows)})
    reasons = {f"{name}.reason": of.reason for name, of in found.items() if of.reason is not None}
    return {**{name: of.value for name, of in found.items()}, **reasons}


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, by its dotted name."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _told_once(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Without what was asked for in just the words and values that the configuration repeats: `options.beta` of
    `request.options.beta`, `plan.lr` of `request.schedule.lr`."""
    resolved = {(_last(e.name), repr(e.one), repr(e.other)) for e in entries if e.part in ("run", "configuration")}
    for entry in entries:
        if entry.part != "asked" or (_last(entry.name), repr(entry.one), repr(entry.other)) not in resolved:
            yield entry


def _last(name: str) -> str:
    return name.rpartition(".")[2]
