"""Task vectors: what fine-tuning on the forget set would add is taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class TaskVector(Balanced):
    """Negation of a task vector: the starting weights, less what fine-tuning on the forget set adds to them.

        θ = θ₀ - λ τ,    τ = θ_ft - θ₀,    θ_ft = argmin NLL(forget), from θ₀ on

    (arXiv 2212.04089). The model that is trained is θ all the way: its mirror image θ_ft = θ₀ - (θ - θ₀) / λ is
    fine-tuned, so that any step's weights are the start less λ times the vector so far, which may be evaluated, kept
    or stopped at as with any other method. The learning rate is θ's: fine-tuning by Adam at rate r asks for λ r. Under
    an adapter its own weights are mirrored. With α, which the paper has not, θ itself is held to the retain samples.
    Without it a small model that had forgotten half had lost a fifth of its utility: stop it with --until and --keep.
    """

    source = "arXiv 2212.04089"
    whole_only: ClassVar[bool] = True
    rate: ClassVar[float] = 0.256
    epochs: ClassVar[int] = 3

    alpha: float = option(0.0, "weight of the retain term; at 0 no retain samples are read", ge=0)
    scale: float = option(1.0, "λ, how much of the vector is taken away", gt=0)

    @property
    def reads_reference(self) -> bool:
        return True

    def forget(self, step: Step) -> Term:
        return Term(step.mirrored(self.scale).scores(step.forget).nll, per="token")
