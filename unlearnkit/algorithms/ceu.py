"""CE-U: cross entropy towards what the model says itself when it may not say the label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unlearnkit.algorithms.balance import Balanced
from unlearnkit.contracts import LabelLogits, Step, Term
from unlearnkit.options import option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CEU(Balanced):
    """Cross-entropy unlearning: the rest of the distribution keeps its shape and takes over the label's share.

        L = γ Σ_t CE(softmax(z_t | z_{t,y_t} = -∞), softmax(z_t)) / n + α retain

    t runs over the n label tokens y_t of the forget samples without the first ones of each, z_t are the logits they are
    predicted from, CE(q, p) = -Σ_v q_v log p_v in nats, and the target q is a constant of the step (arXiv 2503.01224).
    Its gradient does not grow without bound as gradient ascent's does. The paper has no retain term (`alpha=0`);
    without one a small model lost what it was to keep.
    """

    source = "arXiv 2503.01224"
    rate: ClassVar[float] = 0.032
    epochs: ClassVar[int] = 3

    ignore_first_n_answer_tokens: int = option(1, "label tokens at the start of each answer that are left alone", ge=0)

    def forget(self, step: Step) -> Term:
        from torch.nn.functional import cross_entropy

        logits = step.logits(step.forget)
        target = logits.values.detach().scatter(1, logits.targets[:, None], -math.inf).softmax(-1)
        crossed = cross_entropy(logits.values, target, reduction="none")
        counted = _positions(logits) >= self.ignore_first_n_answer_tokens
        return Term(logits.sums(crossed * counted), per="token", skip=self.ignore_first_n_answer_tokens)


def _positions(logits: LabelLogits) -> Tensor:
    """Which of its sample's label tokens each is, counted from 0, [n]."""
    import torch

    sizes = torch.bincount(logits.sample, minlength=logits.size)
    firsts = sizes.cumsum(0) - sizes
    return torch.arange(len(logits.sample), device=logits.sample.device) - firsts[logits.sample]
