"""How far the answer would still move the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Direction, Metric, Need, Probe, Undefined


@dataclass(frozen=True)
class GradNorm(Metric):
    """Euclidean norm of the gradient of the answer's mean NLL by all weights, ‖∇ (nll/n)‖; high is less of a member.

    Undefined ("nonfinite") where the answer has no token or the gradient is not finite. It takes a backward pass per
    sample. Source: Wang et al., arXiv 2402.17012.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradient",)
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "nats per token and unit of weight"
    source: ClassVar[str] = "2402.17012"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.gradient is not None
        return [norm if math.isfinite(norm) else Undefined("nonfinite") for norm in probe.gradient]
