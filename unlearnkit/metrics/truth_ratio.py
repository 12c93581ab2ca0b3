"""Whether the model prefers a true statement to false ones of the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from unlearnkit.contracts import Direction, Metric, Need, Probe, TokenScores, Undefined, to_be_forgotten
from unlearnkit.options import option

_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class TruthRatio(Metric):
    """r = P(wrong) / P(paraphrase), with P = exp(−NLL) and each NLL a mean over tokens, in nats; 0 < r.

    P(wrong) is the geometric mean over the wrong answers, exp(−mean_j NLL(wrong_j)), or the arithmetic one. Below 1 the
    model prefers the truth. Where a sample has no paraphrase its answer stands in; several paraphrases are averaged as
    the wrong answers are. r is kept within exp(±700), so that it and 1/r stay finite for a model that collapsed.
    Undefined where there is no wrong answer ("no_wrong_answers") or no token ("no_target").

    A split's figure is the mean of min(r, 1/r) where truth and falsehood are to be equally likely
    ("closer_to_1_better"), as on the forget set, and of max(0, 1 − r) where truth is to be likelier ("true_better"), as
    on all others. `form` says what is stored of a sample: r, its "inverse" 1/r, or the "share" of the truth,
    1 / (1 + r), whose own mean is the figure (OpenUnlearning's "prob_mean"). Which of r and 1/r is stored does not
    change forget quality. Source: arXiv 2401.06121, eq. 1, as its authors' code computes it.
    """

    form: Literal["ratio", "inverse", "share"] = option("ratio", "r, 1/r, or the share of the truth 1/(1+r)")
    wrong: Literal["geometric", "arithmetic"] = option("geometric", "mean over the wrong answers' probabilities")
    figure: Literal["by_split", "closer_to_1_better", "true_better"] = option(
        "by_split", "what a split's figure is of r: the first on the forget set and the second on others, or one on all"
    )
    epsilon: float = option(0.0, "added to what r and 1/r divide by (OpenUnlearning: 1e-10)", ge=0)

    needs: ClassVar[tuple[Need, ...]] = ("answer", "paraphrases", "wrong")
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "ratio"
    source: ClassVar[str] = "2401.06121"

    def better(self, split: str) -> Direction:
        """Figures of r are better the higher they are; the truth's share is to be low on the forget set alone."""
        return "lower" if self.form == "share" and to_be_forgotten(split) else self.direction

    @property
    def values_better(self) -> Direction:
        """A model prefers the truth where it was trained on it: r is low then, 1/r and the truth's share are high."""
        return "higher" if self.form == "ratio" else "lower"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        assert probe.paraphrases is not None
        assert probe.wrong is not None
        return [
            self._value(paraphrases or (answer,), wrong)
            for answer, paraphrases, wrong in zip(probe.answer, probe.paraphrases, probe.wrong, strict=True)
        ]

    def summarise(self, values: np.ndarray, split: str) -> np.ndarray:
        if self.form == "share":
            return values
        ratio = 1 / values if self.form == "inverse" else values
        wanted = self.figure
        if wanted == "by_split":
            wanted = "closer_to_1_better" if to_be_forgotten(split) else "true_better"
        terms: np.ndarray = (
            np.minimum(ratio, 1 / (ratio + self.epsilon))
            if wanted == "closer_to_1_better"
            else np.maximum(0.0, 1 - ratio)
        )
        return terms

    def _value(self, right: Sequence[TokenScores], wrong: Sequence[TokenScores]) -> float | Undefined:
        if not wrong:
            return Undefined("no_wrong_answers")
        if not all(text.logprobs.size for text in (*right, *wrong)):
            return Undefined("no_target")
        # In logarithms: a collapsed model's probabilities all underflow, their ratio need not.
        log_p, log_wrong = self._mean(right, "geometric"), self._mean(wrong, self.wrong)
        floor = np.log(self.epsilon) if self.epsilon else -np.inf
        if self.form == "share":
            return float(np.exp(log_p - np.logaddexp(np.logaddexp(log_p, log_wrong), floor)))
        exponent = log_wrong - np.logaddexp(log_p, floor)
        within = np.clip(exponent if self.form == "ratio" else -exponent, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
        return float(np.exp(within))

    def _mean(self, texts: Sequence[TokenScores], kind: str) -> float:
        """Logarithm of the mean of texts' probabilities."""
        log_p = np.array([-text.mean_nll for text in texts])
        return float(log_p.mean() if kind == "geometric" else np.logaddexp.reduce(log_p) - np.log(len(log_p)))
