"""Correlations with intervals, averaged over outcomes that are about the same samples.

The samples are what another experiment would draw anew, so they are what is resampled: each resample holds the same
samples for every score and every outcome, and what is averaged or compared is so within each resample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from unlearnkit.analysis.correlation import partial, spearman

DRAWS = 2000
FEWEST = 3
"""Samples, below which ranks say nothing."""
DEFINED = 0.9
"""Share of resamples that must have a value, for an interval."""


@dataclass(frozen=True)
class Estimate:
    """A value with a 95 % interval. None where undefined; `reason` is then a stable word."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    @property
    def sign(self) -> int:
        """1 or −1 where the interval has one side of 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Correlation:
    """How a score goes with outcomes over `n` samples: mean Spearman's ρ, and the same given a control.

    `resampled` holds the mean ρ of each resample, NaN where undefined."""

    n: int
    rho: Estimate
    given: Estimate
    resampled: np.ndarray = field(compare=False)


def resamples(n: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Bootstrap resamples of n samples with replacement, as counts, [draws, n]. A function of the arguments alone."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.multinomial(n, np.full(n, 1 / n), size=draws)) if n else np.zeros((draws, 0), dtype=int)


def correlate(
    score: np.ndarray, outcomes: np.ndarray, shares: np.ndarray, control: np.ndarray, counts: np.ndarray
) -> list[Correlation]:
    """Correlate a score with outcomes, and average in several ways, [K].

    Args:
        score: [n], NaN for samples that have none: they are left out.
        outcomes: [R, n], one row for each repetition.
        shares: [K, R], what each repetition counts in each of the means.
        control: [n], what the partial correlation holds fixed.
        counts: resamples of the n samples, [B, n]; see `resamples`.

    Intervals are percentiles of the resampled means (Efron and Tibshirani, 1993, chapter 13). An outcome in which all
    samples are alike has no ρ and does not enter the mean.
    """
    have = np.isfinite(score)
    n = int(have.sum())
    nothing = np.full(len(counts), np.nan)
    if n < FEWEST:
        undefined = Estimate(None, reason="few_samples")
        return [Correlation(n, undefined, undefined, nothing)] * len(shares)
    table = np.vstack([score, control, outcomes])[:, have]
    whole = np.ones((1, n), dtype=counts.dtype)
    rho = spearman(table, np.concatenate([whole, counts[:, have]]))
    direct, given = rho[:, 0, 2:], partial(rho[:, 0, 2:], rho[:, 0, 1, None], rho[:, 1, 2:])
    why = "constant_score" if (table[0] == table[0, 0]).all() else "constant_outcome"
    return [_averaged(n, _mean(direct, share), _mean(given, share), why) for share in shares]


def _averaged(n: int, direct: np.ndarray, given: np.ndarray, why: str) -> Correlation:
    why_given = why if np.isnan(direct[0]) else "control_says_all"
    return Correlation(n, _estimate(direct, why), _estimate(given, why_given), direct[1:])


def _mean(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weighted mean over the last axis of what is defined; NaN where nothing is."""
    weights = np.where(np.isnan(values), 0, shares)
    with np.errstate(invalid="ignore"):
        return np.asarray((np.nan_to_num(values) * weights).sum(-1) / weights.sum(-1))


def _estimate(values: np.ndarray, why: str) -> Estimate:
    """The first value, with percentiles of the others."""
    if np.isnan(values[0]):
        return Estimate(None, reason=why)
    interval = percentiles(values[1:])
    return Estimate(float(values[0]), *(interval or (None, None)))


def percentiles(resampled: np.ndarray, confidence: float = 0.95) -> tuple[float, float] | None:
    """Bounds of a percentile bootstrap interval; None where too many of the resamples have no value."""
    defined = resampled[~np.isnan(resampled)]
    if len(defined) == 0 or len(defined) < DEFINED * len(resampled):
        return None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def strongest(resampled: np.ndarray) -> np.ndarray:
    """Share of resamples in which each of the correlations [S, B] is the strongest, [S]; NaN is never the strongest.

    What ties is shared out. All 0 where no resample has a value."""
    strength = np.nan_to_num(np.abs(resampled), nan=-1.0)
    top = (strength == strength.max(axis=0)) & (strength >= 0)
    counted = top.sum(axis=0) > 0
    return np.asarray((top[:, counted] / top[:, counted].sum(axis=0)).sum(axis=1) / max(1, counted.sum()))
