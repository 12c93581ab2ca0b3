"""Agreement of rankings against scipy, and against chance."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from unlearnkit.analysis.rankings import agreements, agreements_by_chance


def test_agreements_are_taus_of_every_two_columns():
    figures = np.random.default_rng(0).normal(size=(5, 3))
    found = {(a.one, a.other): a.tau for a in agreements(figures)}
    expected = {(a, b): stats.kendalltau(figures[:, a], figures[:, b]).statistic for a, b in combinations(range(3), 2)}
    assert found == {key: pytest.approx(tau) for key, tau in expected.items()}


def test_methods_that_tie_everywhere_have_no_ranking():
    assert [a.tau for a in agreements(np.array([[1.0, 2], [1.0, 3]]))] == [None]


def test_methods_that_differ_alike_on_all_samples_agree_as_much_by_chance():
    rng = np.random.default_rng(1)
    values = np.arange(4.0)[:, None] * 10 + rng.uniform(size=(4, 9))
    found = agreements_by_chance(values, [np.arange(3), np.arange(3, 6), np.arange(6, 9)])
    assert [(a.one, a.other) for a in found] == [(0, 1), (0, 2), (0, -1), (1, 2), (1, -1), (2, -1)]
    assert all((a.tau, a.by_chance, a.as_low) == (1, 1, 1) for a in found)


def test_what_no_random_part_shows_is_rare_but_not_impossible():
    """Six methods whose order on one half is reversed, faintly, on the other: no random half does that, and this one is
    a half too."""
    rng = np.random.default_rng(3)
    slopes = np.linspace(-1, 1, 6)[:, None]
    values = np.hstack([slopes, -0.2 * slopes]).repeat(20, axis=1) + rng.normal(scale=0.01, size=(6, 40))
    reversed_ = agreements_by_chance(values, [np.arange(20), np.arange(20, 40)])[0]
    assert (reversed_.tau, reversed_.as_low) == (-1, 1 / 1001)


def test_a_swap_that_the_parts_make_is_rarer_by_chance():
    """One method is good on the first half, the other on the second: random halves do not show that."""
    rng = np.random.default_rng(2)
    first = np.repeat([1.0, 0.0], 20)
    values = np.stack([first, 0.9 - first]) + rng.normal(scale=0.01, size=(2, 40))
    halves = [np.arange(20), np.arange(20, 40)]
    swapped = next(a for a in agreements_by_chance(values, halves) if (a.one, a.other) == (0, 1))
    assert swapped.tau == -1
    assert swapped.as_low is not None and swapped.by_chance is not None
    assert swapped.by_chance > -1

    # By brute force: random halves, and how often the better method changes.
    perm = [rng.permutation(40) for _ in range(2000)]
    taus = [
        np.sign(np.diff(values[:, p[:20]].mean(axis=1))[0]) * np.sign(np.diff(values[:, p[20:]].mean(axis=1))[0])
        for p in perm
    ]
    assert swapped.by_chance == pytest.approx(np.mean(taus), abs=0.1)
    assert swapped.as_low == pytest.approx(np.mean(np.array(taus) == -1), abs=0.05)
