"""How surprised the model is by the answer: the simplest attack on membership."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Direction, Metric, Probe, Undefined


@dataclass(frozen=True)
class Loss(Metric):
    """Mean negative log-likelihood of the answer, nats per token: −(1/n) Σ_t log p_t; high is less of a member.

    Undefined ("no_target") where the answer has no token. Source: Yeom et al., arXiv 1709.01604.
    """

    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "nats per token"
    source: ClassVar[str] = "1709.01604"
    by_heart: ClassVar[float | None] = 0.0

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        return [answer.mean_nll if answer.logprobs.size else Undefined("no_target") for answer in probe.answer]
