"""Rank correlation, of a sample and of any number of resamples of it at once.

A resample is a count for each element, how often it was drawn: average ranks follow from the counts by one cumulative
sum, so that thousands of resamples cost no sorting, and the sample itself is the resample in which every count is 1.
"""

from __future__ import annotations

import numpy as np

_BLOCK = 1 << 22
_ALL_EXPLAINED = 1e-9
"""Below this, what a control leaves unexplained of a variable's ranks is round-off."""


def ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average ranks from 1 on of `values` [n] within resamples `counts` [..., n]; [..., n]. Infinities may be ranked.

    The rank of an element that was not drawn is without meaning, and has no weight."""
    level_of = np.unique(values, return_inverse=True)[1]
    order = np.argsort(level_of, kind="stable")
    starts = np.flatnonzero(np.diff(level_of[order], prepend=-1))
    drawn = np.add.reduceat(counts[..., order], starts, axis=-1)  # at each level
    return np.asarray((drawn.cumsum(-1) - (drawn - 1) / 2)[..., level_of])


def spearman(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Spearman's ρ between the rows of `table` [V, n] within each resample of `counts` [B, n]; [B, V, V].

    NaN where a row is constant. Source: Spearman (1904), as Pearson's r of average ranks."""
    size = max(1, _BLOCK // max(1, table.size))
    blocks = [_spearman(table, counts[start : start + size]) for start in range(0, len(counts), size)]
    return np.concatenate(blocks)


def _spearman(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    ranked = np.stack([ranks(row, counts) for row in table], axis=1)
    weights = counts[:, None, :]
    with np.errstate(invalid="ignore", divide="ignore"):  # an empty resample, a constant row
        centred = ranked - (weights * ranked).sum(-1, keepdims=True) / weights.sum(-1, keepdims=True)
        covariance = (weights * centred) @ centred.swapaxes(-1, -2)
        variance = np.diagonal(covariance, axis1=-2, axis2=-1)
        return np.asarray(np.clip(covariance / np.sqrt(variance[:, :, None] * variance[:, None, :]), -1, 1))


def partial(xy: np.ndarray, xz: np.ndarray, yz: np.ndarray) -> np.ndarray:
    """Correlation of x and y given z, from the three pairwise ones, elementwise.

    (ρ_xy − ρ_xz ρ_yz) / √((1 − ρ_xz²)(1 − ρ_yz²)); NaN where z says all of x or of y."""
    left = np.array((1 - np.square(xz)) * (1 - np.square(yz)))
    left[left < _ALL_EXPLAINED] = np.nan
    return np.asarray(np.clip((xy - xz * yz) / np.sqrt(left), -1, 1))


def kendall(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kendall's τ_b between the last axes of `a` and `b`, [..., m] each; [...]. NaN where one of them is all ties.

    Source: Kendall (1945): concordant less discordant pairs over √(pairs untied in a · pairs untied in b)."""
    one, other = np.triu_indices(a.shape[-1], k=1)
    x, y = (np.sign(v[..., one] - v[..., other]) for v in (a, b))
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum(-1) / np.sqrt(np.abs(x).sum(-1) * np.abs(y).sum(-1)))
