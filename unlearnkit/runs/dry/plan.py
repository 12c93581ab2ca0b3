"""What a dry run says: how the run stands, what it is about, what is left to compute and what that will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Bound = Literal["exact", "least", "most", "about"]
Origin = Literal["given", "default", "settings", "derived"]
Status = Literal["new", "resume", "complete", "busy"]


def joined(*bounds: Bound) -> Bound:
    """What may be said of a sum, or of numbers that several reasons make uncertain."""
    unsure = set(bounds) - {"exact"}
    return "about" if len(unsure) > 1 else next(iter(unsure), "exact")


@dataclass(frozen=True)
class Option:
    """An option as it is resolved, and where its value is from; "derived" values follow from method, model or data."""

    name: str
    value: Any
    origin: Origin


@dataclass(frozen=True)
class Seconds:
    """How long something takes, between two bounds, and what that rests on. `high` is None where there is none."""

    low: float
    high: float | None
    basis: str

    def and_(self, other: Seconds) -> Seconds:
        """One after the other."""
        bases = dict.fromkeys([*self.basis.split("; "), other.basis])
        return Seconds(self.low + other.low, _sum([self.high, other.high]), "; ".join(bases))


def _sum(bounds: Sequence[float | None]) -> float | None:
    return None if None in bounds else sum(bound for bound in bounds if bound is not None)


@dataclass(frozen=True)
class Stage:
    """A part of the work. `have` of its `of` units come from the store; the other numbers are about what is left.

    `forward` counts passes of the model over batches, `backward` those of them that a gradient is taken of, `texts` the
    samples in them and `tokens` the tokens, padding and shared beginnings aside. `bound` says of all four whether they
    are exact, what there will be at least or at most, or neither.
    """

    name: str
    unit: str
    of: int
    have: int = 0
    forward: int = 0
    backward: int = 0
    texts: int = 0
    tokens: int = 0
    bound: Bound = "exact"
    note: str = ""
    seconds: Seconds | None = None

    @property
    def left(self) -> int:
        return self.of - self.have

    def times(self, n: int) -> Stage:
        """The same work n times."""
        numbers = ("of", "have", "forward", "backward", "texts", "tokens")
        return replace(self, **{name: n * getattr(self, name) for name in numbers})

    def with_(self, other: Stage) -> Stage:
        """Both together, under this one's name."""
        numbers = ("of", "have", "forward", "backward", "texts", "tokens")
        took = None if self.seconds is None or other.seconds is None else self.seconds.and_(other.seconds)
        added = {name: getattr(self, name) + getattr(other, name) for name in numbers}
        return replace(self, bound=joined(self.bound, other.bound), seconds=took, **added)

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "left": self.left}


def whole_time(stages: Sequence[Stage]) -> tuple[float, float | None] | None:
    """Bounds of all stages together, seconds, the upper one None where a stage has none; None where one has no time."""
    told = [stage.seconds for stage in stages if stage.left or stage.forward]
    if any(one is None for one in told):
        return None
    return sum(one.low for one in told if one), _sum([one.high for one in told if one])


@dataclass(frozen=True)
class Memory:
    """Bytes by what needs them, at their highest, and what the device has free; None where that cannot be told."""

    parts: Mapping[str, int]
    device: str
    free: int | None

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    @property
    def fits(self) -> bool | None:
        return None if self.free is None else self.total <= self.free

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "total": self.total, "fits": self.fits}


@dataclass(frozen=True)
class Disk:
    """Bytes by what needs them, and what is free where they go."""

    parts: Mapping[str, int]
    free: int

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "total": self.total}


@dataclass(frozen=True)
class Forecast:
    """A command's plan. `step` is the one that a training run would go on from."""

    command: str
    status: Status
    run: str | None
    model: Mapping[str, Any]
    data: Sequence[Mapping[str, Any]]
    template: str
    options: Sequence[Option]
    stages: Sequence[Stage]
    memory: Memory
    disk: Disk
    step: int | None = None
    out: str | None = None

    @property
    def says(self) -> str:
        """How the run stands, in a sentence."""
        if self.status == "complete" and any(stage.left for stage in self.stages):
            return f"this is run {self.run}, complete: only what it is held against would be computed"
        if self.status == "complete":
            return f"this is run {self.run}, complete: nothing would be computed"
        if self.status == "busy":
            return f"another process works on run {self.run}: the command would be refused"
        if self.status == "resume":
            at = "" if self.step is None else f" at step {self.step}"
            return f"would resume run {self.run}{at}"
        return "this would be a new run"

    @property
    def seconds(self) -> tuple[float, float | None] | None:
        """Bounds of the whole, as `whole_time` has them."""
        return whole_time(self.stages)

    @property
    def warnings(self) -> list[str]:
        """What would stop the command on its way."""
        found = []
        if self.memory.fits is False:
            found.append(
                f"about {gib(self.memory.total)} of memory are needed, {self.memory.device} has "
                f"{gib(self.memory.free or 0)} free"
            )
        if self.disk.total > self.disk.free:
            found.append(f"about {gib(self.disk.total)} of disk are needed, {gib(self.disk.free)} are free")
        return found

    def json(self) -> dict[str, Any]:
        """The plan as data."""
        whole = self.seconds
        return {
            "dry_run": True,
            "command": self.command,
            "status": self.status,
            "run": self.run,
            "step": self.step,
            "says": self.says,
            "model": dict(self.model),
            "data": [dict(row) for row in self.data],
            "template": self.template,
            "out": self.out,
            "options": [asdict(option) for option in self.options],
            "stages": [stage.json() for stage in self.stages],
            "seconds": None if whole is None else {"low": whole[0], "high": whole[1]},
            "memory": self.memory.json(),
            "disk": self.disk.json(),
            "warnings": self.warnings,
        }


def gib(size: int) -> str:
    """Bytes in words."""
    for unit, of in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size / 2**10:.1f} KiB"
