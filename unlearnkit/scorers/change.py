"""The quantity that Memory Removal Difficulty is made of: the relative change of a sample's log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from unlearnkit.contracts import Batch, Bench


def relative_change(bench: Bench, batch: Batch, eps: float) -> np.ndarray:
    """S = Σ_t (P_t(θ) - P_t(θ')) / P_t(θ) over a sample's label tokens, float64 [B, 1], dimensionless.

    θ' are the weights that the model holds, θ those that `bench.base` saw. Denominators nearer to 0 than `eps` nats
    are -`eps`.
    """
    base, now = bench.base(batch).logprobs, bench.scores(batch).logprobs
    return columns(((base - now) / base.clamp(max=-eps)).sum(-1))


def columns(*values: Tensor) -> np.ndarray:
    """Tensors [B] side by side, float64 [B, columns]."""
    return np.stack([value.double().cpu().numpy() for value in values], axis=1)
