"""Gaussian noise on a model's weights that can be put on, mirrored and taken off without a trace.

Subtracting noise does not restore float32 weights (0.1 … 15 % of them end up different), so the original is copied
back from a snapshot. Draw k's noise is a function of (seed, k, parameter name, block) alone: it can be made again
anywhere on the same kind of device, whatever was drawn before. Tied weights are one parameter and get one noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unlearnkit.seeds import derive

if TYPE_CHECKING:
    from torch import Tensor, nn

BLOCK = 2**20
"""Elements that share a generator; a multiple of 16, so that torch fills a block the same way however it is cut."""


class NoisyWeights:
    """The weights of a model, which hold θ, θ + δ_k or θ - δ_k."""

    def __init__(self, model: nn.Module, seed: int, sigma: float) -> None:
        self.seed, self.sigma = seed, sigma
        self._parameters = dict(model.named_parameters())  # tied weights stand here once
        self._snapshot: dict[str, Tensor] = {}
        self._state = (0, 0)

    def set(self, draw: int, sign: int) -> None:
        """Make the weights θ + sign·δ_draw, with δ ~ N(0, σ²I)."""
        if (draw, sign) == self._state:
            return
        if not self._snapshot:
            self._snapshot = {name: p.detach().clone() for name, p in self._parameters.items()}
        with torch.no_grad():
            if self._state != (draw, 1):
                self._add(draw)
            if sign < 0:
                self._mirror()
        self._state = (draw, sign)

    def restore(self) -> None:
        """Make the weights θ again, bit for bit."""
        with torch.no_grad():
            for name, original in self._snapshot.items():
                self._parameters[name].copy_(original)
        self._snapshot = {}
        self._state = (0, 0)

    def _add(self, draw: int) -> None:
        for name, parameter in self._parameters.items():
            noise = _normal(parameter, derive(self.seed, "noise", draw, name))
            parameter.copy_(self._snapshot[name]).add_(noise, alpha=self.sigma)

    def _mirror(self) -> None:
        """From θ + δ to θ - δ, always by way of the former: the same bits whether or not a run was interrupted."""
        for name, parameter in self._parameters.items():
            parameter.neg_().add_(self._snapshot[name], alpha=2)


def _normal(like: Tensor, seed: int) -> Tensor:
    """Standard normal float32 noise of a parameter's shape, block by block, on its device."""
    noise = torch.empty(like.numel(), dtype=torch.float32, device=like.device)
    generator = torch.Generator(device=like.device)
    for start in range(0, noise.numel(), BLOCK):
        generator.manual_seed(derive(seed, start // BLOCK))
        noise[start : start + BLOCK].normal_(generator=generator)
    return noise.view(like.shape)
