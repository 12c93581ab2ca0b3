"""Whether the model prefers a true statement to false ones of the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Direction, Metric, Need, Probe, TokenScores, Undefined, to_be_forgotten

_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class TruthRatio(Metric):
    """r = exp(−mean_j NLL(wrong_j)) / exp(−NLL(paraphrase)), each NLL a mean over tokens, in nats; 0 < r.

    Below 1 the model prefers the truth. Where a sample has no paraphrase its answer stands in; several
    paraphrases are averaged as the wrong answers are. r is kept within exp(±700), so that it and 1/r stay
    finite for a model that collapsed. Undefined where there is no wrong answer ("no_wrong_answers") or no
    token ("no_target").

    A split's figure is the mean of min(r, 1/r) on the forget set, which is 1 where truth and falsehood are
    equally likely, and of max(0, 1 − r) on all others. Source: arXiv 2401.06121, eq. 1, as its authors' code
    computes it.
    """

    needs: ClassVar[tuple[Need, ...]] = ("answer", "paraphrases", "wrong")
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "ratio"
    source: ClassVar[str] = "2401.06121"

    def better(self, split: str) -> Direction:
        """Both figures are better the higher they are."""
        del split
        return self.direction

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        assert probe.paraphrases is not None
        assert probe.wrong is not None
        return [
            _ratio(paraphrases or (answer,), wrong)
            for answer, paraphrases, wrong in zip(probe.answer, probe.paraphrases, probe.wrong, strict=True)
        ]

    def summarise(self, values: np.ndarray, split: str) -> np.ndarray:
        terms: np.ndarray = np.minimum(values, 1 / values) if to_be_forgotten(split) else np.maximum(0.0, 1 - values)
        return terms


def _ratio(right: Sequence[TokenScores], wrong: Sequence[TokenScores]) -> float | Undefined:
    if not wrong:
        return Undefined("no_wrong_answers")
    if not all(text.logprobs.size for text in (*right, *wrong)):
        return Undefined("no_target")
    exponent = _mean_nll(right) - _mean_nll(wrong)
    return float(np.exp(np.clip(exponent, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)))


def _mean_nll(texts: Sequence[TokenScores]) -> float:
    return float(np.mean([text.mean_nll for text in texts]))
