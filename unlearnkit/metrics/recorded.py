"""What another program measured, by a definition of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Metric, Probe, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class Recorded(Metric):
    """A number of another program's log, by that program's definition; `unlearnkit import` reads it.

    Nothing is known of it but its value and its name, so neither direction is better, and it is compared with its like
    alone. Nothing can be measured here: Undefined ("recorded").
    """

    by: str = option("", "the program that measured it")

    unit: ClassVar[str] = "as recorded"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        return [Undefined("recorded") for _ in probe.samples]
