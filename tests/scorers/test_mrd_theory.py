"""MRD against what is known on paper: the Hessian of a softmax, odd functions, and where log p rounds to 0."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from unlearnkit.contracts import Batch, Bench, LabelScores, Score, Unit
from unlearnkit.data.encode import Encoded
from unlearnkit.scorers.mrd import MRD
from unlearnkit.testing import material

from .benches import Softmax, bench_of, by_row


def scored(scorer: MRD, on: Bench) -> list[Score]:
    found = dict(scorer.measure(on, scorer.units(len(on.shards), {})))
    keys = sorted({(unit.draw, unit.sign) for unit in found})
    draws = {key: np.concatenate([found[Unit(*key, s)] for s in range(len(on.shards))]) for key in keys}
    return scorer.reduce(draws)


@pytest.fixture(scope="module")
def texts() -> list[Encoded]:
    rng = np.random.default_rng(2)
    return [Encoded(tuple(rng.integers(0, 12, n).tolist()), 1) for n in (4, 9, 6, 12, 5, 7, 8, 10)]


@pytest.fixture(scope="module")
def model() -> Softmax:
    return Softmax(2 * torch.randn(12, 12, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("sigma", [1e-3, 3e-3, 1e-2])
def test_the_curvature_of_a_softmax_is_its_hessians_trace(model: Softmax, texts: list[Encoded], sigma: float) -> None:
    on = bench_of(model, texts)
    scores = by_row(on, scored(MRD(draws=100, sigma=sigma), on))
    off = [
        (score.details["curvature"] - model.curvature(text)) / score.details["curvature_stderr"]
        for score, text in zip(scores, texts, strict=True)
    ]
    assert np.abs(off).max() < 3.5
    assert 0.3 < np.sqrt(np.mean(np.square(off))) < 1.7, "error bars are as wide as the errors"
    widths = [score.details["curvature_stderr"] / score.details["curvature"] for score in scores]
    assert max(widths) < 0.15, "and narrow enough for that to say something"


def test_the_plain_estimator_has_the_same_mean_and_far_wider_error_bars(model: Softmax, texts: list[Encoded]) -> None:
    on = bench_of(model, texts)
    pairs = by_row(on, scored(MRD(draws=100, sigma=1e-2), on))
    plain = by_row(on, scored(MRD(draws=100, sigma=1e-2, estimator="plain"), on))
    for one, other, text in zip(pairs, plain, texts, strict=True):
        assert abs(other.details["curvature"] - model.curvature(text)) < 3.5 * other.details["curvature_stderr"]
        assert other.stderr > 10 * one.stderr


def test_mean_abs_measures_a_gradient_norm_and_tells_no_curvature(model: Softmax, texts: list[Encoded]) -> None:
    """Mean |S| = σ √(2/π) ‖Σ_t ∇P_t / P_t‖ to first order, so it halves with σ, and a curvature does not."""
    on = bench_of(model, texts)
    wide, narrow = (by_row(on, scored(MRD(draws=200, sigma=s, estimator="mean-abs"), on)) for s in (2e-4, 1e-4))
    for text, one, half in zip(texts, wide, narrow, strict=True):
        logprobs = model.table.double().log_softmax(-1)
        steps = [(text.ids[t - 1], text.ids[t]) for t in range(1, len(text.ids))]
        ratios = sum(logprobs[x, y] / float(logprobs[x, y].detach()) for x, y in steps)
        (gradient,) = torch.autograd.grad(ratios, model.table)
        assert one.value == pytest.approx(2e-4 * (2 / np.pi) ** 0.5 * float(gradient.norm()), rel=0.2)
        assert one.value / half.value == pytest.approx(2, rel=0.02)
        assert one.details == {}


class OddBench(Bench):
    """log p = -2 + a·θ + (b·θ)³ for each sample, at θ = 0: an odd change, in float64."""

    samples, sets, batches, seed = (), {}, {}, 5

    def __init__(self, even: float = 0.0) -> None:
        self.model = nn.Linear(4, 4, bias=False)
        nn.init.zeros_(self.model.weight)
        self.shards = [[material.batch(3)]]
        self.even = even
        generator = torch.Generator().manual_seed(0)
        self._a, self._b = torch.randn(2, 3, 16, dtype=torch.float64, generator=generator)

    def scores(self, batch: Batch) -> LabelScores:
        theta = self.model.weight.detach().flatten().double()
        values = -2 + self._a @ theta + (self._b @ theta) ** 3 - self.even * (theta**2).sum()
        mask = torch.ones(3, 1, dtype=torch.bool)
        return LabelScores(values[:, None], mask, mask)

    def base(self, batch: Batch) -> LabelScores:
        mask = torch.ones(3, 1, dtype=torch.bool)
        return LabelScores(torch.full((3, 1), -2.0, dtype=torch.float64), mask, mask)

    def over(self, model: nn.Module) -> Bench:
        raise NotImplementedError


def test_every_odd_order_cancels_to_the_last_digits() -> None:
    odd = OddBench()
    assert all(score.value > 0.05 for score in scored(MRD(draws=4, sigma=0.3, estimator="plain"), odd))
    assert all(score.value < 1e-15 for score in scored(MRD(draws=4, sigma=0.3), odd))


def test_and_even_orders_stand() -> None:
    """-c|θ|² over P = -2 gives E = c σ² d / 2."""
    scores = scored(MRD(draws=200, sigma=0.3), OddBench(even=1.5))
    for score in scores:
        assert score.value == pytest.approx(1.5 * 0.09 * 16 / 2, abs=4 * score.stderr)


def certain(gap: float) -> Iterator[Score]:
    """Scores of two tokens, the first known by a gap of that many nats before all others, the second not at all."""
    table = torch.zeros(4, 4)
    table[1, 2] = gap
    return iter(scored(MRD(draws=2), bench_of(Softmax(table), [Encoded((1, 2), 1), Encoded((2, 3), 1)], 1)))


def test_log_p_is_found_in_float64_where_float32_rounds_it_to_zero() -> None:
    assert float(torch.tensor([30.0, 0, 0, 0]).log_softmax(-1)[0]) == 0, "this is what float32 makes of it"
    known, usual = certain(gap=30)
    assert (known.status, known.clamped) == ("ill_conditioned", 1)
    assert known.value is not None and np.isfinite(known.value)
    assert (usual.status, usual.clamped) == ("ok", 0)


def test_a_log_p_of_truly_zero_divides_nothing() -> None:
    known, usual = certain(gap=800)
    assert (known.value, known.stderr, known.status) == (None, None, "zero_denominator")
    assert usual.status == "ok"


def test_a_token_that_is_impossible_has_no_value() -> None:
    scores = list(certain(gap=float("-inf")))
    assert next((s.value, s.status, s.n) for s in scores) == (None, "nonfinite", 0)
    assert scores[1].status == "ok"
