"""How hard a sample pulls at the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unlearnkit.contracts import Batch, Bench
from unlearnkit.scorers.alone import alone, trainable
from unlearnkit.scorers.onepass import OnePass, Reading

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class GradNorm(OnePass):
    """Euclidean norm of the gradient of a sample's mean NLL with respect to all trainable weights (GraNd, arXiv
    2107.07075). One forward and one backward pass for every sample alone; the memory of one gradient."""

    unit: ClassVar[str] = "nats per token and unit of weight"
    source: ClassVar[str] = "arXiv 2107.07075"

    def reading(self, bench: Bench) -> Reading:
        weights = list(trainable(bench.model).values())
        return lambda batch: [_norm(bench, sample, weights) for sample in alone(batch)]


def _norm(bench: Bench, sample: Batch, weights: list[Tensor]) -> float:
    import torch

    from unlearnkit.losses import label_scores

    with torch.enable_grad():
        scores = label_scores(bench.model, sample, precise=True)
        # Not `backward`, which would leave the gradient in the weights' `grad`.
        gradient = torch.autograd.grad((scores.nll / scores.tokens).sum(), weights, allow_unused=True)
    parts = [torch.linalg.vector_norm(part, dtype=torch.float64) for part in gradient if part is not None]
    return float(torch.stack(parts).norm())
