"""PDU: forget as far as a bound on the retain loss lets one, with a dual variable as the retain term's weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unlearnkit.algorithms.balance import retained
from unlearnkit.contracts import Algorithm, Step, Term
from unlearnkit.options import option

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class PDU(Algorithm):
    """Primal-dual unlearning: flat logits on the forget set, subject to a bound on the retain loss.

        min_θ γ F(θ)  subject to  R(θ) ≤ ε,    F = Σ_t (max_v z_tv - mean_v z_tv)² / n,    R = NLL(retain)

    t runs over the n label tokens of the forget samples and z_t are the logits they are predicted from. A step descends
    the Lagrangian γ F + λ (R - ε) and then climbs it, λ ← max(0, λ + η (R - ε)), with λ = α at first (arXiv
    2506.05314). The constant λ ε has no gradient and is left out of the loss that is shown. OpenUnlearning's forget
    term runs over prompt and padding too; here label tokens alone count. It changes λ once an epoch on request; here λ
    changes with every step.
    """

    source = "arXiv 2506.05314"
    rate: ClassVar[float] = 0.032

    gamma: float = option(0.01, "weight of the forget term, which is a square of logits", gt=0)
    alpha: float = option(1.0, "the dual variable at first: weight of the retain term", ge=0)
    retain_loss_eps: float | None = option(
        None, "bound on the retain term, nats per token; none: from `tolerance`", gt=0
    )
    tolerance: float = option(0.2, "without a bound, it is the first step's retain term and this share more", ge=0)
    dual_step_size: float = option(1.0, "η, how fast the dual variable follows the constraint, tokens per nat", gt=0)

    def begin(self, model: nn.Module, seed: int) -> dict[str, Tensor]:
        import torch

        del model, seed
        bound = math.inf if self.retain_loss_eps is None else self.retain_loss_eps
        return {
            "dual": torch.tensor(self.alpha, dtype=torch.float64),
            "bound": torch.tensor(bound, dtype=torch.float64),
        }

    def losses(self, step: Step) -> Mapping[str, Term]:
        logits = step.logits(step.forget)
        margins = logits.values.amax(-1) - logits.values.mean(-1)
        return {
            "forget": Term(logits.sums(margins**2), per="token", weight=self.gamma),
            "retain": Term(step.scores(retained(step)).nll, per="token", weight=float(step.state["dual"])),
        }

    def stepped(self, state: Mapping[str, Tensor], terms: Mapping[str, float]) -> None:
        bound, dual = state["bound"], state["dual"]
        if bound.isinf():
            bound.fill_((1 + self.tolerance) * terms["retain"])
        dual.add_(self.dual_step_size * (terms["retain"] - bound)).clamp_(min=0)
