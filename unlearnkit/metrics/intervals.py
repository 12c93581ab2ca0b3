"""How far a mean over samples may be trusted: its percentile bootstrap interval."""

from __future__ import annotations

import numpy as np

_BLOCK = 1 << 22


def bootstrap(
    values: np.ndarray, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """Bounds of the mean of `values`, [n]: quantiles of the means of `draws` resamples of n with replacement.

    None for fewer than two values, which say nothing of their spread. Equal arguments give equal bounds.
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    n = len(values)
    if n < 2:
        return None
    rng = np.random.default_rng(seed)
    # In blocks of draws, so that memory does not grow with draws × n.
    rows = max(1, _BLOCK // n)
    means = np.concatenate(
        [values[rng.integers(n, size=(min(rows, draws - start), n))].mean(axis=1) for start in range(0, draws, rows)]
    )
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
