"""Means of draws with their error bars, and how far a ranking by them can be trusted. A missing draw is NaN."""

from __future__ import annotations

import numpy as np

SPLITS = 50
"""Random splits into halves that a reliability is the mean over."""


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


class Halves:
    """Draws dealt into two halves under each of `SPLITS` random splits, as running sums: one more draw costs the same
    however many there are.

    Of every two draws in a row each half gets one, by a coin that depends on the pair's number and the split's alone.
    So a look at some draws says the same whether more came after them, and whether they came all at once.
    """

    def __init__(self, samples: int) -> None:
        self.draws = 0
        self.finite = np.zeros(samples, dtype=int)
        """Finite draws of each sample, [N]."""
        self._sums = np.zeros((2, SPLITS, samples))
        self._counts = np.zeros((2, SPLITS, samples), dtype=np.int32)
        self._coins = np.random.RandomState(0)  # a frozen stream: what was enough once is so under any numpy
        self._single = np.zeros(0)

    def add(self, draw: np.ndarray) -> None:
        """Take in the next draw, [N], NaN where it is missing."""
        self.draws += 1
        self.finite += np.isfinite(draw)
        if self.draws % 2:
            self._single = draw
            return
        heads = self._coins.randint(2, size=SPLITS).astype(bool)[:, None]
        for half, swapped in ((0, heads), (1, ~heads)):
            dealt = np.where(swapped, draw, self._single)
            there = np.isfinite(dealt)
            self._sums[half] += np.where(there, dealt, 0)
            self._counts[half] += there

    def reliability(self, among: np.ndarray) -> float | None:
        """How well the ranking by abs(mean) of all draws would agree with one by as many fresh draws.

        Spearman's correlation between the rankings by the two halves, meaned over the splits and stepped up from half
        the draws to all by Spearman-Brown: with d of D draws in a half and k = D/d,

            r = k r½ / (1 + (k - 1) r½)

        One split's r½ is itself a draw: by which halves it is split, a ranking of 40 samples comes out ±0.05. A
        negative r½ is no agreement that could be stepped up and stands as it is.

        Args:
            among: which samples are ranked, bool [N].

        Returns:
            The reliability, or None where it is undefined: fewer than 2 draws or 3 samples, or a constant ranking.
        """
        size = self.draws // 2
        if size == 0:
            return None
        with np.errstate(invalid="ignore"):
            first, second = np.abs(self._sums[:, :, among] / self._counts[:, :, among])
        half = _spearman(first, second)
        if half is None or half <= 0:
            return half
        times = self.draws / size
        return times * half / (1 + (times - 1) * half)


def split_half_reliability(draws: np.ndarray, among: np.ndarray | None = None) -> float | None:
    """`Halves.reliability` of draws that are all there, [D, N]; `among` all samples where it is not given."""
    halves = Halves(draws.shape[1])
    for draw in draws:
        halves.add(draw)
    return halves.reliability(np.ones(draws.shape[1], dtype=bool) if among is None else among)


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
