"""Means, error bars and reliability against simulated scores whose truth is known."""

from __future__ import annotations

from math import asin, pi

import numpy as np
import pytest
from scipy.stats import spearmanr

from unlearnkit.scorers.statistics import mean, split_half_reliability, standard_error


def value(draws: np.ndarray) -> np.ndarray:
    return np.abs(draws.mean(axis=0))


def simulated(samples: int, draws: int, spread: float, noise: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = 100 + spread * rng.normal(size=samples)
    return truth + noise * rng.normal(size=(draws, samples))


@pytest.mark.parametrize(("draws", "noise"), [(4, 1.0), (8, 3.0), (9, 3.0), (3, 1.0), (32, 2.0)])
def test_reliability_is_the_share_of_variance_that_is_true(draws: int, noise: float) -> None:
    table = simulated(4000, draws, spread=1.0, noise=noise)
    true = 1 / (1 + noise**2 / draws)
    assert split_half_reliability(table, value) == pytest.approx(true, abs=0.03)
    # To the last digits it is Spearman's, which for two normal variables with correlation ρ is 6/π asin(ρ/2).
    size = draws // 2
    half = 6 / pi * asin(1 / (1 + noise**2 / size) / 2)
    times = draws / size
    assert split_half_reliability(table, value) == pytest.approx(times * half / (1 + (times - 1) * half), abs=0.01)


def test_it_foretells_the_correlation_with_fresh_draws() -> None:
    first, fresh = np.split(simulated(2000, 16, spread=1.0, noise=2.0), 2)
    assert split_half_reliability(first, value) == pytest.approx(
        spearmanr(value(first), value(fresh)).statistic, abs=0.03
    )


def test_it_is_steadier_than_one_split() -> None:
    tables = [simulated(40, 8, spread=1.0, noise=1.0, seed=seed) for seed in range(60)]
    once = [spearmanr(value(table[0::2]), value(table[1::2])).statistic for table in tables]
    single = [2 * r / (1 + r) for r in once]
    meaned = [split_half_reliability(table, value) for table in tables]
    assert np.std(meaned) < 0.8 * np.std(single)


def test_pure_noise_has_none() -> None:
    assert split_half_reliability(simulated(2000, 8, spread=0.0, noise=1.0), value) == pytest.approx(0, abs=0.08)


def test_it_stays_a_correlation_where_the_halves_disagree() -> None:
    contrary = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1.0]])
    assert split_half_reliability(contrary, value) == -1


@pytest.mark.parametrize("shape", [(1, 10), (8, 2)])
def test_too_little_to_rank_gives_none(shape: tuple[int, int]) -> None:
    assert split_half_reliability(np.random.default_rng(0).normal(size=shape), value) is None


def test_samples_that_are_all_equal_give_none() -> None:
    assert split_half_reliability(np.ones((4, 5)), value) is None


def test_missing_draws_count_as_not_made() -> None:
    draws = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan], [6.0, 5.0]])
    np.testing.assert_allclose(mean(draws), [3, 5])
    error = standard_error(draws)
    assert error[0] == pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3))
    assert np.isnan(error[1])
    assert np.isnan(mean(np.full((3, 1), np.nan))).all()
