"""GRU: the forget gradient, without what in it would undo the retain samples."""

from __future__ import annotations

from dataclasses import dataclass

from unlearnkit.contracts import Gradient, Gradients, Wrapper
from unlearnkit.options import option
from unlearnkit.wrappers.vectors import averaged, plus


@dataclass(frozen=True)
class GRU(Wrapper):
    """Gradient rectified unlearning: where forgetting would raise the retain loss, that part of it is left out.

        r ← γ g_R + (1 - γ) r          g = g_F - min(0, ⟨g_F, r⟩) / |r|² · r

    g_F and g_R are the gradients of the forget and the retain term, and r, at first 0, is the latter smoothed over the
    steps (arXiv 2503.09117, whose retain term is a constraint: it is not descended).
    """

    source = "arXiv 2503.09117"
    terms = ("forget", "retain")

    gamma: float = option(0.8, "weight of the newest retain gradient against those before it", gt=0, le=1)

    def gradient(self, gradients: Gradients) -> Gradient:
        found = gradients.terms("forget", "retain")
        forget, retain = found["forget"], averaged(gradients, "retain", found["retain"], 1 - self.gamma)
        conflict = min(0.0, gradients.dot(forget, retain))
        return plus(forget, retain, -conflict / gradients.dot(retain, retain)) if conflict else forget
