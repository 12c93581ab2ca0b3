"""Gradient difference: up on the forget set, down on the retain set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term


@dataclass(frozen=True)
class GradDiff(Balanced):
    """Gradient difference: ascent on the forget set, descent on the retain set.

        L = -γ Σ_i nll_i / Σ_i n_i + α R

    i runs over forget samples; nll is summed over the n label tokens, in nats. R is the retain samples' NLL per label
    token, or with retain=kl their divergence from the starting model (arXiv 2203.12817; for language models
    arXiv 2401.06121).
    """

    source = "arXiv 2203.12817"
    rate: ClassVar[float] = 0.128
    epochs: ClassVar[int] = 2
    recommended_sampler: ClassVar[str] = "active"

    def forget(self, step: Step) -> Term:
        return Term(-step.scores(step.forget).nll, per="token")
