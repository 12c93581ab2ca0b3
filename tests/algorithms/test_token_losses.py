"""Losses over label tokens: value and gradient against the papers' formulas, computed naively in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.algorithms.ceu import CEU
from unlearnkit.algorithms.flat import FLAT
from unlearnkit.algorithms.me import ME
from unlearnkit.algorithms.pdu import PDU
from unlearnkit.algorithms.satimp import SatImp
from unlearnkit.algorithms.undial import UNDIAL
from unlearnkit.algorithms.wga import WGA
from unlearnkit.contracts import Algorithm
from unlearnkit.data.encode import Encoded
from unlearnkit.testing import material

from . import naive_tokens as naive
from .stepping import FORGET, RETAIN, SETS, in_any_company, llama, loss_and_gradient, other_answers, step

Naive = Callable[[nn.Module, nn.Module], Tensor]
"""A loss of the model and of the starting model."""


def on_tokens(loss: Callable[[Tensor, int], Tensor], skip: int = 0) -> Naive:
    return lambda model, start: naive.per_token(model, FORGET, loss, skip)


def flat(divergence: str) -> Naive:
    return lambda model, start: naive.flat(model, FORGET, SETS["forget:refusal"], divergence)


CASES: list[tuple[Algorithm, Naive]] = [
    (WGA(), on_tokens(naive.wga(1.0))),
    (WGA(beta=2.5, gamma=0.3, alpha=0.7), on_tokens(naive.wga(2.5))),
    (SatImp(), on_tokens(naive.satimp(5.0, 1.0))),
    (SatImp(beta1=0.5, beta2=3.0, gamma=1.0, alpha=0.0), on_tokens(naive.satimp(0.5, 3.0))),
    (CEU(), on_tokens(naive.ceu, skip=1)),
    (CEU(ignore_first_n_answer_tokens=0, alpha=0.5), on_tokens(naive.ceu)),
    (CEU(ignore_first_n_answer_tokens=3), on_tokens(naive.ceu, skip=3)),
    (ME(), on_tokens(naive.maximum_entropy)),
    (UNDIAL(), lambda model, start: naive.undial(model, start, FORGET, 10.0)),
    (UNDIAL(beta=1.5, alpha=0.4), lambda model, start: naive.undial(model, start, FORGET, 1.5)),
    (FLAT(), flat("kl")),
    (FLAT(divergence="tv", alpha=0.6), flat("tv")),
    (FLAT(divergence="js"), flat("js")),
    (FLAT(divergence="pearson", gamma=2.0), flat("pearson")),
    (PDU(gamma=0.5, alpha=1.7), on_tokens(naive.margin)),
]


@pytest.mark.parametrize(
    ("algorithm", "forget"), CASES, ids=lambda case: repr(case) if isinstance(case, Algorithm) else ""
)
def test_value_and_gradient(algorithm: Algorithm, forget: Naive):
    model, start = llama(0, layers=1), llama(1, layers=1)
    loss, gradient = loss_and_gradient(algorithm, step(algorithm, model, start, padding=2))

    expected = algorithm.gamma * forget(model, start)
    if algorithm.alpha:
        expected = expected + algorithm.alpha * naive.per_token(model, RETAIN, naive.nll)
    model.zero_grad(set_to_none=True)
    expected.backward()

    torch.testing.assert_close(loss, expected.detach(), rtol=1e-8, atol=0)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradient[name], parameter.grad, rtol=1e-8, atol=1e-12, msg=lambda m: f"{name}: {m}")  # noqa: B023


BALANCED: list[Algorithm] = [WGA(), SatImp(), CEU(), ME(), UNDIAL(alpha=1.0), FLAT(alpha=1.0), PDU()]


@pytest.mark.parametrize("algorithm", BALANCED, ids=lambda a: type(a).__name__)
def test_a_sample_means_the_same_in_any_company_and_under_any_padding(algorithm: Algorithm):
    in_any_company(algorithm, step, SETS)


@pytest.mark.parametrize(
    ("algorithm", "texts"),
    [
        (WGA(), [7]),
        (WGA(alpha=0.0), [4]),
        (SatImp(), [7]),
        (CEU(alpha=0.0), [4]),
        (ME(), [7]),
        (UNDIAL(alpha=0.0), [4, 4]),
        (UNDIAL(), [7, 4]),
        (FLAT(alpha=0.0), [8]),
        (PDU(), [7]),
    ],
    ids=repr,
)
def test_texts_share_one_pass_and_none_is_wasted(algorithm: Algorithm, texts: list[int]):
    at = material.step(algorithm)
    count: list[int] = []
    at.model.get_decoder().register_forward_hook(lambda _, given, out: count.append(len(out[0])))
    algorithm.losses(at)
    assert count == texts


@pytest.mark.parametrize("algorithm", [WGA(beta=0.0), SatImp(gamma=1.0, beta1=0.0, beta2=0.0)], ids=repr)
def test_without_weights_it_is_gradient_ascent(algorithm: Balanced):
    model = llama(0, layers=1)
    (loss, _) = loss_and_gradient(replace(algorithm, alpha=0.0), step(replace(algorithm, alpha=0.0), model, model))
    torch.testing.assert_close(loss, -naive.per_token(model, FORGET, naive.nll).detach(), rtol=1e-8, atol=0)


def test_a_certain_token_pushes_nothing_that_is_not_finite():
    """At probabilities that round to 1 and to 0, where weights and logarithms may break."""
    model = llama(0, layers=1)
    with torch.no_grad():
        model.lm_head.weight.mul_(1e4)
    for algorithm in (WGA(beta=0.5), SatImp(beta1=0.5, beta2=0.5), CEU(), ME(), UNDIAL(), FLAT(), PDU()):
        loss, gradient = loss_and_gradient(algorithm, step(algorithm, model, model))
        assert torch.isfinite(loss), type(algorithm).__name__
        assert all(torch.isfinite(g).all() for g in gradient.values() if g is not None), type(algorithm).__name__


def test_ceu_leaves_alone_an_answer_that_is_no_longer_than_what_it_skips():
    long, short = Encoded((3, 5, 7, 9, 11), 2), Encoded((3, 5, 7, 9), 3)
    algorithm = CEU(ignore_first_n_answer_tokens=1, alpha=0.0)
    model = llama(0, layers=1)
    both = step(algorithm, model, model, {"forget": [long, short]})
    one = step(algorithm, model, model, {"forget": [long]})
    values = algorithm.losses(both)["forget"].values
    assert values[1] == 0
    torch.testing.assert_close(values[:1], algorithm.losses(one)["forget"].values, rtol=1e-10, atol=0)
    torch.testing.assert_close(loss_and_gradient(algorithm, both)[0], loss_and_gradient(algorithm, one)[0])


def test_flat_compares_with_the_refusals():
    model = llama(0, layers=1)
    other = {**SETS, "forget:refusal": other_answers(FORGET, seed=8)}
    assert (
        loss_and_gradient(FLAT(), step(FLAT(), model, model))[0]
        != loss_and_gradient(FLAT(), step(FLAT(), model, model, other))[0]
    )


def test_pdus_dual_variable_follows_the_constraint():
    algorithm = PDU(alpha=0.5, retain_loss_eps=2.0, dual_step_size=0.25)
    state = algorithm.begin(llama(0, layers=1), seed=0)
    seen = []
    for retain in (4.0, 3.0, 1.0, 0.5, 0.0, 2.0):
        algorithm.stepped(state, {"forget": 1.0, "retain": retain, "loss": 9.9})
        seen.append(state["dual"].item())
    assert seen == [1.0, 1.25, 1.0, 0.625, 0.125, 0.125]
    algorithm.stepped(state, {"forget": 1.0, "retain": 0.0, "loss": 9.9})
    assert state["dual"].item() == 0.0, "it is never negative"
    assert state["bound"].item() == 2.0


def test_pdus_bound_is_the_first_retain_term_and_its_tolerance():
    algorithm = PDU(alpha=0.0, tolerance=0.5)
    state = algorithm.begin(llama(0, layers=1), seed=0)
    seen = []
    for retain in (2.0, 3.5, 4.0):
        algorithm.stepped(state, {"forget": 1.0, "retain": retain, "loss": 9.9})
        seen.append(state["dual"].item())
    assert state["bound"].item() == 3.0
    assert seen == [0.0, 0.5, 1.5]
