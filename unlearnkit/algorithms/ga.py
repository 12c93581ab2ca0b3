"""Gradient ascent: the language model's loss on the forget set, climbed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Algorithm, Step, Term


@dataclass(frozen=True)
class GA(Algorithm):
    """Gradient ascent on the forget set.

        L = -Σ_i nll_i / Σ_i n_i

    nll_i is the summed negative log-likelihood of sample i's n_i label tokens, in nats (arXiv 2210.01504).
    Nothing holds it back: no learning rate forgets much and keeps the rest, so stop it early with --until and --keep.
    """

    source = "arXiv 2210.01504"
    rate: ClassVar[float] = 0.016
    epochs: ClassVar[int] = 8
    recommended_sampler: ClassVar[str] = "active"

    @property
    def uses_retain(self) -> bool:
        return False

    def losses(self, step: Step) -> Mapping[str, Term]:
        return {"forget": Term(-step.scores(step.forget).nll, per="token")}
