"""Bounds of a mean against binomial quantiles, and how often they hold it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from unlearnkit.analysis.bootstrap import bootstrap, bootstraps


@pytest.mark.parametrize(("ones", "n"), [(30, 100), (5, 40), (180, 200)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_bounds_of_a_share_are_binomial_quantiles(ones, n, confidence):
    """A resampled mean of `ones` ones among n is Binomial(n, ones/n) / n: its quantiles are known exactly."""
    values = np.array([1.0] * ones + [0.0] * (n - ones))
    exact = binom.ppf([(1 - confidence) / 2, (1 + confidence) / 2], n, ones / n) / n
    np.testing.assert_allclose(bootstrap(values, confidence, draws=20_000), exact, atol=1.01 / n)


def test_nineteen_of_twenty_intervals_hold_the_mean():
    """The share of 400 is 0.945 at n = 100 with a standard deviation of 0.011: three of those either way."""
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(400):
        low, high = bootstrap(rng.normal(3, 2, 100), draws=500, seed=seed)
        held += low <= 3 <= high
    assert 0.91 <= held / 400 <= 0.98


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30).map(np.array), st.integers(0, 2**32))
def test_bounds_are_ordered_repeatable_and_within_the_values(values, seed):
    low, high = bootstrap(values, draws=50, seed=seed)
    slack = 1e-9 * (1 + np.abs(values).max())
    assert values.min() - slack <= low <= high <= values.max() + slack
    assert bootstrap(values, draws=50, seed=seed) == (low, high)


def test_blocks_of_draws_are_one_sample(monkeypatch):
    values = np.random.default_rng(0).normal(size=64)
    whole = bootstrap(values)
    monkeypatch.setattr("unlearnkit.analysis.bootstrap._BLOCK", 1000)
    assert bootstrap(values) == whole


def test_several_are_resampled_as_each_would_be_alone():
    rng = np.random.default_rng(3)
    several = [rng.normal(size=n) for n in (5, 1, 64, 5, 0, 64, 5)]
    for values, found in zip(several, bootstraps(several), strict=True):
        assert found == (None if len(values) < 2 else pytest.approx(bootstrap(values), rel=1e-12))


def test_one_value_has_no_interval():
    assert bootstrap(np.array([0.5])) is None
    assert bootstrap(np.empty(0)) is None
