"""Averages over outcomes, intervals that hold what they promise, and what has no value."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unlearnkit.analysis.estimates import Estimate, correlate, percentiles, resamples, strongest

ONE = np.ones((1, 1))


def test_a_mean_counts_outcomes_by_their_shares():
    rng = np.random.default_rng(1)
    score, outcomes, length = rng.normal(size=20), rng.normal(size=(3, 20)), rng.normal(size=20)
    shares = np.array([[0.25, 0.25, 0.5], [0, 1, 0]])
    found, alone = correlate(score, outcomes, shares, length, resamples(20, 50))
    rhos = [stats.spearmanr(score, outcome).statistic for outcome in outcomes]
    assert alone.rho.value == pytest.approx(rhos[1])
    assert found.rho.value == pytest.approx((rhos[0] + rhos[1] + 2 * rhos[2]) / 4)
    assert found.n == 20


def test_the_interval_is_that_of_means_over_the_same_resamples():
    rng = np.random.default_rng(2)
    score, outcomes = rng.normal(size=15), rng.normal(size=(2, 15))
    counts = resamples(15, 40, seed=3)
    (found,) = correlate(score, outcomes, np.full((1, 2), 0.5), rng.normal(size=15), counts)
    means = []
    for count in counts:
        again = np.repeat(np.arange(15), count)
        means.append(np.mean([stats.spearmanr(score[again], outcome[again]).statistic for outcome in outcomes]))
    assert (found.rho.low, found.rho.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Bivariate normal: Spearman's ρ is (6/π) asin(r/2) of Pearson's r (Pearson, 1907)."""
    rng = np.random.default_rng(7)
    r, n, trials = 0.6, 60, 300
    truth = 6 / np.pi * np.arcsin(r / 2)
    counts = resamples(n, 400)
    inside = 0
    for _ in range(trials):
        x, y = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], size=n).T
        rho = correlate(x, y[None], ONE, rng.normal(size=n), counts)[0].rho
        assert rho.low is not None and rho.high is not None
        inside += rho.low <= truth <= rho.high
    assert 0.90 <= inside / trials <= 0.98


def test_resamples_are_a_function_of_their_arguments():
    np.testing.assert_array_equal(resamples(9, 5, 1), resamples(9, 5, 1))
    assert (resamples(9, 5, 1) != resamples(9, 5, 2)).any()
    assert (resamples(9, 50).sum(axis=1) == 9).all()


def test_samples_without_a_score_are_left_out():
    rng = np.random.default_rng(4)
    score, outcome = rng.normal(size=12), rng.normal(size=12)
    expected = stats.spearmanr(score[2:], outcome[2:]).statistic
    score[:2] = np.nan
    (found,) = correlate(score, outcome[None], ONE, rng.normal(size=12), resamples(12, 30))
    assert (found.n, found.rho.value) == (10, pytest.approx(expected))


@pytest.mark.parametrize(
    ("score", "outcome", "reason"),
    [
        ([1, np.nan, 2, np.nan], [1, 2, 3, 4], "few_samples"),
        ([2, 2, 2, 2], [1, 2, 3, 4], "constant_score"),
        ([1, 2, 3, 4], [np.inf] * 4, "constant_outcome"),
    ],
)
def test_what_has_no_correlation_says_why(score: list[float], outcome: list[float], reason: str):
    length = np.array([3.0, 1, 4, 2])
    (found,) = correlate(np.array(score, float), np.array([outcome], float), ONE, length, resamples(4, 20))
    assert found.rho == found.given == Estimate(None, reason=reason)


def test_length_itself_has_nothing_left_given_length():
    length = np.arange(8.0)
    (found,) = correlate(length, np.array([[1, 0, 2, 3, 5, 4, 6, 7.0]]), ONE, length, resamples(8, 20))
    assert found.rho.value == pytest.approx(1 - 6 * 4 / (8 * 63))
    assert found.given == Estimate(None, reason="control_says_all")


def test_an_outcome_without_a_correlation_does_not_enter_the_mean():
    x, y = np.arange(6.0), np.array([0, 2, 1, 3, 5, 4.0])
    (found,) = correlate(x, np.stack([y, np.full(6, np.inf)]), np.full((1, 2), 0.5), y[::-1], resamples(6, 20))
    assert found.rho.value == pytest.approx(stats.spearmanr(x, y).statistic)


@pytest.mark.parametrize(("low", "high", "sign"), [(0.1, 0.4, 1), (-0.4, -0.1, -1), (-0.1, 0.2, 0), (None, None, 0)])
def test_a_sign_is_one_that_the_interval_is_sure_of(low: float | None, high: float | None, sign: int):
    assert Estimate(0.2, low, high).sign == sign


def test_percentiles_want_most_resamples_defined():
    values = np.linspace(0, 1, 1001)
    assert percentiles(values) == pytest.approx((0.025, 0.975))
    values[: len(values) // 5] = np.nan
    assert percentiles(values) is None
    assert percentiles(np.array([])) is None


def test_the_strongest_is_counted_by_resample():
    resampled = np.array([[0.5, -0.9, 0.2, np.nan], [-0.6, 0.1, 0.2, np.nan]])
    np.testing.assert_allclose(strongest(resampled), [1.5 / 3, 1.5 / 3])
    np.testing.assert_array_equal(strongest(np.full((2, 3), np.nan)), [0, 0])
