"""A model whose linear layers are packed says what it says without, and is left as it was."""

from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from architectures import MODELS
from torch import nn

from unlearnkit.models import packed as room
from unlearnkit.models.packed import packable, packed

pytestmark = pytest.mark.skipif(not room._works(torch.float32), reason="this build of torch has no oneDNN")

IDS = torch.arange(1, 41).reshape(4, 10)


def through(model: nn.Module) -> list[str]:
    """The layers that go through a copy."""
    return [name for name, layer in model.named_modules() if "forward" in vars(layer)]


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mamba"])
def test_a_model_says_the_same(name: str):
    model = MODELS[name]()
    linear = [name for name, layer in model.named_modules() if type(layer) is nn.Linear]
    with torch.inference_mode():
        plain = model(IDS).logits
        with packed(model):
            assert linear and through(model) == linear
            found = model(IDS).logits
        assert not through(model)
        assert torch.equal(model(IDS).logits, plain)
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "most"), [(torch.float32, 2e-6), (torch.bfloat16, 0.01)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_the_product_in_float64_to_rounding(kind: torch.dtype, most: float, bias: bool):
    torch.manual_seed(0)
    layer = nn.Linear(96, 64, bias=bias, dtype=kind)
    x = torch.randn(2, 5, 96, dtype=kind)
    exact = nn.functional.linear(x.double(), layer.weight.double(), layer.bias.double() if bias else None)
    with torch.no_grad(), packed(layer):
        assert through(layer)
        for part in (..., (slice(None), slice(None, None, 2)), 0, (0, 0)):
            found = layer(x[part])
            assert found.dtype == kind
            torch.testing.assert_close(found.double(), exact[part], rtol=most, atol=most)
        assert torch.equal(layer(input=x), layer(x))


def test_gradients_are_those_of_the_layers_as_they_are():
    model = MODELS["llama"]()
    plain = torch.autograd.grad(model(IDS).logits.logsumexp(-1).sum(), list(model.parameters()))
    with packed(model):
        found = torch.autograd.grad(model(IDS).logits.logsumexp(-1).sum(), list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))


def test_weights_are_read_when_the_context_is_entered():
    model = MODELS["llama"]()
    with torch.no_grad():
        with packed(model):
            before = model(IDS).logits
        for weight in model.parameters():
            weight.mul_(1.5)
        plain = model(IDS).logits
        with packed(model):
            found = model(IDS).logits
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, found, atol=1e-2)


def test_it_is_left_as_it_was_where_something_fails():
    model = MODELS["llama"]()
    state = deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match="halfway"), packed(model):
        raise RuntimeError("halfway")
    assert not through(model)
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in state.items())


def test_there_has_to_be_memory_for_the_copies(monkeypatch: pytest.MonkeyPatch):
    model = MODELS["llama"]()
    size = sum(layer.weight.nbytes for layer in model.modules() if type(layer) is nn.Linear)

    def there(all_told: float, free: float) -> None:
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=all_told, available=free))

    for times, takes in ((4, True), (3.99, False)):
        there(times * size, 100 * size)
        with packed(model):
            assert bool(through(model)) == takes
    for times, takes in ((2, True), (1.99, False)):
        there(100 * size, times * size)
        with packed(model):
            assert bool(through(model)) == takes
    there(100 * size, 2 * size + 8)
    assert room.fits(size, beside=8) and not room.fits(size, beside=9)


def test_what_a_model_without_memory_could_have_packed_is_what_is_packed():
    for name in ("llama", "gpt2", "bloom"):
        model = MODELS[name]()
        with torch.device("meta"):
            bare = type(model)(model.config)
        with packed(model):
            assert through(model) == [
                name for name, layer in bare.named_modules() if layer in packable(bare, device="meta")
            ]


class Other(nn.Linear):
    """A linear layer that does something of its own."""


def strided(layer: nn.Linear) -> nn.Linear:
    layer.bias = nn.Parameter(torch.randn(8, 3)[:, 1])
    return layer


def own_forward(layer: nn.Linear) -> nn.Linear:
    layer.forward = lambda x: x  # type: ignore[method-assign]  # as offloading puts there
    return layer


def parametrized(layer: nn.Linear) -> nn.Module:
    return nn.utils.parametrizations.weight_norm(layer)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Other(8, 8),
        lambda: nn.Linear(8, 8, dtype=torch.float64),
        lambda: nn.Linear(8, 8, device="meta"),
        lambda: own_forward(nn.Linear(8, 8)),
        lambda: strided(nn.Linear(8, 8)),
        lambda: nn.Linear(0, 8),
        lambda: parametrized(nn.Linear(8, 8)),
    ],
)
def test_other_layers_are_left_alone(layer: Any):
    one = layer()
    own = dict(vars(one))
    with packed(one):
        assert vars(one) == own


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_another_dtype_is_the_layers_own_affair(kind: torch.dtype):
    layer = nn.Linear(8, 8)
    with torch.no_grad(), packed(layer), torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.ones(2, 8, dtype=kind)).dtype == torch.bfloat16
    with torch.no_grad(), packed(layer), pytest.raises(RuntimeError, match="dtype"):
        layer(torch.ones(2, 8, dtype=torch.bfloat16))


def test_an_adapter_counts():
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(
        MODELS["llama"](), peft.LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    )
    model.eval()
    with torch.no_grad():
        plain = model(input_ids=IDS).logits
        with packed(model):
            assert any("lora_A" in name for name in through(model)) and any("base" in name for name in through(model))
            found = model(input_ids=IDS).logits
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)
