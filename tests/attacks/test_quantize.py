"""Rounding against its closed form, computed in float64 one weight at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from unlearnkit.attacks.quantize import Quantize, matrices, rounded
from unlearnkit.errors import BadInput
from unlearnkit.plugins import Plugins
from unlearnkit.testing import material


def naive(weight: np.ndarray, bits: int, group: int) -> tuple[np.ndarray, np.ndarray]:
    """Rounded weights and each one's step, weight by weight."""
    top = 2 ** (bits - 1) - 1
    found, steps = np.zeros_like(weight), np.zeros_like(weight)
    for row in range(weight.shape[0]):
        for start in range(0, weight.shape[1], group):
            own = weight[row, start : start + group]
            step = max(abs(float(w)) for w in own) / top
            for column, w in enumerate(own, start):
                steps[row, column] = step
                found[row, column] = 0 if step == 0 else step * min(top, max(-top, round(float(w) / step)))
    return found, steps


@pytest.mark.parametrize(("bits", "group"), [(8, 70), (4, 64), (4, 7), (2, 3)])
def test_each_weight_is_at_its_nearest_level(bits: int, group: int):
    weight = torch.randn(5, 70, generator=torch.Generator().manual_seed(bits)) / 10
    weight[1, :group] = 0
    expected, steps = naive(weight.double().numpy(), bits, group)
    found = rounded(weight, bits, group).double().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-7)
    error = np.abs(found - weight.double().numpy())
    assert (error <= steps / 2 * (1 + 1e-5)).all(), "more than half a step"
    assert error.max() > steps.max() / 4, "nothing was rounded"
    for row in found:
        assert all(len(np.unique(row[i : i + group])) <= 2**bits - 1 for i in range(0, 70, group))


def test_what_is_on_a_level_stays():
    weight = torch.tensor([[0.0, 1.0, -3.0, 7.0, -7.0]])
    assert torch.equal(rounded(weight, 4, 5), weight)


def test_the_largest_weight_of_a_group_stays():
    weight = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    found, largest = rounded(weight, 4, 8), weight.abs().argmax(-1, keepdim=True)
    torch.testing.assert_close(found.gather(1, largest), weight.gather(1, largest))


@pytest.mark.parametrize("embeddings", [False, True])
def test_tied_embeddings_are_rounded_once_or_not_at_all(embeddings: bool):
    model = material.tiny_model()
    assert model.lm_head.weight is model.model.embed_tokens.weight
    found = [id(matrix) for matrix in matrices(model, embeddings=embeddings)]
    assert found.count(id(model.lm_head.weight)) == embeddings
    assert len(found) == len(set(found)) == 2 * 7 + embeddings  # seven matrices a layer


def test_layers_that_keep_weights_the_other_way_round():
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=8))
    shapes = sorted(tuple(matrix.shape) for matrix in matrices(model, embeddings=False))
    assert shapes == [(8, 8), (8, 32), (24, 8), (32, 8)]  # [outputs, inputs]


def test_a_condition_holds_the_rounded_weights_and_norms_stay():
    target = material.target()
    before = {name: weight.clone() for name, weight in target.model.state_dict().items()}
    names = []
    for condition in Quantize(group=5).conditions(target):
        names.append(condition.name)
        bits = int(condition.name.removesuffix("-bit"))
        for name, weight in target.model.state_dict().items():
            linear = "proj" in name
            group = before[name].shape[-1] if bits == 8 else 5
            assert torch.equal(weight, rounded(before[name], bits, group) if linear else before[name]), name
    assert names == ["8-bit", "4-bit"]


@pytest.mark.parametrize("bits", ["4,4", "", "9", "1"])
def test_bits_that_mean_nothing_are_refused(bits: str):
    with pytest.raises(BadInput):
        Plugins(entry_points=()).build("attack", "quantize", {"bits": bits})
