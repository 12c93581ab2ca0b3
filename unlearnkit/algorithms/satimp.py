"""SatImp: gradient ascent on the tokens that are known, but not yet too well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class SatImp(Balanced):
    """Gradient ascent, each label token weighted by saturation and importance.

        L = -γ Σ_t p_t^β₁ (1 - p_t)^β₂ nll_t / n + α retain

    t runs over the n label tokens of the forget samples, nll_t = -log p_t in nats, and the weight is a constant of the
    step (arXiv 2505.11953). The first factor lets go of what is forgotten, the second of tokens so certain that
    grammar alone may make them so.
    """

    source = "arXiv 2505.11953"
    rate: ClassVar[float] = 0.256
    epochs: ClassVar[int] = 8

    gamma: float = option(1.0, "weight of the forget term", gt=0)
    beta1: float = option(5.0, "power of a token's probability in its weight", ge=0)
    beta2: float = option(1.0, "power of the probability's complement in the weight", ge=0)

    def forget(self, step: Step) -> Term:
        logprobs = step.scores(step.forget).logprobs
        known = logprobs.detach()
        weights = known.exp() ** self.beta1 * (-known.expm1()) ** self.beta2
        return Term((weights * logprobs).sum(-1), per="token")
