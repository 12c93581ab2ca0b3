"""How often samples are drawn, against the probabilities that the docstrings promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from unlearnkit.contracts import Pool, ScoreRequest
from unlearnkit.errors import UnlearnkitError
from unlearnkit.samplers.mrd import MRDSampler
from unlearnkit.samplers.uniform import Uniform

DRAWS = 12_000


def pool(n: int, scores: np.ndarray | None = None, size: int | None = None) -> Pool:
    return Pool(n, size or n, 0, 10, scores, np.full(n, np.nan), np.full(n, 2.0), np.full(n, 5))


def counts(scores: np.ndarray, draws: int = DRAWS) -> np.ndarray:
    """How often each sample is in one order of so many draws."""
    order = MRDSampler().order(pool(len(scores), scores, draws), np.random.default_rng(7))
    return np.bincount(order, minlength=len(scores))


def test_uniform_has_every_sample_once():
    order = Uniform().order(pool(50), np.random.default_rng(0))
    assert sorted(order) == list(range(50))
    assert list(order) != list(range(50))


def test_uniform_puts_every_sample_anywhere():
    rng = np.random.default_rng(0)
    first = [Uniform().order(pool(5), rng)[0] for _ in range(5_000)]
    assert chisquare(np.bincount(first, minlength=5)).pvalue > 0.01


def test_mrd_draws_in_proportion_to_the_score():
    scores = np.array([0.1, 0.4, 1.0, 2.5, 6.0])
    seen = counts(scores)
    assert chisquare(seen, DRAWS * scores / scores.sum()).pvalue > 0.01
    assert chisquare(seen).pvalue < 1e-9


def test_mrd_takes_only_the_ratio_of_scores():
    scores = np.array([0.5, 1.5, 3.0])
    assert np.array_equal(counts(scores, 30), counts(scores * 2.0**-30, 30))


def test_a_sample_without_score_is_drawn_like_the_mean_sample():
    scores = np.array([1.0, np.nan, 3.0, 8.0])
    expected = np.array([1.0, 4.0, 3.0, 8.0])
    assert chisquare(counts(scores), DRAWS * expected / expected.sum()).pvalue > 0.01


def test_a_score_of_zero_is_never_drawn():
    assert counts(np.array([0.0, 1.0, 2.0]))[0] == 0


@pytest.mark.parametrize("scores", [None, np.full(3, np.nan)])
def test_no_score_at_all_is_an_error(scores: np.ndarray | None):
    with pytest.raises(UnlearnkitError) as caught:
        MRDSampler().order(pool(3, scores), np.random.default_rng(0))
    assert caught.value.code == "scores"


def test_mrd_asks_for_its_scores_as_often_as_told():
    assert MRDSampler(refresh=2, draws=3, sigma=5e-4, estimator="plain", tokens="all").needs == ScoreRequest(
        "mrd", {"draws": 3, "sigma": 5e-4, "estimator": "plain", "tokens": "all"}, refresh=2
    )


def test_mrd_asks_for_what_the_scorer_takes():
    from unlearnkit.plugins import Plugins

    request = MRDSampler().needs
    assert Plugins(entry_points=()).build("scorer", request.scorer, request.options)
