"""Means, error bars and reliability against simulated scores whose truth is known."""

from __future__ import annotations

from math import asin, pi

import numpy as np
import pytest
from scipy.stats import spearmanr

from unlearnkit.scorers.statistics import Halves, mean, split_half_reliability, standard_error


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
    assert split_half_reliability(table) == pytest.approx(true, abs=0.03)
    # To the last digits it is Spearman's, which for two normal variables with correlation ρ is 6/π asin(ρ/2).
    size = draws // 2
    half = 6 / pi * asin(1 / (1 + noise**2 / size) / 2)
    times = draws / size
    assert split_half_reliability(table) == pytest.approx(times * half / (1 + (times - 1) * half), abs=0.01)


def test_it_foretells_the_correlation_with_fresh_draws() -> None:
    first, fresh = np.split(simulated(2000, 16, spread=1.0, noise=2.0), 2)
    assert split_half_reliability(first) == pytest.approx(spearmanr(value(first), value(fresh)).statistic, abs=0.03)


def test_it_is_steadier_than_one_split() -> None:
    tables = [simulated(40, 8, spread=1.0, noise=1.0, seed=seed) for seed in range(60)]
    once = [spearmanr(value(table[0::2]), value(table[1::2])).statistic for table in tables]
    single = [2 * r / (1 + r) for r in once]
    meaned = [split_half_reliability(table) for table in tables]
    assert np.std(meaned) < 0.8 * np.std(single)


def test_two_draws_are_two_halves() -> None:
    a, b = simulated(30, 2, spread=1.0, noise=1.0)
    half = spearmanr(np.abs(a), np.abs(b)).statistic
    assert split_half_reliability(np.stack([a, b])) == pytest.approx(2 * half / (1 + half))


def test_four_draws_are_split_in_the_two_ways_that_part_each_pair() -> None:
    """The mean over random splits lies between the two correlations that there are, and near the middle."""
    a, b, c, d = simulated(30, 4, spread=1.0, noise=2.0)
    two = [spearmanr(a + c, b + d).statistic, spearmanr(a + d, b + c).statistic]
    found = split_half_reliability(np.stack([a, b, c, d]))
    half = found / (2 - found)
    assert min(two) < half < max(two)
    assert half == pytest.approx(np.mean(two), abs=0.25 * (max(two) - min(two)))


def test_a_missing_draw_weighs_nothing_in_its_half() -> None:
    """Of four draws one is missing for one sample: by hand, that sample's half is the other draw alone."""
    a, b, c, d = simulated(12, 4, spread=1.0, noise=2.0)
    d[3] = np.nan
    two = []
    for one, other in (((a, c), (b, d)), ((a, d), (b, c))):
        two.append(spearmanr(np.nanmean(one, axis=0), np.nanmean(other, axis=0)).statistic)
    found = split_half_reliability(np.stack([a, b, c, d]))
    assert min(two) <= found / (2 - found) <= max(two)


def test_what_comes_later_changes_nothing_that_was_seen() -> None:
    table = simulated(40, 30, spread=1.0, noise=2.0)
    growing, everyone = Halves(40), np.ones(40, dtype=bool)
    for n, draw in enumerate(table, 1):
        growing.add(draw)
        assert growing.reliability(everyone) == split_half_reliability(table[:n])


def test_samples_that_are_left_out_have_no_part_in_it() -> None:
    table = simulated(40, 9, spread=1.0, noise=2.0)
    some = np.arange(40) % 3 > 0
    assert split_half_reliability(table, some) == split_half_reliability(table[:, some])


def test_pure_noise_has_none() -> None:
    assert split_half_reliability(simulated(2000, 8, spread=0.0, noise=1.0)) == pytest.approx(0, abs=0.08)


def test_it_stays_a_correlation_where_the_halves_disagree() -> None:
    contrary = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1.0]])
    assert split_half_reliability(contrary) == -1


@pytest.mark.parametrize("shape", [(1, 10), (8, 2)])
def test_too_little_to_rank_gives_none(shape: tuple[int, int]) -> None:
    assert split_half_reliability(np.random.default_rng(0).normal(size=shape)) is None


def test_samples_that_are_all_equal_give_none() -> None:
    assert split_half_reliability(np.ones((4, 5))) is None


def test_missing_draws_count_as_not_made() -> None:
    draws = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan], [6.0, 5.0]])
    np.testing.assert_allclose(mean(draws), [3, 5])
    error = standard_error(draws)
    assert error[0] == pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3))
    assert np.isnan(error[1])
    assert np.isnan(mean(np.full((3, 1), np.nan))).all()
