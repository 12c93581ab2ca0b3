"""How likely an answer's least likely tokens are: what was seen in training has few surprises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Direction, Metric, Need, Probe, TokenScores, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class MinK(Metric):
    """Mean log-probability of the least likely tokens, nats: over the max(1, ⌊k n⌋) lowest; high is more of a member.

    Undefined ("no_target") where no token counts. Source: Shi et al., Min-K% Prob, arXiv 2310.16789.
    """

    k: float = option(0.2, "share of the tokens that count (MUSE: 0.4)", gt=0, le=1)
    tail: int = option(0, "label tokens at the end that do not count (OpenUnlearning: 1, the end token)", ge=0)

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "nats per token"
    source: ClassVar[str] = "2310.16789"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        return [self._of(answer) for answer in probe.answer]

    def _of(self, answer: TokenScores) -> float | Undefined:
        counted = self._scores(answer)[: max(answer.logprobs.size - self.tail, 0)]
        if not counted.size:
            return Undefined("no_target")
        if not np.isfinite(answer.logprobs).all():
            return Undefined("nonfinite")
        lowest = np.sort(counted)[: max(1, int(self.k * counted.size))]
        # Of a token that alone is possible nothing can be said; by then its score is no number.
        return float(lowest.mean()) if np.isfinite(counted).all() else Undefined("zero_spread")

    def _scores(self, answer: TokenScores) -> np.ndarray:
        return answer.logprobs


@dataclass(frozen=True)
class MinKPlus(MinK):
    """Mean of the lowest (log p_t − μ_t) / σ_t of the max(1, ⌊k n⌋) lowest tokens; high is more of a member.

    μ_t and σ_t are mean and standard deviation of log p(v | x_<t) for v drawn from p itself. Undefined where no token
    counts ("no_target"), or where at one of them a single next token has all the probability, so that σ is 0
    ("zero_spread"). Source: Zhang et al., Min-K%++, arXiv 2404.02936.
    """

    needs: ClassVar[tuple[Need, ...]] = ("answer", "vocabulary")
    unit: ClassVar[str] = "standard deviations"
    source: ClassVar[str] = "2404.02936"

    def _scores(self, answer: TokenScores) -> np.ndarray:
        assert answer.entropy is not None
        assert answer.spread is not None
        scores = np.full(answer.logprobs.shape, np.nan)
        np.divide(answer.logprobs + answer.entropy, answer.spread, out=scores, where=answer.spread > 0)
        return scores
