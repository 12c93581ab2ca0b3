"""Negative preference optimisation: gradient ascent whose push fades as a sample is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class NPO(Balanced):
    """Negative preference optimisation against the starting model.

        L_i = -(2/β) log σ(β (nll_i - nll_i^ref))

    nll_i is the summed negative log-likelihood of sample i, nll_i^ref the same under the starting weights, in
    nats (arXiv 2404.05868). As β → 0 it becomes gradient ascent; at the starting weights it is (2/β) log 2.
    """

    source = "arXiv 2404.05868"
    rate: ClassVar[float] = 0.032
    anchors = ("forget",)

    beta: float = option(0.1, "inverse temperature, 1/nats: larger stops pushing sooner", gt=0)

    def forget(self, step: Step) -> Term:
        from torch.nn.functional import logsigmoid

        margin = step.scores(step.forget).nll - step.reference_nll(step.forget)
        return Term(-2 / self.beta * logsigmoid(self.beta * margin))
