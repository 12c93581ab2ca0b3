"""Noise: standard normal, one for tied weights, on and off without a trace; where its snapshot goes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unlearnkit.scorers.noise import BLOCK, NoisyWeights, fits_beside, normal
from unlearnkit.testing.material import tiny_model


def drawn(size: int, seed: int) -> torch.Tensor:
    return torch.cat([block.clone() for block in normal(torch.empty(BLOCK), size, seed)])


def copies(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(model: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_noise_is_standard_normal_and_its_blocks_are_independent() -> None:
    noise = drawn(BLOCK + 1000, seed=3)
    assert float(noise.mean()) == pytest.approx(0, abs=5 / len(noise) ** 0.5)
    assert float(noise.std()) == pytest.approx(1, rel=5 / len(noise) ** 0.5)
    pair = torch.stack([noise[:1000], noise[BLOCK:]])
    assert abs(float(torch.corrcoef(pair)[0, 1])) < 5 / 1000**0.5
    assert torch.equal(noise[:BLOCK], drawn(BLOCK, seed=3))


def test_tied_weights_get_one_noise() -> None:
    tied = tiny_model()
    weights = NoisyWeights(tied, seed=0, sigma=1.0)
    before = tied.get_input_embeddings().weight.detach().clone()
    weights.set(0, 1)
    moved = tied.get_output_embeddings().weight.detach() - before
    assert float(moved.std()) == pytest.approx(1.0, rel=0.1)
    weights.restore()
    assert torch.equal(tied.get_output_embeddings().weight, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_come_back_bit_for_bit_after_any_draws(dtype: torch.dtype) -> None:
    model = tiny_model().to(dtype)
    before = copies(model)
    weights = NoisyWeights(model, seed=0, sigma=1e-2)
    for draw, sign in ((0, 1), (0, -1), (3, -1), (3, 1), (1, -1)):
        weights.set(draw, sign)
        assert not same(model, before)
    weights.restore()
    assert same(model, before)


def test_the_mirrored_weights_are_as_far_on_the_other_side() -> None:
    model = tiny_model()
    before = copies(model)
    weights = NoisyWeights(model, seed=0, sigma=1e-2)
    weights.set(0, 1)
    there = copies(model)
    weights.set(0, -1)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach() - before[name], before[name] - there[name], rtol=0, atol=1e-7)


def test_a_draw_is_the_same_whatever_was_drawn_before() -> None:
    one, other = tiny_model(), tiny_model()
    NoisyWeights(one, seed=0, sigma=1e-2).set(2, -1)
    weights = NoisyWeights(other, seed=0, sigma=1e-2)
    for draw, sign in ((0, -1), (2, 1), (5, 1), (2, -1)):
        weights.set(draw, sign)
    assert same(one, copies(other))


def test_a_parameter_that_lies_transposed_in_memory_is_perturbed_and_restored() -> None:
    model = nn.Linear(3, 5, bias=False)
    model.weight = nn.Parameter(torch.randn(3, 5).T)
    before = copies(model)
    weights = NoisyWeights(model, seed=0, sigma=1.0)
    weights.set(0, 1)
    assert bool((model.weight != before["weight"]).all())
    weights.restore()
    assert same(model, before)


def test_noise_below_the_last_bit_moves_no_weight_and_noise_above_it_moves_all() -> None:
    model = nn.Linear(100, 100, bias=False)
    nn.init.constant_(model.weight, 1.0)
    for sigma, share in ((1e-12, 0.0), (1.0, 1.0)):
        weights = NoisyWeights(model, seed=0, sigma=sigma)
        weights.set(0, 1)
        assert weights.moved() == share
        weights.restore()


def test_a_snapshot_leaves_half_of_what_is_free_on_a_device() -> None:
    assert fits_beside(needed=5, free=10)
    assert not fits_beside(needed=6, free=10)
    assert fits_beside(needed=0, free=0)


def test_torch_counts_every_change_of_a_parameter() -> None:
    """Whoever remembers what the weights gave, such as a prefix's cache, tells by this count that they changed."""
    model = tiny_model()
    weights, seen = NoisyWeights(model, seed=0, sigma=1e-2), []
    for change in (lambda: weights.set(0, 1), lambda: weights.set(0, -1), lambda: weights.set(1, 1), weights.restore):
        seen.append([p._version for p in model.parameters()])
        change()
        assert all(p._version > before for p, before in zip(model.parameters(), seen[-1], strict=True))
