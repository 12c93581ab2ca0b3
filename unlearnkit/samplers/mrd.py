"""Forget samples drawn in proportion to their Memory Removal Difficulty."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from unlearnkit.contracts import Pool, Sampler, ScoreRequest
from unlearnkit.errors import UnlearnkitError
from unlearnkit.options import option

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass(frozen=True)
class MRDSampler(Sampler):
    """Draws samples with probability in proportion to their MRD, with replacement.

        p_i = MRD_i / Σ_j MRD_j

    n draws an epoch from n samples, scores taken anew from the current weights every `refresh` epochs (arXiv
    2504.06658, algorithm 1). A sample without a score is drawn as often as the mean sample.
    """

    source = "arXiv 2504.06658"

    refresh: int = option(5, "epochs after which scores are taken anew; 0: never", ge=0)
    draws: int = option(8, "perturbations that a score averages", ge=1, le=1_000_000)
    sigma: float = option(1e-3, "standard deviation of the perturbation", gt=0)
    estimator: Literal["antithetic", "plain", "mean-abs"] = option("antithetic", "how draws become a score")
    tokens: Literal["answer", "all"] = option("answer", "which tokens a score counts")

    @property
    def needs(self) -> ScoreRequest:
        options = {
            "draws": self.draws,
            "sigma": self.sigma,
            "estimator": self.estimator,
            "tokens": self.tokens,
        }
        return ScoreRequest("mrd", options, self.refresh)

    def order(self, pool: Pool, rng: Generator) -> np.ndarray:
        """As the contract says.

        Raises:
            UnlearnkitError: code "scores": no sample has a score.
        """
        if pool.scores is None or np.isnan(pool.scores).all():
            raise UnlearnkitError("no forget sample has a score to be drawn by", code="scores")
        drawn: np.ndarray = rng.choice(pool.n, size=pool.size, p=_probabilities(pool.scores))
        return drawn


def _probabilities(scores: np.ndarray) -> np.ndarray:
    known = ~np.isnan(scores)
    if np.ptp(scores[known]) == 0:
        warnings.warn("all scores are equal: forget samples are drawn uniformly", stacklevel=3)
        return np.full(len(scores), 1 / len(scores))
    weights = np.where(known, scores, scores[known].mean())
    probabilities: np.ndarray = weights / weights.sum()
    return probabilities
