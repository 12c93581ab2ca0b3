"""Easy samples first, harder ones as training goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from unlearnkit.contracts import Pool
from unlearnkit.options import option
from unlearnkit.samplers.by_mrd import ByMRD
from unlearnkit.samplers.drawing import ranked, rounds

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator


@dataclass(frozen=True)
class Curriculum(ByMRD):
    """Opens the forget set from easy to hard: an epoch draws from the easiest share c of the samples, evenly.

        linear: c = s + (1 - s) t      root: c = √(s² + (1 - s²) t)      step: c = s up to half-time, then 1

    t runs from 0 in the first epoch to 1 in the last, s is `start` (Platanios et al. 2019, arXiv 1903.09848). The paper
    reads a high MRD as easy to forget; where it turns out to mean hard, say so.
    """

    source = "arXiv 1903.09848, arXiv 2504.06658"

    high: Literal["easy", "hard"] = option("easy", "what a high MRD means")
    pacing: Literal["linear", "root", "step"] = option("linear", "how the share of open samples grows")
    start: float = option(0.3, "share of the samples that is open in the first epoch", gt=0, le=1)

    def order(self, pool: Pool, rng: Generator) -> np.ndarray:
        from_low = ranked(pool.scores, rng)
        from_easy = from_low[::-1] if self.high == "easy" else from_low
        return rounds(from_easy[: self.open(pool)], pool.size, rng)

    def open(self, pool: Pool) -> int:
        """How many samples this epoch draws from, 1 … n."""
        return max(1, math.ceil(round(self._share(pool) * pool.n, 9)))

    def _share(self, pool: Pool) -> float:
        time = pool.epoch / (pool.epochs - 1) if pool.epochs > 1 else 1.0
        if self.pacing == "linear":
            return self.start + (1 - self.start) * time
        if self.pacing == "root":
            return math.sqrt(self.start**2 + (1 - self.start**2) * time)
        return self.start if time < 0.5 else 1.0
