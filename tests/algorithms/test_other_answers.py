"""Losses that read other answers or the starting model: value and gradient against naive float64 computations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from unlearnkit.algorithms.altpo import AltPO
from unlearnkit.algorithms.balance import Weighed
from unlearnkit.algorithms.dpo import DPO
from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.algorithms.idk import IDK
from unlearnkit.algorithms.idk_ap import IDKAP
from unlearnkit.algorithms.jensun import JensUn
from unlearnkit.algorithms.kl import KL
from unlearnkit.algorithms.llmu import LLMU
from unlearnkit.algorithms.npo import NPO
from unlearnkit.contracts import Algorithm
from unlearnkit.data.encode import Encoded
from unlearnkit.losses import label_scores
from unlearnkit.testing import material
from unlearnkit.training.step import TrainingStep

from . import naive, naive_tokens
from .stepping import FORGET, RETAIN, in_any_company, llama, loss_and_gradient, other_answers
from .stepping import step as plain_step

SETS = {
    "forget": FORGET,
    "forget:refusal": other_answers(FORGET, seed=7),
    "forget:mismatched": other_answers(FORGET, seed=8),
    "forget:generated": other_answers(FORGET, seed=9),
    "retain": RETAIN,
    "retain:refusal": other_answers(RETAIN, seed=10),
}

Naive = Callable[[nn.Module, nn.Module], Tensor]
"""A loss of the model and of the starting model."""


def step(
    algorithm: Algorithm,
    model: nn.Module,
    start: nn.Module,
    sets: Mapping[str, Sequence[Encoded]] = SETS,
    *,
    padding: int = 0,
    pad: int = 0,
) -> TrainingStep:
    """A step with the starting model's anchors of what the algorithm names."""
    at = plain_step(algorithm, model, start, sets, padding=padding, pad=pad)
    with torch.no_grad():
        return replace(at, anchors={name: label_scores(start, at.batches[name]).nll for name in algorithm.anchors})


# ----------------------------------------------------------------------------------------------- values and gradients


def tokens(name: str, loss: Callable[[Tensor, int], Tensor] = naive_tokens.nll, sign: float = 1.0) -> Naive:
    return lambda model, start: sign * naive_tokens.per_token(model, SETS[name], loss)


def prefer(name: str, beta: float) -> Naive:
    return lambda model, start: naive.preference(model, start, SETS[name], FORGET, beta)


def llmu(mismatch: float) -> Naive:
    def loss(model: nn.Module, start: nn.Module) -> Tensor:
        ascent = naive.mean([-naive.mean_nll(model, text) for text in FORGET])
        return ascent + mismatch * naive.mean([naive.mean_nll(model, text) for text in SETS["forget:mismatched"]])

    return loss


def preserve(beta: float) -> Naive:
    return lambda model, start: naive.answer_preservation(model, RETAIN, SETS["retain:refusal"], beta)


def near_start(divergence: Callable[[Tensor, Tensor], Tensor]) -> Naive:
    return lambda model, start: naive.against_start(model, start, RETAIN, divergence)


ascent, answers, refusals = tokens("forget", sign=-1.0), tokens("retain"), tokens("forget:refusal")

CASES: list[tuple[Weighed, Naive, Naive]] = [
    (GradDiff(gamma=0.3), ascent, answers),
    (GradDiff(gamma=0.3, alpha=2.5, retain="kl"), ascent, near_start(naive.kl)),
    (GradDiff(alpha=0.0, retain="kl"), ascent, answers),
    (NPO(retain="kl"), lambda model, start: naive.negative_preference(model, start, FORGET, 0.1), near_start(naive.kl)),
    (KL(alpha=0.7), ascent, near_start(naive.kl)),
    (KL(retain="nll"), ascent, answers),
    (IDK(), refusals, answers),
    (IDK(gamma=0.5, alpha=0.4, retain="kl"), refusals, near_start(naive.kl)),
    (DPO(), prefer("forget:refusal", 0.1), answers),
    (DPO(beta=0.7, gamma=2.0, alpha=0.0), prefer("forget:refusal", 0.7), answers),
    (AltPO(beta=0.3, alpha=0.6), prefer("forget:generated", 0.3), answers),
    (IDKAP(), refusals, preserve(0.1)),
    (IDKAP(beta=0.6, gamma=0.5, alpha=1.5), refusals, preserve(0.6)),
    (LLMU(), llmu(2.0), near_start(naive.kl)),
    (LLMU(gamma=1.5, mismatch=0.3, alpha=0.2, retain="nll"), llmu(0.3), answers),
    (JensUn(), tokens("forget:refusal", naive.towards_one_hot), near_start(naive.js)),
    (JensUn(gamma=3.0, alpha=0.0), tokens("forget:refusal", naive.towards_one_hot), near_start(naive.js)),
]


@pytest.mark.parametrize(("algorithm", "forget", "keep"), [pytest.param(*case, id=repr(case[0])) for case in CASES])
def test_value_and_gradient(algorithm: Weighed, forget: Naive, keep: Naive):
    model, start = llama(0, layers=1), llama(1, layers=1)
    loss, gradient = loss_and_gradient(algorithm, step(algorithm, model, start, padding=2))

    expected = algorithm.gamma * forget(model, start)
    if algorithm.alpha:
        expected = expected + algorithm.alpha * keep(model, start)
    model.zero_grad(set_to_none=True)
    expected.backward()

    torch.testing.assert_close(loss, expected.detach(), rtol=1e-8, atol=0)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradient[name], parameter.grad, rtol=1e-8, atol=1e-12, msg=lambda m: f"{name}: {m}")  # noqa: B023


@pytest.mark.parametrize("algorithm", [DPO(), AltPO(beta=0.5)], ids=repr)
def test_at_the_starting_weights_no_answer_is_preferred(algorithm: DPO):
    model = llama(0, layers=1)
    values = algorithm.losses(step(algorithm, model, model))["forget"].values
    assert values.tolist() == pytest.approx([2 / algorithm.beta * math.log(2)] * 4, rel=1e-12)


@pytest.mark.parametrize("algorithm", [KL(gamma=1e-300), JensUn(gamma=1e-300)], ids=repr)
def test_at_the_starting_weights_nothing_needs_to_be_kept(algorithm: Weighed):
    model = llama(0, layers=1)
    at = step(algorithm, model, model)
    assert algorithm.losses(at)["retain"].values.tolist() == pytest.approx([0.0] * 3, abs=1e-12)
    gradient = loss_and_gradient(algorithm, at)[1]
    assert all(g is None or g.abs().max() < 1e-12 for g in gradient.values())


# ------------------------------------------------------------------------------------------- padding, company, waste

EACH: list[Algorithm] = [KL(), IDK(), DPO(), AltPO(), IDKAP(), LLMU(), JensUn()]


@pytest.mark.parametrize("algorithm", EACH, ids=lambda a: type(a).__name__)
def test_a_sample_means_the_same_in_any_company_and_under_any_padding(algorithm: Algorithm):
    in_any_company(algorithm, step, SETS)


@pytest.mark.parametrize(
    ("algorithm", "texts"),
    [
        (GradDiff(), [7]),
        (GradDiff(retain="kl"), [7, 3]),
        (GradDiff(retain="kl", alpha=0.0), [4]),
        (KL(), [7, 3]),
        (IDK(), [7]),
        (IDK(alpha=0.0), [4]),
        (DPO(), [11]),
        (DPO(alpha=0.0), [8]),
        (AltPO(), [11]),
        (IDKAP(), [10]),
        (IDKAP(alpha=0.0), [4]),
        (LLMU(), [11, 3]),
        (LLMU(retain="nll"), [11]),
        (LLMU(alpha=0.0), [8]),
        (JensUn(), [7, 3]),
        (JensUn(alpha=0.0), [4]),
    ],
    ids=repr,
)
def test_texts_share_one_pass_and_none_is_wasted(algorithm: Algorithm, texts: list[int]):
    """Forget and other answers, retain ones, and after them what the starting model says of the latter."""
    at = material.step(algorithm)
    count: list[int] = []
    at.model.get_decoder().register_forward_hook(lambda _, given, out: count.append(len(out[0])))
    algorithm.losses(at)
    assert count == texts
    assert (at.start is not None) == (len(texts) > 1)


def test_certain_tokens_push_nothing_that_is_not_finite():
    """At probabilities that round to 1 and to 0, where logarithms may break."""
    model, start = llama(0, layers=1), llama(1, layers=1)
    with torch.no_grad():
        model.lm_head.weight.mul_(1e4)
        start.lm_head.weight.mul_(1e4)
    for algorithm in EACH:
        loss, gradient = loss_and_gradient(algorithm, step(algorithm, model, start))
        assert torch.isfinite(loss), type(algorithm).__name__
        assert all(torch.isfinite(g).all() for g in gradient.values() if g is not None), type(algorithm).__name__


def test_a_jensen_shannon_divergence_is_bounded():
    """By log 2 for each token, however wrong a model is: what keeps it stable."""
    model, start = llama(0, layers=1), llama(1, layers=1)
    with torch.no_grad():
        model.lm_head.weight.mul_(1e4)
    for term in JensUn().losses(step(JensUn(), model, start)).values():
        most = term.values.new_tensor([5 * math.log(2)])  # no text has more than 5 label tokens
        assert (term.values <= most).all() and term.values.max() > math.log(2)
