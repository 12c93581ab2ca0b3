"""Paired differences by hand, the sign test against scipy's and by counting coins, Holm against its step-down rule."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from unlearnkit.analysis.paired import holm, paired, sign_test


def test_differences_by_hand():
    found = paired(np.array([0.5, 0.25, 1.0, 0.0]), np.array([0.25, 0.25, 0.5, 0.25]))
    assert (found.n, found.one, found.other, found.difference) == (4, 0.4375, 0.3125, -0.125)
    assert (found.higher, found.lower, found.ties, found.p) == (1, 2, 1, 1.0)
    assert found.low is not None and found.high is not None
    assert -0.5 <= found.low < found.difference < found.high <= 0.25


def test_the_interval_is_of_the_mean_difference_not_of_the_samples():
    """Far apart samples that all differ by the same: nothing is uncertain about that."""
    one = np.random.default_rng(0).normal(size=50)
    found = paired(one, one + 0.5)
    assert (found.low, found.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert found.p == pytest.approx(2 * 0.5**50)


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    rng = np.random.default_rng(1)
    intervals = [paired(x := rng.normal(size=40), x + rng.normal(0.3, 1.0, size=40)) for _ in range(200)]
    held = np.mean([found.low <= 0.3 <= found.high for found in intervals])
    assert held == pytest.approx(0.95, abs=0.05)


def test_one_sample_has_no_interval():
    found = paired(np.array([1.0]), np.array([2.0]))
    assert (found.low, found.high, found.p) == (None, None, 1.0)


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_sign_test_is_the_exact_binomial(higher: int, lower: int):
    expected = binomtest(higher, higher + lower, 0.5).pvalue if higher + lower else None
    assert sign_test(higher, lower) == (None if expected is None else pytest.approx(expected, rel=1e-9))


@pytest.mark.parametrize(("higher", "lower"), [(0, 5), (1, 5), (3, 3), (4, 3), (7, 1)])
def test_the_sign_test_counts_coins(higher: int, lower: int):
    n = higher + lower
    uneven = abs(higher - lower)
    outcomes = [abs(2 * sum(coins) - n) >= uneven for coins in product((0, 1), repeat=n)]
    assert sign_test(higher, lower) == pytest.approx(np.mean(outcomes))


P = st.one_of(st.none(), st.floats(0, 1))


@given(st.lists(P, max_size=8), st.floats(0.001, 0.999))
def test_holm_rejects_what_stepping_down_rejects(p_values: list[float | None], alpha: float):
    """Holm's rule as it is written: go up from the smallest, stop at the first p_j > α / (m − j + 1)."""
    tests = sorted((p, at) for at, p in enumerate(p_values) if p is not None)
    rejected = set()
    for j, (p, at) in enumerate(tests, 1):
        if p * (len(tests) - j + 1) > alpha:
            break
        rejected.add(at)
    adjusted = holm(p_values)
    assert {at for at, p in enumerate(adjusted) if p is not None and p <= alpha} == rejected
    assert [p is None for p in adjusted] == [p is None for p in p_values]


def test_holm_by_hand():
    assert holm([0.04, None, 0.01, 0.03]) == [pytest.approx(0.06), None, pytest.approx(0.03), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
