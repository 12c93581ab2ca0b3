"""SAM: forget where the weights lie, and in their neighbourhood too, so that little training does not bring it back."""

from __future__ import annotations

from dataclasses import dataclass

from unlearnkit.contracts import Gradient, Gradients, Wrapper
from unlearnkit.options import option
from unlearnkit.wrappers.vectors import plus, scaled, unit


@dataclass(frozen=True)
class SAM(Wrapper):
    """Sharpness-aware unlearning: the forget term's gradient at the worst point nearby, the retain term's here.

        g = ∇F(θ + ρ ∇F(θ) / |∇F(θ)|) + ∇R(θ)

    F and R are the forget and the retain term; an algorithm without a retain term may have none (arXiv 2502.05374).
    It takes a second pass over the samples, of which the forget term's is gone back through. ρ is a distance over all
    weights together, so in bfloat16 each moves by less than it can show: weights should be float32.
    """

    source = "arXiv 2502.05374"
    terms = ("forget",)

    rho: float = option(0.01, "distance of the point where the forget term is descended", gt=0)

    def gradient(self, gradients: Gradients) -> Gradient:
        here = gradients.terms()
        with gradients.beside(scaled(unit(gradients, here["forget"]), self.rho)):
            worst = gradients.terms("forget")["forget"]
        return plus(worst, here["retain"]) if "retain" in here else worst
