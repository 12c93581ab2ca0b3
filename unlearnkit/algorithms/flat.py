"""FLAT: a refusal is made likely and the answer unlikely, weighed against each other by an f-divergence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import LabelScores, Step, Term
from unlearnkit.options import option

if TYPE_CHECKING:
    from torch import Tensor

_DIVERGENCES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "kl": (lambda v: v, lambda v: (v - 1).exp()),
    "tv": (lambda v: v.tanh() / 2, lambda v: v.tanh() / 2),
    "js": (lambda v: math.log(2) - (-v).exp().log1p(), lambda v: v.exp().log1p() - math.log(2)),
    "pearson": (lambda v: v, lambda v: v**2 / 4 + v),
}
"""g*, and f* after it, as functions of a mean probability."""


@dataclass(frozen=True)
class FLAT(Balanced):
    """Loss adjustment with forget data alone: the variational form of an f-divergence between refusal and answer.

        L = γ mean_i [f*(g*(P(answer_i))) - g*(P(refusal_i))] + α retain,    P(y) = mean_t p(y_t | x, y_<t)

    P is the mean probability of the label tokens, not a likelihood, f* the conjugate of f and g* the best variational
    function (arXiv 2410.11143, table 2):

        kl       g*(v) = v                        f*(u) = exp(u - 1)
        tv       g*(v) = tanh(v) / 2              f*(u) = u
        js       g*(v) = log 2 - log(1 + e^-v)    f*(u) = -log(2 - e^u)
        pearson  g*(v) = v                        f*(u) = u² / 4 + u

    The authors' code divides by the padded length instead of the label tokens. They need no retain samples (`alpha=0`);
    without a retain term a small model lost what it was to keep.
    """

    source = "arXiv 2410.11143"
    rate: ClassVar[float] = 0.128
    epochs: ClassVar[int] = 4

    divergence: Literal["kl", "tv", "js", "pearson"] = option("kl", "the f-divergence")

    @property
    def reads(self) -> tuple[str, ...]:
        return (*super().reads, "forget:refusal")

    def forget(self, step: Step) -> Term:
        answer = _mean_probability(step.scores(step.forget))
        refusal = _mean_probability(step.scores(step.batch("forget:refusal")))
        variational, conjugate = _DIVERGENCES[self.divergence]
        return Term(conjugate(answer) - variational(refusal))


def _mean_probability(scores: LabelScores) -> Tensor:
    """Mean probability of each sample's label tokens, [B]."""
    return (scores.logprobs.exp() * scores.mask).sum(-1) / scores.tokens
