"""What forgetting methods share: a forget term, and beside it a term that keeps what is to be retained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from unlearnkit.contracts import Algorithm, Batch, LabelLogits, Step, Term
from unlearnkit.options import option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Weighed(Algorithm):
    """γ · forget + α · retain, for methods with a retain term of their own."""

    gamma: float = option(1.0, "weight of the forget term", gt=0)
    alpha: float = option(1.0, "weight of the retain term; at 0 no retain samples are read", ge=0)

    @property
    def uses_retain(self) -> bool:
        return self.alpha > 0

    @abstractmethod
    def forget(self, step: Step) -> Term:
        """The forget term, unweighted."""

    @abstractmethod
    def keep(self, step: Step) -> Term:
        """The retain term, unweighted. Not asked for where α is 0."""

    def losses(self, step: Step) -> Mapping[str, Term]:
        terms = {"forget": _weighed(self.forget(step), self.gamma)}
        if self.uses_retain:
            terms["retain"] = _weighed(self.keep(step), self.alpha)
        return terms


@dataclass(frozen=True)
class Balanced(Weighed):
    """γ · forget + α · retain, the latter in nats per label token of the retain samples:

        nll:  -Σ_t log p_θ(y_t) / Σ_j n_j, a language model's own loss
        kl:    Σ_t KL(p_ref ‖ p_θ) / Σ_j n_j, against the starting model's whole distributions

    t runs over the n_j label tokens of every retain sample j; nothing is averaged over prompts or padding.
    """

    retain: Literal["nll", "kl"] = option(
        "nll", "what keeps the retain samples: nll, their own answers, or kl, what the starting model says of them"
    )

    @property
    def reads_reference(self) -> bool:
        return self.uses_retain and self.retain == "kl"

    def keep(self, step: Step) -> Term:
        retain = retained(step)
        if self.retain == "nll":
            return Term(step.scores(retain).nll, per="token")
        now = step.logits(retain)
        return Term(now.sums(divergence(step.reference.logits(retain), now)), per="token")


def retained(step: Step) -> Batch:
    """The retain samples of a step that has some."""
    assert step.retain is not None, "a method that uses retain samples is given some"
    return step.retain


def divergence(reference: LabelLogits, now: LabelLogits) -> Tensor:
    """KL(p_ref ‖ p) at each label token, [n], nats."""
    from torch.nn.functional import kl_div

    p, ref = now.values.log_softmax(-1), reference.values.log_softmax(-1)
    return kl_div(p, ref, reduction="none", log_target=True).sum(-1)


def _weighed(term: Term, by: float) -> Term:
    return replace(term, weight=by * term.weight)
