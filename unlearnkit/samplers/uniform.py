"""Every forget sample once an epoch, in random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.contracts import Sampler

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Uniform(Sampler):
    """Each sample once an epoch, in an order shuffled anew: what training usually does."""

    def order(self, n: int, scores: np.ndarray | None, epoch: int, rng: np.random.Generator) -> np.ndarray:
        del scores, epoch
        return rng.permutation(n)
