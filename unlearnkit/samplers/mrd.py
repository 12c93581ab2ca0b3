"""Forget samples drawn in proportion to their Memory Removal Difficulty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.contracts import Pool
from unlearnkit.options import option
from unlearnkit.samplers.by_mrd import ByMRD
from unlearnkit.samplers.drawing import shuffled, weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator


@dataclass(frozen=True)
class MRDSampler(ByMRD):
    """Draws samples with probability in proportion to their MRD.

        p_i = MRD_i^(1/T) / Σ_j MRD_j^(1/T)

    n draws an epoch from n samples, with replacement and T = 1 as in the paper (arXiv 2504.06658, algorithm 1).
    Without replacement each sample comes once an epoch, the heavy ones early. A sample without a score weighs as the
    mean sample, and weights are cut off at their 99.9th percentile.
    """

    temperature: float = option(1.0, "T: above 1 nearer to uniform, below 1 sharper", gt=0)
    replacement: bool = option(True, "whether a sample may come twice in an epoch")

    def order(self, pool: Pool, rng: Generator) -> np.ndarray:
        """As the contract says.

        Raises:
            UnlearnkitError: code "scores": no sample has a score.
        """
        weight = weights(self.difficulty(pool), 1 / self.temperature)
        drawn: np.ndarray = rng.choice(pool.n, pool.size, p=weight) if self.replacement else shuffled(weight, rng)
        return drawn

    def difficulty(self, pool: Pool) -> np.ndarray | None:
        """What the weights are made from, [n]."""
        return pool.scores
