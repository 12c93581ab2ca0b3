"""Maximum entropy: on the forget set every token becomes as likely as any other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class ME(Balanced):
    """Maximum entropy on the answers of the forget set.

        L = γ Σ_t KL(U ‖ softmax(z_t)) / n + α retain

    t runs over the n label tokens of the forget samples, z_t are the logits they are predicted from and U is uniform
    over the V tokens, so that KL(U ‖ softmax(z)) = log Σ_v exp z_v - mean_v z_v - log V, in nats (arXiv 2410.08109).
    Bounded below by 0, where gradient ascent is not.
    """

    source = "arXiv 2410.08109"
    rate: ClassVar[float] = 0.128
    epochs: ClassVar[int] = 2

    gamma: float = option(0.1, "weight of the forget term", gt=0)

    def forget(self, step: Step) -> Term:
        logits = step.logits(step.forget)
        z = logits.values
        divergence = z.logsumexp(-1) - z.mean(-1) - math.log(z.shape[-1])
        return Term(logits.sums(divergence), per="token")
