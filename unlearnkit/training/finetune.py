"""Fine-tuning as the same loop sees it: the loss of a language model on one set, per token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from unlearnkit.contracts import Algorithm, Step, Term


@dataclass
class FineTuning(Algorithm):
    """Mean negative log-likelihood per label token. The first set of the loop is the training set."""

    @property
    def uses_retain(self) -> bool:
        return False

    def losses(self, step: Step) -> Mapping[str, Term]:
        return {"forget": Term(step.scores(step.forget).nll, per="token")}
