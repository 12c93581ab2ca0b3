"""What another program measured, by a definition of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from unlearnkit.contracts import Direction, Metric, Probe, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class Recorded(Metric):
    """A number of another program's log, by that program's definition; `unlearnkit import` reads it.

    Nothing more is known of it than its value and its name, and for a score of membership which of its ends is a
    member's. So neither direction is better, and it is compared with its like alone. Nothing can be measured here:
    Undefined ("recorded").
    """

    by: str = option("", "the program that measured it")
    away: Literal["none", "higher", "lower"] = option(
        "none", "which way values go from those of texts that a model was trained on"
    )

    unit: ClassVar[str] = "as recorded"

    @property
    def values_better(self) -> Direction:
        return self.away

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        return [Undefined("recorded") for _ in probe.samples]
