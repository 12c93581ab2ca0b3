"""Each wrapper against its formula, worked out in numpy on losses whose derivatives are known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from unlearnkit.algorithms.ga import GA
from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.contracts import Gradient, Gradients, Wrapper
from unlearnkit.testing import material
from unlearnkit.wrappers.gru import GRU
from unlearnkit.wrappers.ngdiff import NGDiff
from unlearnkit.wrappers.sam import SAM
from unlearnkit.wrappers.soul import SOUL

from .quadratics import SIZE, Quadratics, flat, quadratics


def two(forget: list[float], retain: list[float]) -> Quadratics:
    """A point where the gradients are these."""
    none, at = np.zeros(SIZE), np.eye(SIZE)
    given = {"forget": -np.resize(forget, SIZE), "retain": -np.resize(retain, SIZE)}
    return Quadratics({"forget": at, "retain": at}, given, none)


# ----------------------------------------------------------------------------------------------------------------- GRU


def test_gru_leaves_a_gradient_alone_that_harms_nothing():
    at = two([1, 2, 0, 0, 0, 0, 1], [3, 0, 1, 0, 0, 0, 0])
    assert flat(GRU().gradient(at)).tolist() == [1, 2, 0, 0, 0, 0, 1]


def test_gru_projects_where_forgetting_would_undo_the_retain_samples():
    forget, retain = np.array([1.0, 2, 0, 0, 0, 1, -1]), np.array([-4.0, 1, 0, 2, 0, 0, 0])
    found = flat(GRU().gradient(two(forget.tolist(), retain.tolist())))
    np.testing.assert_allclose(found, forget - (forget @ retain) / (retain @ retain) * retain, rtol=1e-12)
    assert found @ retain == pytest.approx(0, abs=1e-12)


def test_gru_smooths_the_retain_gradient_over_the_steps():
    wrapper, state, smooth = GRU(gamma=0.3), {}, np.zeros(SIZE)
    projected = 0
    for seed in range(6):
        at = quadratics(seed)
        at.state = dict(state)
        found = flat(wrapper.gradient(at))
        forget, retain = (at.slope(name, flat(at.parameters)) for name in ("forget", "retain"))
        smooth = 0.3 * retain + 0.7 * smooth
        conflict = forget @ smooth
        projected += conflict < 0
        expected = forget - conflict / (smooth @ smooth) * smooth if conflict < 0 else forget
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
        state = at.state
    assert 0 < projected < 6


# -------------------------------------------------------------------------------------------------------------- NGDiff


@pytest.mark.parametrize("seed", range(3))
def test_ngdiff_adds_directions(seed: int):
    at = quadratics(seed)
    forget, retain = (at.slope(name, flat(at.parameters)) for name in ("forget", "retain"))
    expected = forget / np.sqrt((forget**2).sum()) + retain / np.sqrt((retain**2).sum())
    np.testing.assert_allclose(flat(NGDiff().gradient(at)), expected, rtol=1e-12)


def test_ngdiff_of_a_gradient_that_is_zero_is_the_other_ones_direction():
    at = two([0.0], [3, 4, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(flat(NGDiff().gradient(at)), [0.6, 0.8, 0, 0, 0, 0, 0], rtol=1e-12)


# ----------------------------------------------------------------------------------------------------------------- SAM


@pytest.mark.parametrize("rho", [0.01, 2.0])
def test_sam_descends_the_forget_term_at_the_worst_point_nearby(rho: float):
    at = quadratics(1)
    here = flat(at.parameters)
    forget, retain = (at.slope(name, here) for name in ("forget", "retain"))
    worst = here + rho * forget / np.sqrt((forget**2).sum())
    np.testing.assert_allclose(flat(SAM(rho=rho).gradient(at)), at.slope("forget", worst) + retain, rtol=1e-12)
    assert at.asked == [(), ("forget",)], "the retain term is asked for once"


def test_sam_works_where_there_is_no_retain_term():
    at = quadratics(2, "forget")
    here = flat(at.parameters)
    forget = at.slope("forget", here)
    expected = at.slope("forget", here + 0.5 * forget / np.linalg.norm(forget))
    np.testing.assert_allclose(flat(SAM(rho=0.5).gradient(at)), expected, rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------------- SOUL


def test_soul_is_sophias_update():
    """With a diagonal Hessian any signs give its diagonal exactly, so that the whole update can be worked out."""
    wrapper = SOUL(beta1=0.7, beta2=0.6, gamma=0.5, epsilon=0.05, every=3)
    state, momentum, curvature = {}, np.zeros(SIZE), np.zeros(SIZE)
    clipped = floored = free = 0
    for step in range(7):
        at = quadratics(step, diagonal=True)
        at.step, at.state = step, dict(state)
        found = flat(wrapper.gradient(at))
        slope = sum(at.slope(name, flat(at.parameters)) for name in at.hessians)
        momentum = 0.7 * momentum + 0.3 * slope
        if step % 3 == 0:
            curvature = 0.6 * curvature + 0.4 * sum(np.diag(h) for h in at.hessians.values())
        divisor = np.maximum(0.5 * curvature, 0.05)
        np.testing.assert_allclose(found, np.clip(momentum / divisor, -1, 1), rtol=1e-8, atol=1e-10)
        assert len(at.asked) == (3 if step % 3 == 0 else 1)
        clipped += int((np.abs(momentum / divisor) > 1).sum())
        floored += int((0.5 * curvature < 0.05).sum())
        free += int((np.abs(momentum / divisor) < 1).sum())
        state = at.state
    assert min(clipped, floored, free) > 5, "each branch is seen"


def test_souls_curvature_is_right_on_average_and_drawn_from_the_steps_seed():
    wrapper = SOUL(beta2=0.0)
    drawn = []
    for seed in range(500):
        at = quadratics(3)
        at.seed = seed
        wrapper.gradient(at)
        drawn.append(flat(at.state["curvature"]))
    exact = sum(at.hessians.values())
    mean, error = np.mean(drawn, 0), np.std(drawn, 0) / np.sqrt(len(drawn))
    assert (np.abs(mean - np.diag(exact)) < 4.5 * error + 1e-6).all()
    spread = np.sqrt((exact**2).sum(1) - np.diag(exact) ** 2)
    np.testing.assert_allclose(np.std(drawn, 0), spread, rtol=0.15)


def test_souls_curvature_on_a_model_agrees_with_hessian_vector_products():
    at = material.trainer(GradDiff(), precise=True).step_gradients(0, range(4))
    SOUL(beta2=0.0).gradient(at)

    model = ByHand()
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        loss = sum(model.losses().values())
    slopes = torch.autograd.grad(loss, model.parameters, create_graph=True)
    signs = at.signs()
    along = sum((sign * slope).sum() for sign, slope in zip(signs, slopes, strict=True))
    product = torch.autograd.grad(along, model.parameters)
    exact = flat([sign * part for sign, part in zip(signs, product, strict=True)])
    found = flat(at.state["curvature"])
    assert np.linalg.norm(found - exact) < 1e-3 * np.linalg.norm(exact)


# ------------------------------------------------------------------------------------------------ around real gradients


class ByHand(Gradients):
    """GradDiff's terms in the first step, text by text from whole logits, each with a gradient of its own."""

    def __init__(self) -> None:
        self.model = material.tiny_model().double().train()
        self.parameters = list(self.model.parameters())
        self.step, self.seed, self.state = 0, 0, {}
        companions = material.trainer(GradDiff()).plan.companions(0, 4, 3)
        forget, retain = material.encoded(4, seed=1), material.encoded(3, seed=2)
        self.texts = {"forget": forget, "retain": [retain[row] for row in companions]}

    def losses(self) -> dict[str, torch.Tensor]:
        return {"forget": -self._mean("forget"), "retain": self._mean("retain")}

    def _mean(self, name: str) -> torch.Tensor:
        """Mean NLL of a set's label tokens."""
        found = []
        for text in self.texts[name]:
            logprobs = self.model(input_ids=torch.tensor([text.ids])).logits[0].log_softmax(-1)
            found += [-logprobs[t - 1, text.ids[t]] for t in range(text.labels_from, len(text.ids))]
        return torch.stack(found).mean()

    def terms(self, *names: str) -> dict[str, Gradient]:
        losses = self.losses()
        return {name: torch.autograd.grad(losses[name], self.parameters) for name in names or losses}

    @contextmanager
    def beside(self, offset: Gradient) -> Iterator[None]:
        before = [p.detach().clone() for p in self.parameters]
        self._set([p + move for p, move in zip(before, offset, strict=True)])
        yield
        self._set(before)

    def _set(self, values: Gradient) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.parameters, values, strict=True):
                parameter.copy_(value)

    def signs(self) -> Gradient:
        raise NotImplementedError

    def dot(self, one: Gradient, other: Gradient) -> float:
        return float(flat(one) @ flat(other))


@pytest.mark.parametrize("wrapper", [GRU(), NGDiff(), SAM(rho=0.3)], ids=repr)
def test_around_a_model_it_is_made_of_autograds_gradients(wrapper: Wrapper):
    at = material.trainer(GradDiff(), precise=True).step_gradients(0, range(4))
    found, expected = flat(wrapper.gradient(at)), flat(wrapper.gradient(ByHand()))
    assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)


def test_only_the_forget_samples_are_run_again_beside():
    """SAM's second sweep asks for the forget term; what the others say there is of no use."""
    trainer = material.trainer(GA())
    texts: list[int] = []
    trainer.model.get_decoder().register_forward_hook(lambda _, given, out: texts.append(len(out[0])))
    SAM().gradient(trainer.step_gradients(0, range(4)))
    assert texts == [4, 4]


def test_signs_are_random_and_the_seeds():
    trainer = material.trainer(GradDiff())
    first, again, other = (flat(trainer.step_gradients(step, range(4)).signs()) for step in (0, 0, 1))
    assert set(first) == {-1.0, 1.0}
    assert (first == again).all()
    assert abs((first * other).mean()) < 4 / np.sqrt(len(first))
    assert abs(first.mean()) < 4 / np.sqrt(len(first))


def test_what_is_random_in_a_model_is_the_same_in_every_sweep():
    """With dropout, gradients at two points would otherwise differ by their masks and not by their points."""
    trainer = material.trainer(GradDiff())
    for block in trainer.model.model.layers:
        block.mlp.register_forward_hook(lambda _, given, out: torch.nn.functional.dropout(out, 0.5))
    at = trainer.step_gradients(0, range(4))
    first, second = at.terms(), at.terms()
    assert all(torch.equal(a, b) for a, b in zip(first["forget"], second["forget"], strict=True))
    other = trainer.step_gradients(1, range(4)).terms("forget")["forget"]
    assert not all(torch.equal(a, b) for a, b in zip(first["forget"], other, strict=True))


def test_an_update_is_not_clipped_and_a_gradient_is():
    """SOUL moves every weight by the learning rate at most, and most by nearly that; a norm of 1 over all would leave
    next to nothing."""
    trainer = material.trainer(GradDiff(), wrapper=SOUL(), steps=1)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    (row,) = trainer.steps()
    moved = flat([p - old for p, old in zip(trainer.model.parameters(), before, strict=True)])
    assert np.abs(moved).max() == pytest.approx(trainer.plan.lr, rel=1e-3)
    assert np.linalg.norm(moved) == pytest.approx(trainer.plan.lr * row["grad_norm"], rel=1e-3)
    assert row["grad_norm"] > 10
