"""What forgetting methods share: a forget term, and the plain loss on retain samples beside it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

from unlearnkit.contracts import Algorithm, Step, Term
from unlearnkit.options import option


@dataclass(frozen=True)
class Balanced(Algorithm):
    """γ · forget + α · NLL(retain), the latter in nats per label token: a language model's own loss."""

    gamma: float = option(1.0, "weight of the forget term", gt=0)
    alpha: float = option(1.0, "weight of the retain term; at 0 no retain samples are read", ge=0)

    @property
    def uses_retain(self) -> bool:
        return self.alpha > 0

    @abstractmethod
    def forget(self, step: Step) -> Term:
        """The forget term, unweighted."""

    def losses(self, step: Step) -> Mapping[str, Term]:
        forget = self.forget(step)
        terms = {"forget": replace(forget, weight=self.gamma * forget.weight)}
        if self.uses_retain and step.retain is not None:
            terms["retain"] = Term(step.scores(step.retain).nll, per="token", weight=self.alpha)
        return terms
