"""IDK with answer preservation: decline forget prompts, and prefer the answer over declining on retain prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Weighed, retained
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class IDKAP(Weighed):
    """Descent on refusals to the forget prompts, and a preference for retain answers over refusals.

        L = γ Σ_i nll(refusal_i) / Σ_i n_i + α mean_j -(1/β) log σ(β [nll(refusal_j) - nll(answer_j)])

    i runs over forget samples, n_i are the refusals' label tokens, j runs over retain samples; nll is summed over
    label tokens, in nats (arXiv 2410.08109). The second term has no reference: it fades once an
    answer is likelier than declining.
    """

    source = "arXiv 2410.08109"
    rate: ClassVar[float] = 0.128

    alpha: float = option(2.0, "weight of the retain term; at 0 no retain samples are read", ge=0)
    beta: float = option(0.1, "inverse temperature of the retain term, 1/nats: larger lets go sooner", gt=0)

    @property
    def reads(self) -> tuple[str, ...]:
        return ("forget:refusal", "retain", "retain:refusal") if self.uses_retain else ("forget:refusal",)

    def forget(self, step: Step) -> Term:
        return Term(step.scores(step.batch("forget:refusal")).nll, per="token", over="forget:refusal")

    def keep(self, step: Step) -> Term:
        from torch.nn.functional import logsigmoid

        preferred = step.scores(step.batch("retain:refusal")).nll - step.scores(retained(step)).nll
        return Term(-1 / self.beta * logsigmoid(self.beta * preferred))
