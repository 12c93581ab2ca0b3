"""What samplers share that go by Memory Removal Difficulty: how it is measured, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unlearnkit.contracts import Sampler, ScoreRequest
from unlearnkit.options import option


@dataclass(frozen=True)
class ByMRD(Sampler):
    """A sampler whose scores are MRD, taken anew from the current weights every `refresh` epochs."""

    source = "arXiv 2504.06658"

    refresh: int = option(5, "epochs after which scores are taken anew; 0: never", ge=0)
    draws: int = option(8, "perturbations that a score averages", ge=1, le=1_000_000)
    sigma: float = option(1e-3, "standard deviation of the perturbation", gt=0)
    estimator: Literal["antithetic", "plain", "mean-abs"] = option("antithetic", "how draws become a score")
    tokens: Literal["answer", "all"] = option("answer", "which tokens a score counts")

    @property
    def needs(self) -> ScoreRequest | None:
        options = {
            "draws": self.draws,
            "sigma": self.sigma,
            "estimator": self.estimator,
            "tokens": self.tokens,
        }
        return ScoreRequest("mrd", options, self.refresh)
