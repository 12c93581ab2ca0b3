"""What was forgotten, and what comes back under attack, run by run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearnkit.report.sheet import Sheet, figure, fixed, number

if TYPE_CHECKING:
    from rich.table import Column

    from unlearnkit.runs.attack import AttackReport
    from unlearnkit.runs.attacked import Outcome, Point
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import records

NOTE = (
    "per sample the worst of all conditions; back: share of samples at least half way to known by heart; beyond: share "
    "above the reference under the same attack, about half of them by chance alone"
)


@dataclass(frozen=True)
class Attack:
    """An attack in a report, against the newest reference that it was held against."""

    run: str
    attack: str
    label: str
    outcomes: Sequence[Outcome]
    curve: Sequence[Point]

    def json(self) -> dict[str, Any]:
        from unlearnkit.runs.attacked import as_json

        return as_json(self)


def attack(place: Workplace, run: records.Run, name: str) -> Attack:
    """A complete attack, from its stored rows."""
    from unlearnkit.runs.attacked import attacked, curve, outcomes

    store = place.reading()
    known = {other.id: other for other in store.runs(kind="attack", state="complete")}
    held = [row.reference for row in store.aggregates(run.id) if row.reference in known]
    against = attacked(place, known[max(filter(None, held))]) if held else None
    found = attacked(place, run)
    return Attack(run.id, run.method, name, outcomes(found, against), curve(found, against))


def attack_sheets(attacks: Sequence[Attack]) -> Iterator[Sheet]:
    """A table for each model that was attacked; what its columns mean stands above the first."""
    note = NOTE
    for name in dict.fromkeys(a.label for a in attacks):
        sheet = Sheet(f"forgotten, and what comes back: {name}", fixed("attack"), *_heads(), note=note)
        for a in attacks:
            for outcome in a.outcomes if a.label == name else ():
                sheet.add(a.attack, *_cells(outcome))
        yield sheet
        note = ""


def attack_tables(found: AttackReport) -> Iterator[Sheet]:
    """One attack: what came back, and under which condition."""
    sheet = Sheet(f"{found.attack}: {found.model}", *_heads(), note=NOTE)
    for outcome in found.outcomes:
        sheet.add(*_cells(outcome))
    yield sheet
    groups = list(dict.fromkeys((point.metric, point.samples) for point in found.curve))
    heads = (number(metric if group == "all" else f"{metric}\n{group}") for metric, group in groups)
    note = "" if found.reference is None else "behind the stroke the reference"
    sheet = Sheet("condition by condition", fixed("condition"), *heads, note=note)
    values = {(point.condition, point.metric, point.samples): _value(point) for point in found.curve}
    for condition in dict.fromkeys(point.condition for point in found.curve):
        sheet.add(condition, *(values.get((condition, *group), "") for group in groups))
    yield sheet


def _value(point: Point) -> str:
    return figure(point.value) + ("" if point.reference is None else f" / {figure(point.reference)}")


def _heads() -> list[Column]:
    numbers = (number(name) for name in ("n", "before", "under", "back", "ref.", "beyond"))
    return [fixed("metric"), fixed("samples"), *numbers]


def _cells(o: Outcome) -> tuple[str, ...]:
    shares = (_share(o.returned), figure(o.reference_under), _share(o.beyond))
    return (o.metric, o.samples, str(o.n), figure(o.before), figure(o.under), *shares)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
