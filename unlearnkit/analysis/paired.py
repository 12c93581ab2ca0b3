"""Two measurements of the same samples: how far they differ, which way, and whether that may be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unlearnkit.analysis.bootstrap import bootstraps


@dataclass(frozen=True)
class Paired:
    """Two measurements `one` and `other` of n samples, as means, and what lies between them.

    `difference` is the mean of other − one, `low` and `high` its 95 % percentile bootstrap interval over samples, None
    for fewer than two. `higher` and `lower` count the samples whose other value is so, `ties` those without a
    difference. `p` is of the sign test, None where all are ties."""

    n: int
    one: float
    other: float
    difference: float
    low: float | None
    high: float | None
    higher: int
    lower: int
    ties: int
    p: float | None


def paired(one: np.ndarray, other: np.ndarray) -> Paired:
    """Compare two measurements [n] of the same samples, n ≥ 1, finite."""
    return all_paired([(one, other)])[0]


def all_paired(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Paired]:
    """What `paired` finds of each."""
    bounds = bootstraps([other - one for one, other in pairs])
    return [_paired(one, other, of) for (one, other), of in zip(pairs, bounds, strict=True)]


def _paired(one: np.ndarray, other: np.ndarray, bounds: tuple[float, float] | None) -> Paired:
    differences = other - one
    low, high = bounds or (None, None)
    higher, lower = int((differences > 0).sum()), int((differences < 0).sum())
    return Paired(
        n=len(differences),
        one=float(one.mean()),
        other=float(other.mean()),
        difference=float(differences.mean()),
        low=low,
        high=high,
        higher=higher,
        lower=lower,
        ties=len(differences) - higher - lower,
        p=sign_test(higher, lower),
    )


def sign_test(higher: int, lower: int) -> float | None:
    """Two-sided p-value of so many differences of each sign, were either as likely as the other; None where there are
    none. Ties are left out, and the binomial is exact.

    Source: Dixon and Mood, "The Statistical Sign Test", 1946."""
    if not higher + lower:
        return None
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(higher, lower), higher + lower, 0.5)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p-value adjusted for all of them: at most a share α of such families has an adjusted p ≤ α where nothing
    differs. None stays None, and is no test.

    The i-th smallest of m becomes max_{j ≤ i} min(1, (m − j + 1) p_j). Source: Holm (1979)."""
    tests = sorted((p, at) for at, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, at) in enumerate(tests):
        largest = max(largest, min(1.0, (len(tests) - rank) * p))
        adjusted[at] = largest
    return adjusted
