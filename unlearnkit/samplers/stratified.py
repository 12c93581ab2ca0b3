"""Every batch a cross-section of the difficulties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unlearnkit.contracts import Pool
from unlearnkit.options import option
from unlearnkit.samplers.by_mrd import ByMRD
from unlearnkit.samplers.drawing import ranked

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass(frozen=True)
class Stratified(ByMRD):
    """Every sample once an epoch, dealt out evenly over strata of MRD.

    The samples are cut into `bins` strata of equal size, and each round takes one of each. So however many are taken
    from the front, no stratum is ahead of another by more than one sample.
    """

    bins: int = option(4, "strata", ge=1)

    def order(self, pool: Pool, rng: Generator) -> np.ndarray:
        place = np.empty(pool.n)
        for stratum in np.array_split(ranked(pool.scores, rng), min(self.bins, pool.n)):
            place[stratum] = rng.permutation(len(stratum))
        return np.lexsort((rng.random(pool.n), place))
