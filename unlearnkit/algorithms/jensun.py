"""JensUn: Jensen-Shannon divergences, which are bounded, in the place of likelihoods, which are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unlearnkit.algorithms.balance import Weighed, retained
from unlearnkit.contracts import Step, Term

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class JensUn(Weighed):
    """The forget prompts' distributions towards a refusal's tokens, the retain samples' towards the starting model's.

        L = γ Σ_t JS(p_θ, δ(y'_t)) / Σ_i n_i + α Σ_t JS(p_θ, p_ref) / Σ_j n_j
        JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m),   m = (p + q) / 2

    The first sum runs over the n_i label tokens y' of every refusal, each after those before it, the second over the
    n_j label tokens of every retain sample; in nats, at most log 2 each (arXiv 2509.02820, whose code sets a refusal's
    tokens against the places of the forget answer's; here the refusal is read as it would be said). Of a one-hot
    distribution the divergence depends on p = p_θ(y'_t) alone: JS = log 2 + ½ [p log p - (1 + p) log(1 + p)].
    Learning to decline is not forgetting: on a small model no learning rate halved the answers' own probability and
    kept model utility.
    """

    source = "arXiv 2509.02820"
    rate: ClassVar[float] = 0.256
    epochs: ClassVar[int] = 6

    @property
    def reads(self) -> tuple[str, ...]:
        return ("forget:refusal", "retain") if self.uses_retain else ("forget:refusal",)

    @property
    def reads_reference(self) -> bool:
        return self.uses_retain

    def forget(self, step: Step) -> Term:
        scores = step.scores(step.batch("forget:refusal"))
        p = scores.logprobs.exp()
        js = math.log(2) + (p * scores.logprobs - (1 + p) * p.log1p()) / 2
        return Term(js.where(scores.mask, 0).sum(-1), per="token", over="forget:refusal")

    def keep(self, step: Step) -> Term:
        retain = retained(step)
        now = step.logits(retain)
        p, q = now.values.log_softmax(-1), step.reference.logits(retain).values.log_softmax(-1)
        return Term(now.sums(jensen_shannon(p, q)), per="token")


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """JS(p, q) of log-probabilities [n, V] each, [n], nats."""
    from torch import logaddexp
    from torch.nn.functional import kl_div

    m = logaddexp(p, q) - math.log(2)
    return (kl_div(m, p, reduction="none", log_target=True) + kl_div(m, q, reduction="none", log_target=True)).sum(
        -1
    ) / 2
