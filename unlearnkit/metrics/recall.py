"""What texts that the model never saw do to the answer's likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Direction, Metric, Need, Probe, TokenScores, Undefined


@dataclass(frozen=True)
class ReCaLL(Metric):
    """Log-likelihood behind texts that are no members over that without: LL(x | P) / LL(x); high is more of a member.

    P are the samples that the suite puts before the split (`before`). Undefined where the answer has no token
    ("no_target"), where there are no such samples or no room for them ("no_prefix"), or where LL(x) is 0
    ("zero_denominator"). Source: Xie et al., arXiv 2406.15968.
    """

    needs: ClassVar[tuple[Need, ...]] = ("answer", "prefixed")
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "ratio"
    source: ClassVar[str] = "2406.15968"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        assert probe.prefixed is not None
        return [_ratio(answer, prefixed) for answer, prefixed in zip(probe.answer, probe.prefixed, strict=True)]


def _ratio(answer: TokenScores, prefixed: TokenScores | None) -> float | Undefined:
    if not answer.logprobs.size:
        return Undefined("no_target")
    if prefixed is None:
        return Undefined("no_prefix")
    if answer.mean_nll == 0:
        return Undefined("zero_denominator")
    return prefixed.mean_nll / answer.mean_nll
