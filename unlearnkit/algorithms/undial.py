"""UNDIAL: the model is taught its own starting distribution, with the label's logit turned down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class UNDIAL(Balanced):
    """Self-distillation from logits in which the memorised token is penalised.

        L = γ Σ_t CE(softmax(z_t^ref - β e_{y_t}), softmax(z_t)) / n + α retain

    t runs over the n label tokens y_t of the forget samples, z_t are the logits they are predicted from, z_t^ref the
    starting model's, e_y the unit vector of a token, CE(q, p) = -Σ_v q_v log p_v in nats (arXiv 2402.10052).
    OpenUnlearning averages over prompt and padding too, whose label of -100 lowers a logit near the vocabulary's
    end; here label tokens alone count, as in the paper. The paper has no retain term (`alpha=0`); without one a small
    model lost what it was to keep.
    """

    source = "arXiv 2402.10052"
    rate: ClassVar[float] = 0.064

    beta: float = option(10.0, "how far the label's logit is lowered, nats", gt=0)

    @property
    def reads_reference(self) -> bool:
        return True

    def forget(self, step: Step) -> Term:
        from torch.nn.functional import cross_entropy

        logits, start = step.logits(step.forget), step.reference.logits(step.forget)
        penalty = start.values.new_full((len(start.targets), 1), -self.beta)
        target = start.values.scatter_add(1, start.targets[:, None], penalty).softmax(-1)
        return Term(logits.sums(cross_entropy(logits.values, target, reduction="none")), per="token")
