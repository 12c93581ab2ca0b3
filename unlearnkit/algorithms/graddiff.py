"""Gradient difference: up on the forget set, down on the retain set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term


@dataclass(frozen=True)
class GradDiff(Balanced):
    """Gradient difference: ascent on the forget set, descent on the retain set.

        L = -γ Σ_i nll_i / Σ_i n_i + α Σ_j nll_j / Σ_j n_j

    i runs over forget, j over retain samples; nll is summed over the n label tokens, in nats
    (arXiv 2203.12817; for language models arXiv 2401.06121).
    """

    source = "arXiv 2203.12817"
    recommended_sampler: ClassVar[str] = "active"

    def forget(self, step: Step) -> Term:
        return Term(-step.scores(step.forget).nll, per="token")
