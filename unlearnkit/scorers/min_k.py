"""Min-K%: how likely a sample's least likely tokens are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Bench, LabelScores
from unlearnkit.options import option
from unlearnkit.scorers.onepass import OnePass, Reading


@dataclass
class MinK(OnePass):
    """Mean log-probability of the k % least likely tokens of the answer, at least one of them, in nats (Shi et al.,
    arXiv 2310.16789). A text that was seen in training has few surprises and so a high value. One forward pass."""

    unit: ClassVar[str] = "nats per token"
    source: ClassVar[str] = "arXiv 2310.16789"

    k: float = option(20.0, "share of the tokens that count, in per cent", gt=0, le=100)

    def reading(self, bench: Bench) -> Reading:
        return lambda batch: self._lowest(bench.base(batch))

    def _lowest(self, scores: LabelScores) -> list[float]:
        import torch

        counts = (scores.tokens.double() * self.k / 100).long().clamp(min=1)
        lowest = scores.logprobs.masked_fill(~scores.mask, torch.inf).sort(dim=-1).values
        ranks = torch.arange(lowest.shape[-1], device=lowest.device)
        kept = lowest.masked_fill(ranks >= counts.unsqueeze(-1), 0.0)
        means: list[float] = (kept.sum(-1) / counts).tolist()
        return means
