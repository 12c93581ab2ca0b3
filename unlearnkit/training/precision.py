"""The precision of a run, by the names of its option: what weights are held in, and what passes compute in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


def hold(model: nn.Module, precision: str) -> None:
    """Round a model's weights, in place, to what a run in that precision trains."""
    if precision == "bf16":
        model.to(torch.bfloat16)


def arithmetic(model: nn.Module, precision: str) -> AbstractContextManager[None]:
    """How passes of such a run compute."""
    device = next(model.parameters()).device.type
    return torch.autocast(device, torch.bfloat16, enabled=precision == "mixed-bf16")
