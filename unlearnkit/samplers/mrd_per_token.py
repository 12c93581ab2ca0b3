"""MRD without the length that is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.contracts import Pool
from unlearnkit.samplers.mrd import MRDSampler

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class MRDPerToken(MRDSampler):
    """Draws samples with probability in proportion to their MRD per token.

        p_i = (MRD_i / n_i)^(1/T) / Σ_j (MRD_j / n_j)^(1/T)

    MRD is a sum over a sample's n tokens and so grows with its length; this is its mean.
    """

    def difficulty(self, pool: Pool) -> np.ndarray | None:
        return None if pool.scores is None else pool.scores / pool.tokens
