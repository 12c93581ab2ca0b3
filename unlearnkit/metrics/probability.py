"""How much probability the model gives an answer, alone or against the wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Direction, Metric, Need, Probe, TokenScores, Undefined


@dataclass(frozen=True)
class Probability(Metric):
    """The answer's probability per token, p = exp(−NLL / tokens): the geometric mean over its tokens, 0 … 1.

    Undefined ("no_target") where the answer has no token. Source: arXiv 2401.06121, §2.2, P(a|q)^(1/|a|).
    """

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "probability"
    source: ClassVar[str] = "2401.06121"
    by_heart: ClassVar[float | None] = 1.0

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        return [
            float(np.exp(-answer.mean_nll)) if answer.logprobs.size else Undefined("no_target")
            for answer in probe.answer
        ]


@dataclass(frozen=True)
class ProbabilityAgainstOptions(Metric):
    """The answer's share among those offered, p_c / (p_c + Σ_j p_w_j), with p as in `Probability`; 0 … 1.

    Undefined where the answer has no token ("no_target") or no other is offered ("no_wrong_answers").
    Source: arXiv 2401.06121, §2.2, for real authors and world facts.
    """

    needs: ClassVar[tuple[Need, ...]] = ("answer", "wrong")
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "probability"
    source: ClassVar[str] = "2401.06121"
    by_heart: ClassVar[float | None] = 1.0

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        assert probe.wrong is not None
        return [_share(answer, wrong) for answer, wrong in zip(probe.answer, probe.wrong, strict=True)]


def _share(answer: TokenScores, wrong: Sequence[TokenScores]) -> float | Undefined:
    if not answer.logprobs.size:
        return Undefined("no_target")
    if not wrong:
        return Undefined("no_wrong_answers")
    # In logarithms: a collapsed model's probabilities all underflow, their ratio need not.
    log_p = -np.array([answer.mean_nll, *(other.mean_nll for other in wrong)])
    return float(np.exp(log_p[0] - np.logaddexp.reduce(log_p)))
