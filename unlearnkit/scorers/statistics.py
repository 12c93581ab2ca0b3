"""Means of draws with their error bars, and how far a ranking by them can be trusted. A missing draw is NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

SPLITS = 50
"""Random halves that a reliability is the mean over."""


def mean(draws: np.ndarray) -> np.ndarray:
    """Mean over the first axis, [N] from [D, N], rows added in their order; NaN where there is no draw."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(draws, axis=0) / np.isfinite(draws).sum(axis=0))


def standard_error(draws: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the first axis, [N] from [D, N]; NaN for fewer than two draws."""
    n = np.isfinite(draws).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.nansum((draws - mean(draws)) ** 2, axis=0) / (n - 1)
        return np.asarray(np.where(n > 1, np.sqrt(variance / n), np.nan))


def split_half_reliability(draws: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> float | None:
    """How well the ranking by all draws would agree with one by as many fresh draws.

    Spearman's correlation between the rankings by two disjoint halves of the draws, meaned over `SPLITS` random
    splits and stepped up from half the draws to all by Spearman-Brown: with d of D draws in a half and k = D/d,

        r = k r½ / (1 + (k - 1) r½)

    One split's r½ is itself a draw: by which halves it is split, a ranking of 40 samples comes out ±0.05, and who
    stops at the first value over a target stops at a lucky split. The splits depend on D alone. A negative r½ is no
    agreement that could be stepped up and stands as it is.

    Args:
        draws: [D, N].
        value: the estimator, [N] from [d, N].

    Returns:
        The reliability, or None where it is undefined: fewer than 2 draws or 3 samples, or a constant ranking.
    """
    size = len(draws) // 2
    if size == 0:
        return None
    # RandomState's stream is frozen: what was enough draws once is so under any version of numpy.
    orders = np.random.RandomState(0).rand(SPLITS, len(draws)).argsort(axis=1)
    first = np.stack([value(draws[np.sort(order[:size])]) for order in orders])
    second = np.stack([value(draws[np.sort(order[size : 2 * size])]) for order in orders])
    half = _spearman(first, second)
    if half is None or half <= 0:
        return half
    times = len(draws) / size
    return times * half / (1 + (times - 1) * half)


def _spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Mean over rows of the rank correlation between two tables [splits, N], over samples that have all values."""
    from scipy.stats import rankdata

    usable = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
    if usable.sum() < 3:
        return None
    a, b = (rankdata(table[:, usable], axis=1) for table in (first, second))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    norms = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    if not norms.all():
        return None
    return float(((a * b).sum(axis=1) / norms).mean())
