"""A command's plan as sheets: how the run stands, what it is about, what is left to do, and what that takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from unlearnkit.report.sheet import Sheet, fixed, label, number, text
from unlearnkit.runs.dry import Forecast, Stage, Total
from unlearnkit.runs.dry.plan import gib, whole_time

BOUNDS = {"exact": "", "least": "≥ ", "most": "≤ ", "about": "~ "}


def dry_sheets(found: Forecast) -> Iterator[Sheet]:
    """The whole plan."""
    yield _facts(found)
    yield _data(found)
    yield _options(found)
    if found.stages:
        yield _stages(found.stages)
    yield _costs(found)


def _facts(found: Forecast) -> Sheet:
    model = found.model
    sheet = Sheet("", fixed(""), text(""))
    sheet.add(found.command, found.says)
    sheet.add("model", f"{model['label']}: {model['architecture']}, {model['parameters']:,} parameters")
    sheet.add("fingerprint", str(model["fingerprint"]))
    sheet.add("template", found.template)
    if found.out is not None:
        sheet.add("to", found.out)
    return sheet


def _data(found: Forecast) -> Sheet:
    heads = (number(name) for name in ("samples", "tokens", "labels", "bad rows"))
    sheet = Sheet("data", fixed("set"), label("source"), *heads)
    for row in found.data:
        counts = (row["n"], row["tokens"], row["label_tokens"], row["bad_rows"])
        sheet.add(row["role"], row["source"], *("–" if n is None else f"{n:,}" for n in counts))
    return sheet


def _options(found: Forecast) -> Sheet:
    sheet = Sheet("options", fixed("option"), text("value"), fixed("from"))
    for option in found.options:
        sheet.add(option.name, _value(option.value), option.origin)
    return sheet


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def total_sheets(found: Total) -> Iterator[Sheet]:
    """What the runs of a sweep take that are left."""
    yield _stages(found.stages)
    yield _costs(found)


def _stages(stages: Sequence[Stage]) -> Sheet:
    note = "units in the store, and left; some passes are gone back through for a gradient"
    heads = (number(name) for name in ("in store", "left", "passes of\na batch", "back", "tokens", "time"))
    sheet = Sheet("work", text("what"), fixed("unit"), *heads, note=note)
    for stage in stages:
        mark = BOUNDS[stage.bound]
        counts = (f"{mark}{n:,}" if n else "0" for n in (stage.forward, stage.backward, stage.tokens))
        sheet.add(stage.name, stage.unit, f"{stage.have:,}/{stage.of:,}", f"{stage.left:,}", *counts, _time(stage))
    return sheet


def _time(stage: Stage) -> str:
    return "–" if stage.seconds is None or not stage.left else between(stage.seconds.low, stage.seconds.high)


def _costs(found: Forecast | Total) -> Sheet:
    sheet = Sheet("what it takes", fixed(""), text(""))
    if found.stages and (took := whole_time(found.stages)) is not None:
        sheet.add("time", between(*took))
    for stage in found.stages:
        if stage.seconds is not None and stage.forward:
            sheet.add(f"  {stage.name}", f"by {stage.seconds.basis}")
        if stage.note:
            sheet.add(f"  {stage.name}", stage.note)
    memory = found.memory
    free = "" if memory.free is None else f"; {memory.device} has {gib(memory.free)} free"
    sheet.add("memory", f"about {gib(memory.total)}: {_parts(memory.parts)}{free}")
    if found.disk.parts:
        sheet.add("disk", f"about {gib(found.disk.total)}: {_parts(found.disk.parts)}; {gib(found.disk.free)} free")
    return sheet


def _parts(parts: Any) -> str:
    return ", ".join(f"{name} {gib(size)}" for name, size in parts.items())


def between(low: float, high: float | None) -> str:
    """Two bounds of a time in words, or the lower one alone."""
    if high is None:
        return f"≥ {duration(low) if low >= 1 else '0 s'}"
    one, other = duration(low), duration(high)
    return one if one == other else f"{one} … {other}"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits."""
    for unit, of in (("h", 3600), ("min", 60)):
        if seconds >= of:
            return f"{seconds / of:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "< 1 s"
