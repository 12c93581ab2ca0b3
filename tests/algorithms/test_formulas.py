"""Values and gradients against the papers' formulas, written out in plain Python with derivatives by hand.

The model is a table of bigram logits in float64, so that d nll / d logits is softmax minus one-hot.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from unlearnkit.algorithms.ga import GA
from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.algorithms.npo import NPO
from unlearnkit.algorithms.simnpo import SimNPO
from unlearnkit.checks import checked_terms
from unlearnkit.contracts import Algorithm, Batch, LabelLogits, LabelScores, Step, View
from unlearnkit.testing import material

V = 6
FORGET = [([0, 1, 2, 3, 4], 2), ([5, 4, 3], 1), ([2, 2, 0, 1], 3)]
RETAIN = [([1, 3, 5, 5], 1), ([0, 5], 1)]
REFERENCE = [2.5, 4.25, 0.75]

Push = tuple[float, list[float]]
"""A forget loss, and its derivative by each sample's nll."""


def batch(texts: list[tuple[list[int], int]]) -> Batch:
    width = max(len(ids) for ids, _ in texts)
    rows = [ids + [0] * (width - len(ids)) for ids, _ in texts]
    mask = [[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in texts]
    labels = [
        [t if start <= i < len(ids) else -100 for i, t in enumerate(row)]
        for row, (ids, start) in zip(rows, texts, strict=True)
    ]
    return Batch(*(torch.tensor(x) for x in (rows, mask, labels)), rows=tuple(range(len(texts))))


class BigramStep(Step):
    """A step whose model is a table."""

    progress = 0.0

    def __init__(self, table: torch.Tensor) -> None:
        self.table, self.forget, self.retain = table, batch(FORGET), batch(RETAIN)

    def scores(self, batch: Batch) -> LabelScores:
        targets = batch.labels[:, 1:]
        mask = targets != -100
        logprobs = self.table[batch.ids[:, :-1]].log_softmax(-1)
        picked = logprobs.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return LabelScores(torch.where(mask, picked, 0.0), mask, mask)

    def batch(self, name: str) -> Batch:
        raise NotImplementedError

    def logits(self, batch: Batch) -> LabelLogits:
        raise NotImplementedError

    def hidden(self, batch: Batch, layer: int) -> torch.Tensor:
        raise NotImplementedError

    @property
    def reference(self) -> View:
        raise NotImplementedError

    def mirrored(self, scale: float) -> View:
        raise NotImplementedError

    def reference_nll(self, batch: Batch) -> torch.Tensor:
        assert batch is self.forget
        return torch.tensor(REFERENCE, dtype=torch.float64)


def nll(table: np.ndarray, texts: list[tuple[list[int], int]]) -> tuple[list[float], list[int], list[np.ndarray]]:
    """Each sample's nll, number of label tokens, and d nll / d table."""
    losses, sizes, slopes = [], [], []
    for ids, start in texts:
        loss, slope = 0.0, np.zeros_like(table)
        for before, token in zip(ids[start - 1 :], ids[start:], strict=False):
            row = [math.exp(z) for z in table[before]]
            loss -= math.log(row[token] / sum(row))
            slope[before] += np.array(row) / sum(row)
            slope[before, token] -= 1
        losses.append(loss)
        sizes.append(len(ids) - start)
        slopes.append(slope)
    return losses, sizes, slopes


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def ascent(losses: list[float], sizes: list[int]) -> Push:
    return -sum(losses) / sum(sizes), [-1 / sum(sizes)] * len(losses)


def npo(beta: float) -> Callable[[list[float], list[int]], Push]:
    def push(losses: list[float], sizes: list[int]) -> Push:
        ratios = [math.exp(beta * (ref - loss)) for loss, ref in zip(losses, REFERENCE, strict=True)]
        value = sum(2 / beta * math.log(1 + ratio) for ratio in ratios) / len(losses)
        return value, [-2 * ratio / (1 + ratio) / len(losses) for ratio in ratios]

    return push


def simnpo(beta: float, delta: float) -> Callable[[list[float], list[int]], Push]:
    def push(losses: list[float], sizes: list[int]) -> Push:
        margins = [beta * (loss / n - delta) for loss, n in zip(losses, sizes, strict=True)]
        value = sum(-2 / beta * math.log(sigmoid(m)) for m in margins) / len(losses)
        return value, [-2 * sigmoid(-m) / n / len(losses) for m, n in zip(margins, sizes, strict=True)]

    return push


@pytest.mark.parametrize(
    ("algorithm", "push", "gamma", "alpha"),
    [
        (GA(), ascent, 1.0, 0.0),
        (GradDiff(), ascent, 1.0, 1.0),
        (GradDiff(gamma=0.3, alpha=2.5), ascent, 0.3, 2.5),
        (NPO(), npo(0.1), 1.0, 1.0),
        (NPO(beta=2.0, gamma=0.5, alpha=0.0), npo(2.0), 0.5, 0.0),
        (SimNPO(), simnpo(4.5, 0.0), 0.125, 1.0),
        (SimNPO(beta=1.5, delta=1.25, gamma=2.0, alpha=0.25), simnpo(1.5, 1.25), 2.0, 0.25),
    ],
)
def test_value_and_gradient(
    algorithm: Algorithm, push: Callable[[list[float], list[int]], Push], gamma: float, alpha: float
):
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(V, V))).requires_grad_()
    step = BigramStep(table)
    loss = material.total(checked_terms("tested", algorithm.losses(step), step), step)
    loss.backward()

    losses, sizes, slopes = nll(table.detach().numpy(), FORGET)
    value, weights = push(losses, sizes)
    kept, kept_sizes, kept_slopes = nll(table.detach().numpy(), RETAIN)
    expected = gamma * value + alpha * sum(kept) / sum(kept_sizes)
    slope = gamma * sum(w * s for w, s in zip(weights, slopes, strict=True))
    slope = slope + alpha * sum(kept_slopes) / sum(kept_sizes)

    assert loss.item() == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(table.grad.numpy(), slope, rtol=1e-10, atol=1e-14)


def test_npo_tends_to_gradient_ascent_as_beta_vanishes():
    table = torch.from_numpy(np.random.default_rng(1).normal(size=(V, V))).requires_grad_()
    step = BigramStep(table)
    values = NPO(beta=1e-9).losses(step)["forget"].values
    (slope,) = torch.autograd.grad(values.sum(), table)
    (ascent,) = torch.autograd.grad(-step.scores(step.forget).nll.sum(), table)
    torch.testing.assert_close(slope, ascent, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("algorithm", "texts"),
    [(GA(), 4), (GradDiff(), 7), (GradDiff(alpha=0.0), 4), (NPO(), 7), (NPO(alpha=0.0), 4), (SimNPO(), 7)],
)
def test_texts_share_one_pass_and_none_is_wasted(algorithm: Algorithm, texts: int):
    step = material.step(algorithm)
    count: list[int] = []
    step.model.get_decoder().register_forward_hook(lambda _, given, out: count.append(len(out[0])))
    algorithm.losses(step)
    assert count == [texts]
