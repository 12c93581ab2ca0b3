"""How far a mean over samples may be trusted: its percentile bootstrap interval.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Equal arguments give equal bounds.
"""

from __future__ import annotations

import numpy as np

_BLOCK = 1 << 22


def bootstrap(
    values: np.ndarray, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """Bounds of the mean of `values`, [n]: quantiles of the means of `draws` resamples of n with replacement.

    None for fewer than two values, which say nothing of their spread.
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
    return middle(means, confidence)


def middle(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """The bounds that so large a share of values lies between, as much being below as above."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
