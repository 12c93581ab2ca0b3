"""How far a mean over samples may be trusted: its percentile bootstrap interval.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Equal arguments give equal bounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BLOCK = 1 << 22


def bootstrap(
    values: np.ndarray, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """Bounds of the mean of `values`, [n]: quantiles of the means of `draws` resamples of n with replacement.

    None for fewer than two values, which say nothing of their spread.
    """
    return bootstraps([values], confidence, draws, seed)[0]


def bootstraps(
    several: Sequence[np.ndarray], confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> list[tuple[float, float] | None]:
    """What `bootstrap` finds of each. Drawing is most of the work, and is done once for all of one length."""
    by_length: dict[int, list[int]] = {}
    for at, values in enumerate(several):
        by_length.setdefault(len(values), []).append(at)
    found: list[tuple[float, float] | None] = [None] * len(several)
    for n, places in by_length.items():
        if n > 1:
            means = _resampled(np.stack([several[at] for at in places], axis=1), draws, seed)
            for at, of in zip(places, means.T, strict=True):
                found[at] = middle(of, confidence)
    return found


def _resampled(values: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """The means of resamples of each column of `values`, [draws, k] from [n, k]."""
    n, rng = len(values), np.random.default_rng(seed)
    mean = values.mean(axis=0)
    # In blocks of draws, so that memory does not grow with draws × n.
    rows = max(1, _BLOCK // n)
    means = []
    for start in range(0, draws, rows):
        block = min(rows, draws - start)
        drawn = rng.integers(n, size=(block, n)) + n * np.arange(block)[:, None]
        times = np.bincount(drawn.ravel(), minlength=block * n).reshape(block, n)
        means.append(times @ (values - mean) / n)
    found: np.ndarray = mean + np.concatenate(means)
    return found


def middle(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """The bounds that so large a share of values lies between, as much being below as above."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
