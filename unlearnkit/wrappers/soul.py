"""SOUL: second-order unlearning, each weight's step in proportion to gradient over curvature."""

from __future__ import annotations

from dataclasses import dataclass

from unlearnkit.contracts import Gradient, Gradients, Wrapper
from unlearnkit.options import option
from unlearnkit.wrappers.vectors import averaged, plus, scaled, total


@dataclass(frozen=True)
class SOUL(Wrapper):
    """Second-order unlearning by Sophia's update, clipped at 1 in every weight.

        m ← β₁ m + (1 - β₁) g,  every k steps  h ← β₂ h + (1 - β₂) ĥ        update = clip(m / max(γ h, ε), ±1)

    g is the gradient of the whole loss and ĥ an estimate of its Hessian's diagonal (arXiv 2404.18239, 2305.14342).
    Theirs is of the Gauss-Newton matrix, from labels drawn from the model, which a loss of any form has not; this is
    Hutchinson's, ĥ = s · (g(θ + δ s) - g(θ - δ s)) / 2δ with random signs s, at two more passes each k steps. Where the
    curvature is not positive a weight moves by its sign. The update is descended as it is: plain SGD at a rate that is
    the most any weight moves in a step. Weights should be float32, as bfloat16 ones hardly show the move by δ.
    """

    source = "arXiv 2404.18239"
    optimizer = "sgd"

    beta1: float = option(0.9, "β₁, how long gradients are remembered", ge=0, lt=1)
    beta2: float = option(0.95, "β₂, how long curvatures are remembered", ge=0, lt=1)
    gamma: float = option(0.04, "γ, curvature's share in the step: smaller ones clip more", gt=0)
    epsilon: float = option(1e-12, "ε, least curvature that divides", gt=0)
    every: int = option(10, "k, steps between two looks at the curvature", ge=1)
    delta: float = option(1e-4, "δ, how far each weight is moved to see the curvature", gt=0)

    def gradient(self, gradients: Gradients) -> Gradient:
        momentum = averaged(gradients, "momentum", total(gradients.terms().values()), self.beta1)
        if gradients.step % self.every == 0:
            averaged(gradients, "curvature", self._curvature(gradients), self.beta2)
        curvature = gradients.state["curvature"]
        return [
            (m / (self.gamma * h).clamp(min=self.epsilon)).clamp(-1, 1)
            for m, h in zip(momentum, curvature, strict=True)
        ]

    def _curvature(self, gradients: Gradients) -> Gradient:
        """Hutchinson's estimate of the diagonal of the loss's Hessian."""
        signs = gradients.signs()
        with gradients.beside(scaled(signs, self.delta)):
            ahead = total(gradients.terms().values())
        with gradients.beside(scaled(signs, -self.delta)):
            behind = total(gradients.terms().values())
        return [s * d / (2 * self.delta) for s, d in zip(signs, plus(ahead, behind, -1), strict=True)]
