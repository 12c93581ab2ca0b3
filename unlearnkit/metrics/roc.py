"""Telling members from others by a score: areas and points of the empirical ROC curve. Arrays alone, [m] and [n]."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from unlearnkit.contracts import Interval


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Share of the m · n pairs in which the member scores higher, ties counting half: Mann-Whitney's U / mn."""
    return float(_beaten(members, others).mean())


def delong(members: np.ndarray, others: np.ndarray, confidence: float = 0.95) -> Interval | None:
    """Bounds of the area, AUC ± z √(var V₁₀ / m + var V₀₁ / n), within 0 … 1.

    V₁₀ of a member is the share of the others that it beats, V₀₁ of another the share of members that beat it, ties
    counting half. None where either has fewer than two. Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988.
    """
    m, n = len(members), len(others)
    if min(m, n) < 2:
        return None
    variance = _beaten(members, others).var(ddof=1) / m + _beaten(others, members).var(ddof=1) / n
    area, z = auc(members, others), NormalDist().inv_cdf((1 + confidence) / 2)
    half = z * float(np.sqrt(variance))
    return max(0.0, area - half), min(1.0, area + half)


def tpr(members: np.ndarray, others: np.ndarray, fpr: float) -> float | None:
    """The largest share of members above a threshold that at most a share `fpr` of the others is above.

    None where not even one of the others may be, n · fpr < 1: such a threshold says nothing of that rate.
    """
    allowed = int(fpr * len(others) + 1e-9)
    if allowed < 1:
        return None
    threshold = np.sort(others)[::-1][allowed]
    return float((members > threshold).mean())


def _beaten(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """For each of these the share of those that score lower, ties counting half."""
    ranked = np.sort(those)
    below, upto = np.searchsorted(ranked, these, "left"), np.searchsorted(ranked, these, "right")
    shares: np.ndarray = (below + upto) / (2 * len(those))
    return shares
