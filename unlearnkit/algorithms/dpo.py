"""Direct preference optimisation: refusals are preferred over the answers that are to be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DPO(Balanced):
    """Preference for another answer y' over the forget answer y, both against the starting model.

        L_i = -(2/β) log σ(β [(nll^ref - nll)(y'_i) - (nll^ref - nll)(y_i)])

    nll is summed over an answer's label tokens, nll^ref the same under the starting weights, in nats; y'_i is a
    sentence that declines to answer (arXiv 2305.18290, equation 7; for unlearning arXiv 2401.06121 and, with the
    factor 2, arXiv 2404.05868). At the starting weights it is (2/β) log 2.
    The term vanishes once declining is preferred, while the answer may stay likely: watch forget.nll, not the term.
    """

    source = "arXiv 2305.18290"
    rate: ClassVar[float] = 0.512
    epochs: ClassVar[int] = 4
    preferred: ClassVar[str] = "forget:refusal"
    """The set that holds y'."""

    beta: float = option(0.1, "inverse temperature, 1/nats: larger stops pushing sooner", gt=0)

    @property
    def reads(self) -> tuple[str, ...]:
        return ("forget", self.preferred, "retain") if self.uses_retain else ("forget", self.preferred)

    @property
    def anchors(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("forget", self.preferred)

    def forget(self, step: Step) -> Term:
        from torch.nn.functional import logsigmoid

        def gained(name: str) -> Tensor:
            """How much likelier an answer has become, [B], nats."""
            batch = step.batch(name)
            return step.reference_nll(batch) - step.scores(batch).nll

        return Term(-2 / self.beta * logsigmoid(self.beta * (gained(self.preferred) - gained("forget"))))
