"""A loss whose gradients and curvature are known by heart: two quadratics in two parameters, in numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from unlearnkit.contracts import Gradient, Gradients

SHAPES = ((2, 2), (3,))
SIZE = 7


def flat(tensors: Sequence[Tensor]) -> np.ndarray:
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors])


def shaped(vector: np.ndarray) -> list[Tensor]:
    return [torch.from_numpy(part.copy()).reshape(s) for part, s in zip(np.split(vector, [4]), SHAPES, strict=True)]


class Quadratics(Gradients):
    """Terms (θ - a)ᵀ H (θ - a) / 2, with a symmetric H and an `a` each."""

    def __init__(self, hessians: dict[str, np.ndarray], centres: dict[str, np.ndarray], at: np.ndarray) -> None:
        self.hessians, self.centres = hessians, centres
        self.parameters = shaped(at)
        self.step, self.seed, self.state = 0, 5, {}
        self.asked: list[tuple[str, ...]] = []

    def slope(self, name: str, at: np.ndarray) -> np.ndarray:
        return self.hessians[name] @ (at - self.centres[name])

    def terms(self, *names: str) -> dict[str, Gradient]:
        self.asked.append(names)
        return {name: shaped(self.slope(name, flat(self.parameters))) for name in names or self.hessians}

    @contextmanager
    def beside(self, offset: Gradient) -> Iterator[None]:
        before = self.parameters
        self.parameters = [p + move for p, move in zip(before, offset, strict=True)]
        yield
        self.parameters = before

    def signs(self) -> Gradient:
        return shaped(np.random.default_rng(self.seed).choice([-1.0, 1.0], SIZE))

    def dot(self, one: Gradient, other: Gradient) -> float:
        return float(flat(one) @ flat(other))


def quadratics(seed: int = 0, *names: str, diagonal: bool = False) -> Quadratics:
    """Random ones named so, by default "forget" and "retain"."""
    rng = np.random.default_rng(seed)
    hessians, centres = {}, {}
    for name in names or ("forget", "retain"):
        root = rng.normal(size=(SIZE, SIZE))
        hessians[name] = np.diag(rng.normal(size=SIZE)) if diagonal else root + root.T
        centres[name] = rng.normal(size=SIZE)
    return Quadratics(hessians, centres, rng.normal(size=SIZE))
