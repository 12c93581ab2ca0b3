"""Gaussian noise on a model's weights that can be put on, mirrored and taken off without a trace.

Subtracting noise does not restore float32 weights (0.1 … 15 % of them end up different), so the original is copied
back from a snapshot. Draw k's noise is a function of (seed, k, parameter name, block) alone: it can be made again
anywhere on the same kind of device, whatever was drawn before. Tied weights are one parameter and get one noise.

Weights, snapshot and noise are gone through block by block, so that a block is in the processor's cache while all is
done to it, and no more than one block of noise is ever in memory.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import torch

from unlearnkit.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

BLOCK = 2**20
"""Elements that share a generator; a multiple of 16, so that torch fills a block the same way however it is cut."""
SNAPSHOT_SHARE = 0.5
"""Of the memory free on a GPU, what a snapshot may take; the rest is for activations and logits."""


class NoisyWeights:
    """The weights of a model, which hold θ, θ + δ_k or θ - δ_k."""

    def __init__(self, model: nn.Module, seed: int, sigma: float) -> None:
        self.seed, self.sigma = seed, sigma
        self._weights = {name: _flat(p.detach()) for name, p in model.named_parameters()}  # tied weights once
        self._snapshot: dict[str, Tensor] = {}
        self._buffers: dict[torch.device, Tensor] = {}
        self._state = (0, 0)

    def set(self, draw: int, sign: int) -> None:
        """Make the weights θ + sign·δ_draw, with δ ~ N(0, σ²I)."""
        if (draw, sign) == self._state:
            return
        if not self._snapshot:
            self._snapshot = _snapshot(self._weights)
            self._buffers = {
                device: torch.empty(BLOCK, dtype=torch.float32, device=device)
                for device in {weight.device for weight in self._weights.values()}
            }
        if self._state != (draw, 1):
            self._add(draw)
        if sign < 0:
            self._mirror()
        self._state = (draw, sign)

    def restore(self) -> None:
        """Make the weights θ again, bit for bit."""
        for name, original in self._snapshot.items():
            self._weights[name].copy_(original)
        self._snapshot, self._buffers = {}, {}
        self._state = (0, 0)

    def moved(self) -> float:
        """The share of the weights whose bits the noise that is on them has changed."""
        changed = sum(
            int((block != original).sum()) for name in self._snapshot for block, original in self._pairs(name)
        )
        return changed / sum(weight.numel() for weight in self._weights.values())

    def _add(self, draw: int) -> None:
        for name, weight in self._weights.items():
            noise = normal(self._buffers[weight.device], len(weight), derive(self.seed, "noise", draw, name))
            for (block, original), delta in zip(self._pairs(name), noise, strict=True):
                block.copy_(original).add_(delta, alpha=self.sigma)

    def _mirror(self) -> None:
        """From θ + δ to θ - δ, always by way of the former: the same bits whether or not a run was interrupted."""
        for name in self._weights:
            for block, original in self._pairs(name):
                block.neg_().add_(original, alpha=2)

    def _pairs(self, name: str) -> Iterator[tuple[Tensor, Tensor]]:
        """A parameter's blocks beside those of its snapshot, both on its device."""
        weight = self._weights[name]
        for block, original in zip(torch.split(weight, BLOCK), torch.split(self._snapshot[name], BLOCK), strict=True):
            yield block, original.to(block.device, non_blocking=True)


def normal(buffer: Tensor, size: int, seed: int) -> Iterator[Tensor]:
    """Standard normal noise of that many elements, block by block in one buffer [BLOCK] of float32; a block holds until
    the next is asked for."""
    generator = torch.Generator(device=buffer.device)
    for number, start in enumerate(range(0, size, BLOCK)):
        generator.manual_seed(derive(seed, number))
        yield buffer[: size - start].normal_(generator=generator)


def fits_beside(needed: int, free: int) -> bool:
    """Whether a snapshot of that many bytes may stand beside its weights on a device with so many bytes free."""
    return needed <= SNAPSHOT_SHARE * free


def _snapshot(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of the weights on their device where they fit, else in pinned host memory.

    Not in the checkpoint's file: weights that training has moved have none.
    """
    needed: Counter[torch.device] = Counter()
    for weight in weights.values():
        needed[weight.device] += weight.nbytes
    beside = {
        device: device.type != "cuda" or fits_beside(size, torch.cuda.mem_get_info(device)[0])
        for device, size in needed.items()
    }
    return {name: w.clone() if beside[w.device] else w.cpu().pin_memory() for name, w in weights.items()}


def _flat(weight: Tensor) -> Tensor:
    """A view of all elements in the order in which they lie in memory."""
    return weight.permute(sorted(range(weight.ndim), key=weight.stride, reverse=True)).view(-1)
