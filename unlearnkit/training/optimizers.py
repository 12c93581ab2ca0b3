"""The optimiser: one of torch's (or bitsandbytes'), with a state that is a flat mapping of tensors.

Parameters that are not float32 are updated through float32 copies, which the optimiser's own tensors are made from
too: a step of 1e-5 vanishes in a bfloat16 weight, in its copy it adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from unlearnkit.training.team import like

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter


class Optimizer:
    """Updates `parameters`, {name: parameter}, in place from their `.grad`."""

    def __init__(self, name: str, parameters: Mapping[str, Parameter], *, lr: float, weight_decay: float) -> None:
        self._parameters = dict(parameters)
        self._copies: dict[str, Tensor] = {
            key: p.detach().float().requires_grad_() for key, p in parameters.items() if p.dtype != torch.float32
        }
        self._updated = {key: self._copies.get(key, p) for key, p in self._parameters.items()}
        self._optimizer = _make(name, list(self._updated.values()), lr, weight_decay)

    def step(self, lr: float) -> None:
        """Apply the gradients, and forget them."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        for key, copy in self._copies.items():
            gradient = self._parameters[key].grad
            copy.grad = None if gradient is None else gradient.float()
        self._optimizer.step()
        with torch.no_grad():
            for key, copy in self._copies.items():
                self._parameters[key].copy_(copy)
                copy.grad = None
        self.forget()

    def forget(self) -> None:
        """Drop the gradients."""
        for parameter in self._parameters.values():
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """Copies and moments as {"copy.NAME", "KEY.NAME"}; a plain number as a tensor under "int:KEY.NAME"."""
        tensors = {f"copy.{name}": copy.detach() for name, copy in self._copies.items()}
        for name, updated in self._updated.items():
            for key, value in self._optimizer.state.get(updated, {}).items():
                if isinstance(value, torch.Tensor):
                    tensors[f"{key}.{name}"] = value
                elif isinstance(value, int):
                    tensors[f"int:{key}.{name}"] = torch.tensor(value)
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `state()`."""
        for full, value in tensors.items():
            key, _, name = full.partition(".")
            updated = self._updated[name]
            if key == "copy":
                with torch.no_grad():
                    self._copies[name].copy_(like(value, updated))
            elif key.startswith("int:"):
                self._optimizer.state[updated][key.removeprefix("int:")] = int(value)
            else:  # torch keeps a step count on the CPU, and the rest where the parameter is
                on_cpu = key == "step"
                self._optimizer.state[updated][key] = value.to("cpu", copy=True) if on_cpu else like(value, updated)


def _make(name: str, parameters: list[Tensor], lr: float, weight_decay: float) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=lr, weight_decay=weight_decay)
    if name == "adafactor":
        return torch.optim.Adafactor(parameters, lr=lr, weight_decay=weight_decay)
    if name == "paged-adamw-8bit":
        import bitsandbytes

        return bitsandbytes.optim.PagedAdamW8bit(parameters, lr=lr, weight_decay=weight_decay)  # type: ignore[no-any-return]
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
