"""NGDiff: forgetting and retaining pull with equal force, whatever the size of their losses."""

from __future__ import annotations

from dataclasses import dataclass

from unlearnkit.contracts import Gradient, Gradients, Wrapper
from unlearnkit.wrappers.vectors import norm, plus, unit


@dataclass(frozen=True)
class NGDiff(Wrapper):
    """Normalised gradient difference: the sum of the forget and the retain term's gradients, each at length 1.

        g = g_F / |g_F| + g_R / |g_R|

    g_F is the gradient of the forget term that is descended, so with gradient ascent, whose term is the loss with a
    minus, it is the paper's difference (arXiv 2410.22086). The weights of the two terms cancel. The paper's automatic
    learning rate is left out: it fits a parabola to the retain loss along the step that the optimiser makes of this
    gradient, which is not known here, and it would overrule the schedule.
    """

    source = "arXiv 2410.22086"
    terms = ("forget", "retain")

    def gradient(self, gradients: Gradients) -> Gradient:
        found = gradients.terms("forget", "retain")
        lengths = {name: norm(gradients, gradient) for name, gradient in found.items()}
        one, other = (unit(gradients, gradient, max(lengths.values())) for gradient in found.values())
        return plus(one, other)
