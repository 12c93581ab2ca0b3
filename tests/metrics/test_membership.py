"""Attacks on membership, by their definitions: pairs counted, thresholds tried, sums written out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.contracts import Column, Undefined
from unlearnkit.evaluating import columns as made
from unlearnkit.metrics import roc
from unlearnkit.metrics.intervals import Estimate, estimate
from unlearnkit.metrics.membership import AUC, TPR, MIAReference, PrivacyLeakage
from unlearnkit.metrics.repetition import Repetition
from unlearnkit.metrics.token_entropy import TokenEntropy
from unlearnkit.metrics.truth_ratio import TruthRatio
from unlearnkit.store.records import Result

few = st.lists(st.integers(0, 6).map(float), min_size=2, max_size=12).map(np.array)  # with ties


def beats(x: float, y: float) -> float:
    return 1.0 if x > y else 0.5 if x == y else 0.0


def counted(members: np.ndarray, others: np.ndarray) -> float:
    return sum(beats(x, y) for x, y in product(members, others)) / (len(members) * len(others))


def tried(members: np.ndarray, others: np.ndarray, fpr: float) -> float:
    """The best of all thresholds, each member and other being one, that keep the false alarms."""
    thresholds = [*members, *others, np.inf, -np.inf]
    return max(np.mean(members > t) for t in thresholds if np.mean(others > t) <= fpr)


@given(few, few)
def test_the_area_is_the_share_of_pairs(members: np.ndarray, others: np.ndarray):
    assert roc.auc(members, others) == pytest.approx(counted(members, others), abs=1e-12)
    assert roc.auc(members, others) + roc.auc(others, members) == pytest.approx(1)


@given(few, few)
def test_delong_is_its_double_sum(members: np.ndarray, others: np.ndarray):
    m, n, area = len(members), len(others), counted(members, others)
    of_members = [sum(beats(x, y) for y in others) / n for x in members]
    of_others = [sum(beats(x, y) for x in members) / m for y in others]
    variance = sum((v - area) ** 2 for v in of_members) / (m - 1) / m
    variance += sum((v - area) ** 2 for v in of_others) / (n - 1) / n
    bounds = roc.delong(members, others)
    if variance > 1e-12:
        half = 1.959963984540054 * variance**0.5 / (area * (1 - area))
        odds = [area / (1 - area) * np.exp(side) for side in (-half, half)]
        assert bounds == pytest.approx([1 - 1 / (1 + o) for o in odds], abs=1e-9)
    else:  # kl(area ‖ bound) times the number of pairs without a common sample, which leaves out 2.5 % on each side
        for bound in set(bounds) - {area}:
            kl = sum(p * np.log(p / q) for p, q in ((area, bound), (1 - area, 1 - bound)) if p)
            assert np.exp(-min(m, n) * kl) == pytest.approx(0.025)
    assert 0 <= bounds[0] <= area <= bounds[1] <= 1 and bounds[1] - bounds[0] > 0.01


@pytest.mark.parametrize("apart", [1.0, 2.0, 3.0])
def test_the_area_is_within_its_bounds_where_every_pair_is_told_apart(apart: float):
    """Of normal scores; that all of five pairs are told apart while the area is out of bounds is a chance of 2.5 %."""
    from statistics import NormalDist

    rng, area = np.random.default_rng(5), NormalDist().cdf(apart / 2**0.5)
    missed = 0
    for _ in range(1000):
        members, others = rng.normal(apart, 1, 5), rng.normal(0, 1, 5)
        low, _high = roc.delong(members, others)
        missed += bool(members.min() > others.max() and low > area)
    assert missed <= 25
    assert roc.delong(np.ones(20), np.zeros(20)) == pytest.approx((0.025 ** (1 / 20), 1))
    assert roc.delong(np.zeros(20), np.ones(20)) == pytest.approx((0, 1 - 0.025 ** (1 / 20)))


def test_delong_s_interval_holds_the_area_as_often_as_it_says():
    """Normal scores 1 apart: the area is Φ(1/√2). Of 300 intervals 285 ± 3.8 hold it; five deviations below are 266."""
    from statistics import NormalDist

    rng, area = np.random.default_rng(3), NormalDist().cdf(1 / 2**0.5)
    bounds = [roc.delong(rng.normal(1, 1, 80), rng.normal(0, 1, 120)) for _ in range(300)]
    assert sum(low <= area <= high for low, high in bounds) >= 266


@given(few, few, st.sampled_from([0.1, 0.25, 0.5]))
def test_the_rate_is_the_best_of_all_thresholds(members: np.ndarray, others: np.ndarray, fpr: float):
    found = roc.tpr(members, others, fpr)
    assert found == (pytest.approx(tried(members, others, fpr)) if len(others) * fpr >= 1 else None)


def test_one_in_a_hundred_needs_a_hundred():
    members, others = np.arange(200.0), np.arange(100.0)
    assert roc.tpr(members, others, 0.01) == pytest.approx(tried(members, others, 0.01)) == 101 / 200
    assert roc.tpr(members, others[1:], 0.01) is None


# ------------------------------------------------------------------------------------------------------ as aggregates


def column(values: Sequence[float], better: str, first: int = 0) -> Column:
    found = np.array(values, dtype=float)
    return Column(found, found, tuple(f"{i:03}" for i in range(first, first + len(values))), better)


def columns(members: Sequence[float], others: Sequence[float], better: str = "higher", score: str = "loss"):
    return {("forget", score): column(members, better), ("holdout", score): column(others, better, 500)}


MEMBERS, OTHERS = [1.0, 2.0, 2.0, 4.0], [2.0, 3.0, 5.0]


def test_a_low_loss_is_a_member_s_and_a_high_likelihood():
    area = counted(-np.array(MEMBERS), -np.array(OTHERS))
    assert area > 0.5
    assert AUC().combine(columns(MEMBERS, OTHERS), None) == pytest.approx(area)
    turned = columns([-v for v in MEMBERS], [-v for v in OTHERS], "lower", "min_k")
    assert AUC(score="min_k").combine(turned, None) == pytest.approx(area)
    found = estimate(AUC(), columns(MEMBERS, OTHERS), None)
    assert found == Estimate(pytest.approx(area), roc.delong(-np.array(MEMBERS), -np.array(OTHERS)), 7)


@pytest.mark.parametrize("form", ["ratio", "inverse", "share"])
def test_what_is_stored_of_the_truth_ratio_does_not_turn_the_attack(form: str):
    """Members have a low ratio of wrong to right, whatever is stored of it."""
    stored = {"ratio": lambda r: r, "inverse": lambda r: 1 / r, "share": lambda r: 1 / (1 + r)}[form]
    rows = [
        Result(split, "truth_ratio", f"{split} {i}", stored(r))
        for split, ratios in (("forget", MEMBERS), ("holdout", OTHERS))
        for i, r in enumerate(ratios)
    ]
    metrics = {(split, "truth_ratio"): TruthRatio(form=form) for split in ("forget", "holdout")}
    area = AUC(score="truth_ratio").combine(made(rows, metrics), None)
    assert area == pytest.approx(counted(-np.array(MEMBERS), -np.array(OTHERS)))


def test_gibberish_does_not_tell_members():
    rows = [Result(split, "entropy", split, 0.5) for split in ("forget", "holdout")]
    for metric in (TokenEntropy(), Repetition()):
        found = made(rows, dict.fromkeys((("forget", "entropy"), ("holdout", "entropy")), metric))
        assert AUC(score="entropy").combine(found, None) == Undefined("no_scores")


def test_other_splits_can_be_held_against_each_other():
    found = {("forget", "loss"): column(MEMBERS, "higher"), ("retain", "loss"): column(OTHERS, "higher")}
    swapped = AUC(members="retain", others="forget").combine(found, None)
    assert swapped == pytest.approx(1 - AUC(others="retain").combine(found, None))


def test_privacy_leakage_is_0_where_nothing_differs_and_minus_100_where_every_member_is_found():
    usual, given_away = columns(MEMBERS, OTHERS), columns([1.0, 2.0], [3.0, 4.0])
    leakage = PrivacyLeakage(score="loss")
    assert leakage.combine(usual, usual) == 0
    assert leakage.combine(given_away, usual) == pytest.approx(-100)
    hidden = columns([3.0, 4.0], [1.0, 2.0])
    area = 1 - counted(-np.array(MEMBERS), -np.array(OTHERS))
    assert leakage.combine(hidden, usual) == pytest.approx((1 - area) / area * 100)
    assert leakage.combine(usual, given_away) == Undefined("zero_reference")


def test_the_reference_is_taken_away_sample_by_sample():
    mine, theirs = columns(MEMBERS, OTHERS), columns([0.5, 2.5, 1.0], [2.5, 2.0, 4.0])
    members, others = np.array([0.5, -0.5, 1.0]), np.array([-0.5, 1.0, 1.0])  # the fourth is none of the reference's
    found = estimate(MIAReference(), mine, theirs)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(counted(-members, -others))
    assert found.interval == pytest.approx(roc.delong(-members, -others))


def test_what_an_attack_lacks_has_a_name():
    whole = columns(MEMBERS, OTHERS)
    half = {("forget", "loss"): whole["forget", "loss"]}
    for attack in (AUC(), TPR(), PrivacyLeakage(score="loss"), MIAReference()):
        assert attack.combine(half, whole) == Undefined("no_scores")
        assert attack.combine(columns(MEMBERS, OTHERS, "none"), whole) == Undefined("no_scores")
    for attack in (PrivacyLeakage(score="loss"), MIAReference()):
        assert attack.combine(whole, None) == Undefined("no_reference")
        assert attack.combine(whole, half) == Undefined("no_reference_scores")
    assert TPR().combine(whole, None) == Undefined("few_others")
    assert TPR(fpr=0.4).combine(whole, None) == pytest.approx(tried(-np.array(MEMBERS), -np.array(OTHERS), 0.4))
