"""How surprised the model is by the answer, for how much there is to say in it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from unlearnkit.contracts import Direction, Metric, Probe, Sample, TokenScores, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class Zlib(Metric):
    """NLL of the answer over the bytes that zlib takes for it: −Σ_t log p_t / |zlib(answer)|; high is less of a member.

    The answer's text is taken as UTF-8 and compressed at zlib's default level. Undefined ("no_target") where the
    answer has no token. Source: Carlini et al., arXiv 2012.07805, whose code has the mean over tokens above.
    """

    nll: Literal["sum", "mean"] = option("sum", "over the answer's tokens, or their mean as in OpenUnlearning")

    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "nats per byte"
    source: ClassVar[str] = "2012.07805"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        return [self._ratio(sample, answer) for sample, answer in zip(probe.samples, probe.answer, strict=True)]

    def _ratio(self, sample: Sample, answer: TokenScores) -> float | Undefined:
        if not answer.logprobs.size:
            return Undefined("no_target")
        tokens = answer.logprobs.size if self.nll == "sum" else 1
        return answer.mean_nll * tokens / len(zlib.compress(sample.answer.encode()))
