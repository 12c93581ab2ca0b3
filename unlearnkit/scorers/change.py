"""The quantity that Memory Removal Difficulty is made of, the relative change of a sample's log-probabilities, and
where a mean of it is a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from unlearnkit.contracts import Batch, Bench

FINITE_SHARE = 0.9
"""Below this share of finite draws a sample has no value."""
TINY = 1e-6
"""Below this |Σ log p| (nats) the ratio is more denominator than difficulty."""
WITHOUT_VALUE = ("zero_denominator", "nonfinite")
"""Statuses of samples that have none."""


def statuses(total: np.ndarray, finite: np.ndarray) -> list[str]:
    """The word for each sample, [N]: whether it has a value, and whether that is to be trusted.

    Args:
        total: Σ log p of each sample, [N], nats.
        finite: the share of each sample's draws that are finite, [N].
    """
    return [
        "zero_denominator" if t == 0
        else "nonfinite" if not (share >= FINITE_SHARE and np.isfinite(t))
        else "ill_conditioned" if abs(t) < TINY
        else "ok"
        for t, share in zip(total, finite, strict=True)
    ]  # fmt: skip


def valued(total: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Which samples have a value, bool [N], of the same."""
    return np.array([status not in WITHOUT_VALUE for status in statuses(total, finite)], dtype=bool)


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
