"""The hardest samples first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from unlearnkit.contracts import Pool
from unlearnkit.options import option
from unlearnkit.samplers.by_mrd import ByMRD
from unlearnkit.samplers.drawing import ranked

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator


@dataclass(frozen=True)
class HardFirst(ByMRD):
    """Every sample once an epoch, from hard to easy; equal ones in random order.

    The paper reads a high MRD as easy to forget; where it turns out to mean hard, say so.
    """

    high: Literal["easy", "hard"] = option("easy", "what a high MRD means")

    def order(self, pool: Pool, rng: Generator) -> np.ndarray:
        from_low = ranked(pool.scores, rng)
        return from_low if self.high == "easy" else from_low[::-1]
