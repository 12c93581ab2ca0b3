"""Gradient ascent that is held to the starting model's distributions on the retain set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.options import option


@dataclass(frozen=True)
class KL(GradDiff):
    """Ascent on the forget set, and the divergence from the starting model on the retain set: graddiff with retain=kl.

        L = -γ Σ_i nll_i / Σ_i n_i + α Σ_t KL(p_ref ‖ p_θ) / Σ_j n_j

    i runs over forget samples, t over the n_j label tokens of every retain sample j; in nats (arXiv 2401.06121,
    "KL minimization").
    """

    source = "arXiv 2401.06121"
    rate: ClassVar[float] = 0.064
    epochs: ClassVar[int] = 3

    retain: Literal["nll", "kl"] = option(
        "kl", "what keeps the retain samples: nll, their own answers, or kl, what the starting model says of them"
    )
