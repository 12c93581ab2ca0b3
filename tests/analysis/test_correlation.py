"""Rank correlations against scipy and against their definitions, ties, infinities and resamples included."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from unlearnkit.analysis.correlation import kendall, partial, ranks, spearman

RNG = np.random.default_rng(5)


def drawn(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """A resample written out."""
    return np.repeat(values, counts)


@pytest.mark.parametrize("levels", [3, 1000])
def test_ranks_of_a_resample_are_those_of_it_written_out(levels: int):
    values = RNG.integers(levels, size=30).astype(float)
    values[:2] = np.inf
    counts = RNG.multinomial(30, np.full(30, 1 / 30), size=20)
    found = ranks(values, counts)
    for count, row in zip(counts, found, strict=True):
        np.testing.assert_array_equal(drawn(row, count), stats.rankdata(drawn(values, count)))


def test_spearman_of_a_resample_is_scipys_of_it_written_out():
    table = np.stack([RNG.normal(size=40), RNG.integers(5, size=40), RNG.exponential(size=40)])
    table[2, 7:12] = np.inf
    counts = RNG.multinomial(40, np.full(40, 1 / 40), size=25)
    found = spearman(table, counts)
    assert found.shape == (25, 3, 3)
    for count, rho in zip(counts, found, strict=True):
        for a in range(3):
            for b in range(3):
                expected = stats.spearmanr(drawn(table[a], count), drawn(table[b], count)).statistic
                assert rho[a, b] == pytest.approx(expected, abs=1e-12)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch):
    table, counts = RNG.normal(size=(2, 10)), RNG.multinomial(10, np.full(10, 0.1), size=17)
    whole = spearman(table, counts)
    monkeypatch.setattr("unlearnkit.analysis.correlation._BLOCK", 60)
    np.testing.assert_array_equal(spearman(table, counts), whole)


def test_what_is_constant_correlates_with_nothing():
    found = spearman(np.array([[0.1] * 7, np.arange(7.0)]), np.ones((1, 7), dtype=int))[0]
    assert np.isnan(found[0]).all()
    assert np.isnan(found[:, 0]).all()
    assert found[1, 1] == 1


def test_partial_correlation_is_that_of_what_a_regression_on_the_control_leaves():
    z = RNG.normal(size=50)
    x, y = z + RNG.normal(size=50), -0.7 * z + RNG.normal(size=50)
    left = []
    rx, ry, rz = (stats.rankdata(v) for v in (x, y, z))
    for v in (rx, ry):
        slope, intercept = np.polyfit(rz, v, 1)
        left.append(v - slope * rz - intercept)
    rho = spearman(np.stack([x, y, z]), np.ones((1, 50), dtype=int))[0]
    assert partial(rho[0, 1], rho[0, 2], rho[1, 2]) == pytest.approx(np.corrcoef(left)[0, 1], abs=1e-12)


def test_nothing_is_left_given_itself():
    rho = spearman(np.stack([np.arange(9.0), RNG.normal(size=9), np.arange(9.0) ** 3]), np.ones((1, 9), dtype=int))[0]
    assert np.isnan(partial(rho[0, 1], rho[0, 2], rho[1, 2]))


def test_kendall_is_scipys():
    for levels in (2, 4, 100):
        a, b = RNG.integers(levels, size=(2, 30, 6)).astype(float)
        for one, other, tau in zip(a, b, kendall(a, b), strict=True):
            np.testing.assert_allclose(tau, stats.kendalltau(one, other).statistic)


def test_kendall_counts_swapped_pairs():
    a, b = np.array([1, 2, 3, 4, 5.0]), np.array([2, 1, 3, 5, 4.0])
    swapped = sum((a[i] < a[j]) != (b[i] < b[j]) for i, j in combinations(range(5), 2))
    assert kendall(a, b) == pytest.approx(1 - 2 * swapped / 10)
