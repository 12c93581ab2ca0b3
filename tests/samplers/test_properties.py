"""What holds for every sampler that the kit offers, whatever the scores."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from unlearnkit.contracts import Pool, Sampler
from unlearnkit.samplers.active import Active
from unlearnkit.samplers.curriculum import Curriculum
from unlearnkit.samplers.drawing import weights
from unlearnkit.samplers.hard_first import HardFirst
from unlearnkit.samplers.mrd import MRDSampler
from unlearnkit.samplers.mrd_per_token import MRDPerToken
from unlearnkit.samplers.stratified import Stratified
from unlearnkit.samplers.uniform import Uniform

SAMPLERS: list[Sampler] = [
    Uniform(),
    MRDSampler(),
    MRDSampler(temperature=0.1),
    MRDSampler(replacement=False, temperature=3.0),
    MRDPerToken(),
    Curriculum(),
    Curriculum(pacing="root", high="hard"),
    Curriculum(pacing="step", start=1e-3),
    HardFirst(),
    HardFirst(high="hard"),
    Stratified(),
    Stratified(bins=7),
    Active(),
    Active(weight="mrd"),
    Active(weight="inverse-mrd"),
]
WHOLE_EPOCHS = [s for s in SAMPLERS if isinstance(s, (Uniform, HardFirst, Stratified))] + [SAMPLERS[3]]
SCORE = st.one_of(st.just(np.nan), st.just(0.0), st.floats(1e-300, 1e300))


@st.composite
def pools(draw: Callable) -> Pool:
    """Any pool in which some sample has a score and some sample is not forgotten."""
    n = draw(st.integers(1, 30))
    scores = np.array(draw(st.lists(SCORE, min_size=n, max_size=n)))
    nll = np.array(draw(st.lists(st.one_of(st.just(np.nan), st.floats(0, 9)), min_size=n, max_size=n)))
    some = draw(st.integers(0, n - 1))
    scores[some], nll[some] = draw(st.floats(1e-6, 10)), 1.0
    epochs = draw(st.integers(1, 6))
    return Pool(
        n, draw(st.integers(1, n)), draw(st.integers(0, epochs - 1)), epochs, scores, nll, np.full(n, 2.0),
        np.arange(n) % 7 + 1,
    )  # fmt: skip


def drawn(sampler: Sampler, pool: Pool, seed: int = 0) -> np.ndarray:
    size = pool.size if sampler.every == "step" else pool.n
    asked = Pool(pool.n, size, pool.epoch, pool.epochs, pool.scores, pool.nll, pool.threshold, pool.tokens)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "all scores are equal")
        return sampler.order(asked, np.random.default_rng(seed))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
@given(pool=pools(), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_an_order_is_of_its_size_within_range_and_its_seeds_own(sampler: Sampler, pool: Pool, seed: int):
    order = drawn(sampler, pool, seed)
    assert order.shape == (pool.size if sampler.every == "step" else pool.n,)
    assert np.issubdtype(order.dtype, np.integer)
    assert order.min() >= 0 and order.max() < pool.n
    assert np.array_equal(order, drawn(sampler, pool, seed))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_another_seed_is_another_order(sampler: Sampler):
    rng = np.random.default_rng(0)
    scores = rng.integers(1, 4, 40).astype(float)  # ties, which a sampler that sorts has to break by chance
    pool = Pool(40, 8, 1, 3, scores, np.full(40, np.nan), np.full(40, 2.0), np.full(40, 3))
    assert len({tuple(drawn(sampler, pool, seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize("sampler", WHOLE_EPOCHS, ids=repr)
@given(pool=pools())
@settings(max_examples=25, deadline=None)
def test_these_have_every_sample_once_an_epoch(sampler: Sampler, pool: Pool):
    assert sorted(drawn(sampler, pool)) == list(range(pool.n))


@given(pool=pools(), bins=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_every_beginning_of_a_stratified_order_is_balanced(pool: Pool, bins: int):
    scores = np.random.default_rng(pool.n).permutation(pool.n) + 1.0
    pool = Pool(pool.n, pool.n, 0, 1, scores, pool.nll, pool.threshold, pool.tokens)
    bins = min(bins, pool.n)
    stratum = np.empty(pool.n, dtype=int)
    for which, rows in enumerate(np.array_split(np.argsort(scores), bins)):
        stratum[rows] = which
    order = drawn(Stratified(bins=bins), pool)
    for end in range(1, pool.n + 1):
        assert np.ptp(np.bincount(stratum[order[:end]], minlength=bins)) <= 1


@given(pool=pools())
@settings(max_examples=60, deadline=None)
def test_active_draws_only_what_is_not_forgotten_and_goes_round_it_evenly(pool: Pool):
    left = {i for i in range(pool.n) if np.isnan(pool.nll[i]) or pool.nll[i] < pool.threshold[i]}
    for weight in ("none", "mrd", "inverse-mrd"):
        order = drawn(Active(weight=weight), pool)
        assert set(order) <= left
        counts = [list(order).count(i) for i in left]
        assert max(counts) - min(counts) <= 1
        assert len(set(order)) == min(len(left), pool.size)


def test_a_sample_comes_back_when_it_is_remembered_again():
    def active(*nll: float) -> set[int]:
        pool = Pool(3, 3, 0, 1, None, np.array(nll), np.array([2.0, 2.0, 3.0]), np.ones(3))
        return set(drawn(Active(), pool))

    assert active(1.0, 5.0, 2.5) == {0, 2}
    assert active(2.0, 1.9, 3.0) == {1}, "at its threshold it is forgotten"
    assert active(4.0, 4.0, 4.0) == set()


# ------------------------------------------------------------------------------------------------------------- weights

SCORES = np.array([0.2, 0.5, 1.0, 2.0, 4.0, np.nan])


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (MRDSampler(), [0.2, 0.5, 1.0, 2.0, 4.0, 7.7 / 5]),
        (MRDSampler(temperature=2.0), [*np.sqrt(SCORES[:5]), np.sqrt(SCORES[:5]).mean()]),
        (MRDSampler(temperature=0.5), [*SCORES[:5] ** 2, (SCORES[:5] ** 2).mean()]),
        (MRDPerToken(), [0.2, 0.25, 1 / 3, 0.5, 0.8, (0.2 + 0.25 + 1 / 3 + 0.5 + 0.8) / 5]),
    ],
    ids=repr,
)
def test_weights_are_respected_over_1e5_draws(sampler: Sampler, expected: list[float]):
    tokens, n = np.arange(1, 7), 100_000
    pool = Pool(6, n, 0, 1, SCORES, np.full(6, np.nan), np.full(6, 2.0), tokens)
    seen = np.bincount(sampler.order(pool, np.random.default_rng(3)), minlength=6)
    assert chisquare(seen, n * np.array(expected) / sum(expected)).pvalue > 0.01


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (MRDSampler(replacement=False), SCORES[:5]),
        (Active(weight="mrd"), SCORES[:5]),
        (Active(weight="inverse-mrd"), 1 / SCORES[:5]),
        (Active(), np.ones(5)),
    ],
    ids=repr,
)
def test_the_first_and_second_of_a_draw_without_replacement_follow_the_weights(sampler: Sampler, expected: np.ndarray):
    p = expected / expected.sum()
    pairs = np.outer(p, p) / (1 - p)[:, None]  # the second from what the first has left
    np.fill_diagonal(pairs, 0)
    pool = Pool(5, 5, 0, 1, SCORES[:5], np.full(5, np.nan), np.full(5, 2.0), np.ones(5))
    rng = np.random.default_rng(4)
    seen = np.zeros((5, 5))
    for _ in range(8_000):
        first, second, *_ = sampler.order(pool, rng)
        seen[first, second] += 1
    off = ~np.eye(5, dtype=bool)
    assert seen[~off].sum() == 0
    assert chisquare(seen[off], 8_000 * pairs[off]).pvalue > 0.01


def test_weights_are_cut_off_at_the_99_9th_percentile():
    scores = np.arange(1.0, 5501.0)
    scores[-1] = 1e12
    made = weights(scores)
    assert made.max() == made[-1] == made[-2] == made[-6] > made[-7], "all from the percentile on"
    few = weights(scores[-500:])
    assert few[-1] > 0.999, "nothing is cut off among fewer than a thousand"


def test_an_inverse_weight_of_nothing_is_that_of_the_smallest_score():
    np.testing.assert_allclose(weights(np.array([0.0, 1.0, 2.0]), -1.0), [0.4, 0.4, 0.2])


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s.needs], ids=repr)
@pytest.mark.parametrize("scores", [[0.0] * 4, [2.5] * 4, [np.nan, 0.1, 0.1, 0.1]])
def test_equal_scores_are_uniform_with_a_warning(sampler: Sampler, scores: list[float]):
    if isinstance(sampler, MRDPerToken):
        scores = (np.array(scores) * [3, 3, 3, 3]).tolist()
    pool = Pool(4, 4, 5, 6, np.array(scores), np.full(4, 0.0), np.ones(4), np.full(4, 3))
    rng = np.random.default_rng(5)
    with pytest.warns(UserWarning, match="drawn uniformly"):
        orders = np.array([sampler.order(pool, rng) for _ in range(1000)])
    for place in range(4):
        assert chisquare(np.bincount(orders[:, place], minlength=4)).pvalue > 0.01 / 4


# ---------------------------------------------------------------------------------------------------------- curriculum


@pytest.mark.parametrize(
    ("pacing", "shares"),
    [
        ("linear", [0.2, 0.4, 0.6, 0.8, 1.0]),
        ("root", [0.2, np.sqrt(0.28), np.sqrt(0.52), np.sqrt(0.76), 1.0]),
        ("step", [0.2, 0.2, 1.0, 1.0, 1.0]),
    ],
)
@pytest.mark.parametrize("high", ["easy", "hard"])
def test_a_curriculum_opens_from_easy_to_hard(pacing: str, shares: list[float], high: str):
    scores = np.random.default_rng(6).permutation(50) + 1.0
    easiest = np.argsort(-scores if high == "easy" else scores)
    for epoch, share in enumerate(shares):
        pool = Pool(50, 50, epoch, 5, scores, np.full(50, np.nan), np.full(50, 2.0), np.ones(50))
        order = drawn(Curriculum(pacing=pacing, start=0.2, high=high), pool)
        opened = int(np.ceil(round(50 * share, 6)))
        assert set(order) == set(easiest[:opened])
        assert np.ptp(np.bincount(order, minlength=50)[easiest[:opened]]) <= 1


def test_hard_first_goes_from_the_lowest_mrd_up_or_down():
    pool = Pool(4, 4, 0, 1, np.array([2.0, 9.0, 1.0, np.nan]), np.full(4, np.nan), np.full(4, 2.0), np.ones(4))
    assert drawn(HardFirst(), pool).tolist() == [2, 0, 3, 1], "what has no score stands where the mean does"
    assert drawn(HardFirst(high="hard"), pool).tolist() == [1, 3, 0, 2]
