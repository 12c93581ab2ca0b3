"""LLMU: unlearn the answer, learn a random one in its place, and stay near the starting model elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class LLMU(Balanced):
    """Ascent on forget answers, descent on mismatched ones, and the divergence from the starting model.

        L_i = γ [-nll(y_i) / n_i + m · nll(y'_i) / n'_i],   L = mean_i L_i + α R

    y_i is the forget answer with n_i label tokens and y'_i, with n'_i, the answer of a retain sample drawn at random,
    one for each prompt; nll is summed over label tokens, in nats. R is KL(p_ref ‖ p_θ) per retain label token
    (arXiv 2310.10683, where ε1 = γ, ε2 = γ m and ε3 = α; defaults as in its code, which draws five answers).
    """

    source = "arXiv 2310.10683"
    rate: ClassVar[float] = 0.128
    epochs: ClassVar[int] = 4

    gamma: float = option(0.5, "weight of the forget term", gt=0)
    retain: Literal["nll", "kl"] = option(
        "kl", "what keeps the retain samples: nll, their own answers, or kl, what the starting model says of them"
    )
    mismatch: float = option(2.0, "weight of the mismatched answers within the forget term", gt=0)

    @property
    def reads(self) -> tuple[str, ...]:
        return ("forget", "forget:mismatched", "retain") if self.uses_retain else ("forget", "forget:mismatched")

    def forget(self, step: Step) -> Term:
        right, wrong = step.scores(step.forget), step.scores(step.batch("forget:mismatched"))
        return Term(self.mismatch * wrong.nll / wrong.tokens - right.nll / right.tokens)
