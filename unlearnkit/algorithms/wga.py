"""Weighted gradient ascent: each token is climbed in proportion to how well it is still known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class WGA(Balanced):
    """Gradient ascent, each label token weighted by its own probability.

        L = -γ Σ_t p_t^β nll_t / n + α retain

    t runs over the n label tokens of the forget samples, nll_t = -log p_t in nats, and the weight p_t^β is a constant
    of the step (arXiv 2502.19301). Tokens that are forgotten are no longer pushed, which is what makes plain
    gradient ascent (β = 0) fall apart.
    """

    source = "arXiv 2502.19301"
    rate: ClassVar[float] = 0.128
    epochs: ClassVar[int] = 4

    beta: float = option(1.0, "power of a token's probability in its weight; at 0 it is plain gradient ascent", ge=0)

    def forget(self, step: Step) -> Term:
        logprobs = step.scores(step.forget).logprobs
        weights = logprobs.detach().exp() ** self.beta
        return Term((weights * logprobs).sum(-1), per="token")
