"""Every forget sample once an epoch, in random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.contracts import Pool, Sampler

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Uniform(Sampler):
    """Each sample once an epoch, in an order shuffled anew: what training usually does."""

    def order(self, pool: Pool, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(pool.n)
