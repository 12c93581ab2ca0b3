"""Only what is not forgotten yet: a stop for each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from unlearnkit.contracts import Pool, ScoreRequest
from unlearnkit.options import option
from unlearnkit.samplers.by_mrd import ByMRD
from unlearnkit.samplers.drawing import rounds, weights

if TYPE_CHECKING:
    from numpy.random import Generator

POWER = {"mrd": 1.0, "inverse-mrd": -1.0}


@dataclass(frozen=True)
class Active(ByMRD):
    """Draws from the samples that are not forgotten yet; training ends when all are.

    A sample leaves the pool when its newest known NLL reaches its threshold, and comes back when that falls under it
    again. A sample of which nothing is known counts as not forgotten. A step has no sample twice unless fewer are left
    than it holds: it then goes round them evenly, so that every step has the same size, costs the same and rehearses
    as many retain samples.
    """

    every: ClassVar[Literal["epoch", "step"]] = "step"
    source = ""

    weight: Literal["none", "mrd", "inverse-mrd"] = option("none", "what those in the pool are drawn by")

    @property
    def needs(self) -> ScoreRequest | None:
        return None if self.weight == "none" else super().needs

    def order(self, pool: Pool, rng: Generator) -> np.ndarray:
        """As the contract says; none where all are forgotten.

        Raises:
            UnlearnkitError: code "scores": a weight is wanted and no sample has a score.
        """
        left = np.flatnonzero(~(pool.nll >= pool.threshold))
        if not len(left):
            return left
        weight = None if self.weight == "none" else weights(pool.scores, POWER[self.weight])[left]
        return rounds(left, pool.size, rng, weight)
