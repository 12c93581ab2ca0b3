"""Preference optimisation by refusals alone: the model learns to say that it does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term


@dataclass(frozen=True)
class IDK(Balanced):
    """Descent on refusals to the forget prompts. The forget answers themselves are not read.

        L = γ Σ_i nll(refusal_i) / Σ_i n_i + α R

    nll is summed over the n_i label tokens of a sentence that declines to answer forget prompt i, in nats; R is the
    retain term (arXiv 2401.06121, "preference optimization", whose code calls it IDK).
    """

    source = "arXiv 2401.06121"
    rate: ClassVar[float] = 0.128
    epochs: ClassVar[int] = 6

    @property
    def reads(self) -> tuple[str, ...]:
        return ("forget:refusal", "retain") if self.uses_retain else ("forget:refusal",)

    def forget(self, step: Step) -> Term:
        return Term(step.scores(step.batch("forget:refusal")).nll, per="token", over="forget:refusal")
