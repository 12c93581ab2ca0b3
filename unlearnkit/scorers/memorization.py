"""How much of an answer the model completes by itself before anything is unlearned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Batch, Bench, Probe, TokenScores
from unlearnkit.metrics.memorization import ExtractionStrength
from unlearnkit.scorers.onepass import OnePass, Reading


@dataclass
class Memorization(OnePass):
    """Extraction strength, the metric of that name: 1 − k/n, k the fewest of the answer's n tokens after which all
    others come out right. Well memorised sets are claimed to be harder to forget (arXiv 2406.01257, which measures
    memorisation by training without a sample; this needs one forward pass)."""

    unit: ClassVar[str] = "share of tokens"
    source: ClassVar[str] = "arXiv 2406.01257"
    high_means: ClassVar[str] = "hard"

    def reading(self, bench: Bench) -> Reading:
        metric = ExtractionStrength()

        def read(batch: Batch) -> list[float]:
            found = metric.measure(Probe(samples=(), answer=_answers(bench, batch)))
            return [value if isinstance(value, float) else np.nan for value in found]

        return read


def _answers(bench: Bench, batch: Batch) -> list[TokenScores]:
    import torch

    from unlearnkit.losses import label_scores

    with torch.inference_mode():
        scores = label_scores(bench.model, batch, correct=True)
    rows = zip(
        scores.logprobs.double().cpu().numpy(), scores.correct.cpu().numpy(), scores.mask.cpu().numpy(), strict=True
    )
    return [TokenScores(logprobs[labelled], correct[labelled]) for logprobs, correct, labelled in rows]
