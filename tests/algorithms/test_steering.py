"""RMU and adaptive RMU: value and gradient against the formula, and what does not run and is not trained."""

from __future__ import annotations

import pytest
import torch

from unlearnkit.algorithms.adaptive_rmu import AdaptiveRMU
from unlearnkit.algorithms.rmu import RMU, Steering
from unlearnkit.data.encode import Encoded
from unlearnkit.errors import UnlearnkitError
from unlearnkit.training.loop import Trainer
from unlearnkit.training.plan import TrainingPlan

from . import naive_tokens as naive
from .stepping import FORGET, RETAIN, SETS, llama, loss_and_gradient, step

LAYER = 2
CASES = [
    RMU(layer=LAYER, depth=2),
    RMU(layer=LAYER, depth=9, alpha=3.5, gamma=0.5, steering_coeff=6.5, parameters="self_attn.v_proj.weight"),
    RMU(layer=0, alpha=0.0),
    AdaptiveRMU(layer=LAYER, depth=2),
    AdaptiveRMU(layer=LAYER, depth=1, alpha=0.0, scale=2.0),
]


@pytest.mark.parametrize("algorithm", CASES, ids=repr)
def test_value_and_gradient(algorithm: Steering):
    model, start = llama(0), llama(0)
    with torch.no_grad():  # in mid-run: what is trained has moved
        for name, parameter in model.named_parameters():
            if algorithm.trains(name, model):
                parameter.mul_(1.5)
    at = step(algorithm, model, start, padding=3)
    loss, gradient = loss_and_gradient(algorithm, at)

    direction, layer = at.state["direction"], algorithm.layer

    def long(text: Encoded, t: int) -> torch.Tensor:
        if isinstance(algorithm, RMU):
            return (algorithm.steering_coeff * direction).double()  # a float32 vector, whatever the model is
        assert isinstance(algorithm, AdaptiveRMU)
        return algorithm.scale * naive.hidden(start, text, layer)[t].detach().norm() * direction.double()

    expected = algorithm.gamma * naive.steered(model, FORGET, layer, long)
    if algorithm.alpha:
        stays = naive.steered(model, RETAIN, layer, lambda text, t: naive.hidden(start, text, layer)[t].detach())
        expected = expected + algorithm.alpha * stays
    model.zero_grad(set_to_none=True)
    expected.backward()

    torch.testing.assert_close(loss, expected.detach(), rtol=1e-8, atol=0)
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            assert gradient[name] is None
        else:
            torch.testing.assert_close(gradient[name], parameter.grad, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("algorithm", [CASES[0], CASES[3]], ids=repr)
def test_a_sample_means_the_same_in_any_company_and_under_any_padding(algorithm: Steering):
    model, start = llama(0), llama(1)
    whole = algorithm.losses(step(algorithm, model, start))
    padded = algorithm.losses(step(algorithm, model, start, padding=9, pad=FORGET[0].ids[-1]))
    alone = algorithm.losses(step(algorithm, model, start, {name: texts[:1] for name, texts in SETS.items()}))
    for name, term in whole.items():
        torch.testing.assert_close(padded[name].values, term.values, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(alone[name].values, term.values[:1], rtol=1e-10, atol=1e-12)


def test_the_direction_is_a_unit_vector_of_the_seed():
    model = llama()
    one, same, other = (RMU().begin(model, seed)["direction"] for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (16,)
    assert one.norm().item() == pytest.approx(1, rel=1e-6)
    assert (one >= 0).all()


@pytest.mark.parametrize(
    ("algorithm", "texts"),
    [
        (RMU(layer=1), [7, 3]),
        (RMU(layer=1, alpha=0.0), [4]),
        (AdaptiveRMU(layer=1), [4, 7, 3]),
        (AdaptiveRMU(layer=1, alpha=0.0), [4, 4]),
    ],
    ids=repr,
)
def test_no_block_above_the_layer_runs_and_no_text_is_wasted(algorithm: Steering, texts: list[int]):
    at = step(algorithm, llama(0), llama(1))
    count: dict[int, list[int]] = {}
    for i, block in enumerate(at.model.model.layers):
        block.register_forward_hook(lambda _, given, out, i=i: count.setdefault(i, []).append(len(given[0])))
    at.model.lm_head.register_forward_hook(lambda *_: count.setdefault(-1, []))
    algorithm.losses(at)
    assert {i: sorted(seen) for i, seen in count.items()} == {0: sorted(texts), 1: sorted(texts)}


@pytest.mark.parametrize(
    ("algorithm", "trained"),
    [
        (RMU(), {0, 1}),
        (RMU(layer=3), {1, 2, 3}),
        (RMU(layer=3, depth=1), {3}),
        (AdaptiveRMU(layer=0, depth=3), {0}),
    ],
    ids=repr,
)
def test_only_the_down_projections_up_to_the_layer_are_trained(algorithm: Steering, trained: set[int]):
    plan = TrainingPlan(
        n=4, epochs=1, max_steps=2, batch_size=2, grad_accum=1, lr=1e-3, schedule="constant", warmup=0.0,
        weight_decay=0.1, max_grad_norm=1.0, seed=0,
    )  # fmt: skip
    model = llama()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainer = Trainer(model, algorithm, "rmu", plan, SETS, draw=lambda step: [2 * step, 2 * step + 1], pad=0)
    list(trainer.steps())
    names = {f"model.layers.{i}.mlp.down_proj.weight" for i in trained}
    assert {name for name, p in model.named_parameters() if not torch.equal(p, before[name])} == names
    assert {n.removeprefix("model.") for n in trainer.state() if n.startswith("model.")} == names
    assert {name for name, p in model.named_parameters() if p.requires_grad} == names


@pytest.mark.parametrize(("layers", "expected"), [(1, 0), (2, 0), (6, 2), (15, 7), (30, 7)])
def test_the_layer_of_a_shallow_model_is_its_middle(layers: int, expected: int):
    assert RMU()._layer(llama(layers=layers)) == expected


def test_a_layer_that_the_model_has_not_is_refused():
    with pytest.raises(UnlearnkitError, match=r"layer must be 0 … 3 .* got 7"):
        step(RMU(layer=7), llama(), llama())


def test_a_matrix_that_the_blocks_have_not_is_refused_with_those_they_have():
    with pytest.raises(UnlearnkitError, match=r"no mlp\.fc2\.weight") as caught:
        step(RMU(parameters="mlp.fc2.weight"), llama(), llama())
    assert "mlp.down_proj.weight" in str(caught.value.hint)
