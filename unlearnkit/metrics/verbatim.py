"""How likely sampling is to give the answer word for word, some of it shown: a point of a curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Direction, Metric, Probe, TokenScores, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class VerbatimProbability(Metric):
    """Probability that one of some samples at temperature 1 is the answer's next tokens word for word, the first shown.

    1 − (1 − p)^tries with p = Π_t p_t over label tokens t = given + 1 … given + tokens, or to the answer's end where
    that comes before. An answer is (n, p)-discoverably extractable where the value for n tries is at least p. A suite
    that names it with several `tokens` has a curve. Undefined ("no_target") where no token is left to say.
    Source: Hayes et al., arXiv 2410.19482.
    """

    tokens: int = option(50, "tokens that have to come out", ge=1)
    given: int = option(0, "tokens of the answer that are shown", ge=0)
    tries: int = option(1, "samples that are drawn", ge=1)

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "probability"
    source: ClassVar[str] = "2410.19482"
    by_heart: ClassVar[float | None] = 1.0

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        return [self._chance(answer) for answer in probe.answer]

    def _chance(self, answer: TokenScores) -> float | Undefined:
        said = answer.logprobs[self.given : self.given + self.tokens]
        if not said.size:
            return Undefined("no_target")
        p = min(1.0, math.exp(said.sum()))
        return 1.0 if p == 1 else -math.expm1(self.tries * math.log1p(-p))
