"""SimNPO: negative preference optimisation without a reference, per token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class SimNPO(Balanced):
    """Negative preference optimisation with length normalisation instead of a reference model.

        L_i = -(2/β) log σ(β (nll_i / n_i - δ))

    nll_i / n_i is sample i's negative log-likelihood in nats per label token (arXiv 2410.07163, where the
    margin δ is called γ).
    """

    source = "arXiv 2410.07163"
    rate: ClassVar[float] = 0.256

    gamma: float = option(0.125, "weight of the forget term", gt=0)
    beta: float = option(4.5, "inverse temperature, tokens per nat: larger stops pushing sooner", gt=0)
    delta: float = option(0.0, "margin, nats per token: pushes until the loss is well above it", ge=0)

    def forget(self, step: Step) -> Term:
        from torch.nn.functional import logsigmoid

        scores = step.scores(step.forget)
        return Term(-2 / self.beta * logsigmoid(self.beta * (scores.nll / scores.tokens - self.delta)))
