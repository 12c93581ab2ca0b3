"""Error bars of a mean of draws, and how far a ranking can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def standard_error(draws: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the first axis, [N] from [D, N]; NaN for a single draw."""
    d = len(draws)
    if d < 2:
        return np.full(draws.shape[1:], np.nan)
    return np.asarray(draws.std(axis=0, ddof=1) / np.sqrt(d))


def split_half_reliability(draws: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> float | None:
    """Spearman's correlation between the rankings that two halves of the draws give, stepped up to all of them.

    The halves are the even and the odd draws; Spearman-Brown: r = 2 r½ / (1 + r½).

    Args:
        draws: [D, N].
        value: the estimator, [N] from [d, N].

    Returns:
        The reliability, or None where it is undefined: fewer than 2 draws or 3 samples, or a constant ranking.
    """
    from scipy.stats import spearmanr

    if len(draws) < 2 or draws.shape[1] < 3:
        return None
    first, second = value(draws[0::2]), value(draws[1::2])
    usable = np.isfinite(first) & np.isfinite(second)
    first, second = first[usable], second[usable]
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    half = float(spearmanr(first, second).statistic)
    return 2 * half / (1 + half) if half > -1 else -1.0
