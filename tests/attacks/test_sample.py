"""Draws by their probabilities, each sample's its own; and the best of some of them by trying all choices."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from unlearnkit.attacks.sample import Sampling
from unlearnkit.runs.attacked import best_of
from unlearnkit.testing import material

LOGITS = torch.tensor([2.0, -torch.inf, 0.0, 1.0])


def drawn(n: int, ids: range, seed: int = 0, temperature: float = 1.0) -> list[list[int]]:
    """n tokens in a row for each of some samples, asked together, from one distribution."""
    samples = material.samples(ids.stop)[ids.start :]
    (condition,) = Sampling(n=1, seed=seed, temperature=temperature).conditions(material.target())
    assert condition.choose is not None
    choose = condition.choose(samples)
    rows = list(range(len(samples)))
    return torch.stack([choose(LOGITS.repeat(len(rows), 1), rows) for _ in range(n)], 1).tolist()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_tokens_come_with_their_probabilities(temperature: float):
    """Within five standard errors of p, which a fair draw leaves once in a million times."""
    tokens = np.array(drawn(1, range(4000), temperature=temperature)).ravel()
    expected = (LOGITS.double() / temperature).softmax(-1).numpy()
    shares = np.bincount(tokens, minlength=4) / len(tokens)
    assert shares[1] == 0
    assert (np.abs(shares - expected) <= 5 * np.sqrt(expected * (1 - expected) / len(tokens))).all()


def test_a_samples_chance_is_its_own():
    together = drawn(20, range(4))
    assert [drawn(20, range(i, i + 1))[0] for i in range(4)] == together
    assert len({tuple(tokens) for tokens in together}) == 4
    assert drawn(20, range(4), seed=1) != together


def test_a_sample_that_ended_takes_nothing_from_the_others():
    samples = material.samples(3)
    (condition,) = Sampling(n=1).conditions(material.target())
    assert condition.choose is not None
    choose = condition.choose(samples)
    first = choose(LOGITS.repeat(3, 1), [0, 1, 2])
    second = choose(LOGITS.repeat(2, 1), [0, 2])
    whole = drawn(2, range(3))
    assert first.tolist() == [row[0] for row in whole]
    assert second.tolist() == [whole[0][1], whole[2][1]]


def test_every_draw_is_another():
    conditions = list(Sampling(n=3).conditions(material.target()))
    samples = material.samples(8)
    picked = []
    for condition in conditions:
        assert condition.choose is not None
        choose = condition.choose(samples)
        picked.append(tuple(choose(torch.zeros(8, 64), range(8)).tolist()))
    assert len(set(picked)) == 3


@pytest.mark.parametrize("made", [1, 2, 5, 6])
def test_the_best_of_some_is_the_mean_over_all_choices(made: int):
    values = np.random.default_rng(made).random((made, 4)).round(1)  # with ties
    before = np.full(4, -np.inf)
    for n in range(1, made + 1):
        brute = np.mean([values[list(chosen)].max(0) for chosen in combinations(range(made), n)], axis=0)
        found = best_of(values, n)
        np.testing.assert_allclose(found, brute, atol=1e-12)
        assert (found >= before - 1e-12).all(), "more attempts, and less comes out"
        before = found
    np.testing.assert_allclose(best_of(values, made), values.max(0), atol=1e-12)
