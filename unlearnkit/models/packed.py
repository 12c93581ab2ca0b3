"""Linear layers laid out as a processor multiplies by them.

A matrix product first brings the weights into such an order, each time; a model that only reads can keep them so. That
is a third of its time where few tokens stand in a batch, and a tenth where many hundreds do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from unlearnkit.models.memory import allowed

if TYPE_CHECKING:
    from torch import Tensor

KINDS = (torch.float32, torch.bfloat16)
SHARE, OF_FREE = 0.25, 0.5
"""Of the memory that there is for this process, and of what is free of it now, what the copies may take."""


@contextmanager
def packed(model: nn.Module) -> Iterator[None]:
    """Within, a model's linear layers on the CPU go through copies of their weights, where there is memory for them; to
    rounding, nothing else changes. Weights must not change meanwhile. What needs a gradient takes the layers as they
    are."""
    layers = packable(model)
    if not fits(sum(layer.weight.nbytes for layer in layers)):
        layers = []
    try:
        for layer in layers:
            layer.forward = partial(_through, layer, _packed(layer.weight.detach()))  # type: ignore[method-assign]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def packable(model: nn.Module, *, device: str = "cpu") -> list[nn.Linear]:
    """A model's linear layers that can go through copies. Those on `device` "meta" could if they were on the CPU."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear) and _can_be(layer, device)]


def fits(size: int, *, beside: int = 0) -> bool:
    """Whether there is memory for copies of so many bytes, once `beside` more bytes than now are taken."""
    import psutil

    free: int = psutil.virtual_memory().available - beside
    return size <= min(SHARE * allowed(), OF_FREE * free)


def _can_be(layer: nn.Linear, device: str) -> bool:
    if type(layer) is not nn.Linear or "forward" in vars(layer):
        return False
    weight, bias = layer.weight, layer.bias
    plain = type(weight) is nn.Parameter and weight.device.type == device and weight.dtype in KINDS
    # The operator takes a bias for one that lies in one piece.
    whole = bias is None or (bias.is_contiguous() and bias.dtype == weight.dtype and bias.device == weight.device)
    return plain and whole and weight.numel() > 0 and _works(weight.dtype)


def _through(layer: nn.Linear, weight: Tensor, input: Tensor) -> Tensor:  # noqa: A002 - what nn.Linear calls it
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or input.dtype != weight.dtype:
        return nn.Linear.forward(layer, input)
    return _product(input, weight, layer.bias)


def _packed(weight: Tensor) -> Tensor:
    found: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return found


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


@lru_cache
def _works(kind: torch.dtype) -> bool:
    """Whether this build of torch has what its own compiler would use here, and it does what it is used for."""
    draw = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(size, generator=draw).to(kind) for size in ((3, 32), (48, 32), (48,)))
    try:
        found = _product(x, _packed(weight), bias)
    except Exception:  # an operator that is not there, or takes something else
        return False
    return torch.allclose(found, nn.functional.linear(x, weight, bias), rtol=0.02, atol=0.02)
