"""Telling members from others by a score: areas and points of the empirical ROC curve. Arrays alone, [m] and [n]."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from unlearnkit.contracts import Interval


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Share of the m · n pairs in which the member scores higher, ties counting half: Mann-Whitney's U / mn."""
    return float(_beaten(members, others).mean())


def delong(members: np.ndarray, others: np.ndarray, confidence: float = 0.95) -> Interval | None:
    """Bounds of the area on the logit scale: logit A ± z √V / (A (1 − A)), V = var V₁₀ / m + var V₀₁ / n.

    V₁₀ of a member is the share of the others that it beats, V₀₁ of another the share of members that beat it, ties
    counting half. None where either has fewer than two. Where V is 0, which is with A = 0 or 1 or where all tie, it
    says nothing of how unsure the area is. The bounds then are those θ with min(m, n) · KL(A ‖ θ) = ln(2 / (1 −
    confidence)), which hold for any distributions; for A = 1 they are Clopper and Pearson's of min(m, n) pairs.
    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; on the logit scale, Pepe, The Statistical Evaluation
    of Medical Tests, 2003; Hoeffding, J. Am. Stat. Assoc. 58, 1963, theorem 1 and section 5 on two-sample U-statistics.
    """
    m, n = len(members), len(others)
    if min(m, n) < 2:
        return None
    variance = _beaten(members, others).var(ddof=1) / m + _beaten(others, members).var(ddof=1) / n
    area, z = auc(members, others), NormalDist().inv_cdf((1 + confidence) / 2)
    if area in (0.0, 1.0) or not variance:
        return _certain(area, ((1 - confidence) / 2) ** (1 / min(m, n)))
    middle, half = math.log(area / (1 - area)), z * math.sqrt(variance) / (area * (1 - area))
    return _expit(middle - half), _expit(middle + half)


def tpr(members: np.ndarray, others: np.ndarray, fpr: float) -> float | None:
    """The largest share of members above a threshold that at most a share `fpr` of the others is above.

    None where not even one of the others may be, n · fpr < 1: such a threshold says nothing of that rate.
    """
    allowed = int(fpr * len(others) + 1e-9)
    if allowed < 1:
        return None
    threshold = np.sort(others)[::-1][allowed]
    return float((members > threshold).mean())


def _certain(area: float, chance: float) -> Interval:
    """Where KL(A ‖ θ) = −ln `chance`, for A of 0, 1 or 1/2: of 1 it is −ln θ, of 1/2 it is −ln(4 θ (1 − θ)) / 2."""
    if area == 1:
        return chance, 1.0
    if area == 0:
        return 0.0, 1 - chance
    half = math.sqrt(1 - chance**2) / 2
    return 0.5 - half, 0.5 + half


def _expit(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))


def _beaten(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """For each of these the share of those that score lower, ties counting half."""
    ranked = np.sort(those)
    below, upto = np.searchsorted(ranked, these, "left"), np.searchsorted(ranked, these, "right")
    shares: np.ndarray = (below + upto) / (2 * len(those))
    return shares
