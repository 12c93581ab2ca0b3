"""A number of an lm-eval task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Direction, Metric, Need, Probe, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class LmEval(Metric):
    """What lm-eval found for each document of a task, by the task's own definition.

    It is measured by lm-eval alone, by the command `unlearnkit lm-eval`: anywhere else it is Undefined ("lm_eval").
    Tasks are of what is to be kept, so the better way is the task's own.
    """

    metric: str = option("acc", "its name in the task")
    higher: bool = option(True, "whether high values are good")

    needs: ClassVar[tuple[Need, ...]] = ()
    unit: ClassVar[str] = "as the task has it"

    def better(self, split: str) -> Direction:
        del split
        return "higher" if self.higher else "lower"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        return [Undefined("lm_eval") for _ in probe.samples]
