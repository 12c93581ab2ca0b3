"""Whether the model still gives away what it was trained on: attacks on membership, as one number each.

A score is the stored value of any metric that says which of its ends is a member's (`Metric.values_better`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Aggregate, Column, Columns, Direction, Interval, Undefined
from unlearnkit.metrics import roc
from unlearnkit.options import option

Sides = tuple[np.ndarray, np.ndarray]
"""Scores of members and of others, high for members."""


@dataclass(frozen=True)
class Membership(Aggregate):
    """What attacks have in common: a score, and the splits whose samples are to be told apart."""

    score: str = option("loss", "the metric, by its name in the suite", metric=True)
    members: str = option("forget", "split of what the model was trained on")
    others: str = option("holdout", "split of what it never saw")

    direction: ClassVar[Direction] = "none"

    def sides(self, columns: Columns) -> Sides | Undefined:
        """The scores under one model."""
        found = [columns.get((split, self.score)) for split in (self.members, self.others)]
        if found[0] is None or found[1] is None or found[0].better == "none":
            return Undefined("no_scores")
        return _oriented(found[0], found[0].values), _oriented(found[1], found[1].values)


@dataclass(frozen=True)
class AUC(Membership):
    """Area under the ROC curve of a membership attack: the chance that a member's score is more of one than another's.

    0.5 where they cannot be told apart; near 1 under-unlearned, near 0 over-unlearned. By ranks, ties counting half;
    interval by DeLong. Undefined ("no_scores") where the score is missing on one side, or does not say which of its
    ends is a member's.
    """

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        del reference
        sides = self.sides(columns)
        return sides if isinstance(sides, Undefined) else roc.auc(*sides)

    def interval(self, columns: Columns, reference: Columns | None) -> Interval | None:
        del reference
        sides = self.sides(columns)
        return None if isinstance(sides, Undefined) else roc.delong(*sides)


@dataclass(frozen=True)
class TPR(Membership):
    """Share of the members that a membership attack finds at a given share of false alarms, 0 … 1.

    By the empirical ROC curve: the threshold is the lowest that at most `fpr` of the others exceed, and ties are all on
    one side of it. Undefined where the score is missing ("no_scores"), or where there are fewer than 1 / `fpr` others
    ("few_others"). Source: Carlini et al., arXiv 2112.03570.
    """

    fpr: float = option(0.01, "share of the others that may be taken for members", gt=0, le=0.5)

    direction: ClassVar[Direction] = "lower"
    source: ClassVar[str] = "2112.03570"

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        del reference
        sides = self.sides(columns)
        if isinstance(sides, Undefined):
            return sides
        found = roc.tpr(*sides, self.fpr)
        return Undefined("few_others") if found is None else found


@dataclass(frozen=True)
class PrivacyLeakage(Membership):
    """How much farther an attack on membership gets than with a model that never saw the forget set, per cent.

    (A − A_ref) / A_ref · 100, with A the chance that a text from outside scores as more of a member than one of the
    forget set, 1 − `auc`, and A_ref the same under the reference. 0 is best; below it is under-unlearned, −100 where
    every member is found; above it over-unlearned. Undefined without a reference ("no_reference"), where a score is
    missing ("no_scores", "no_reference_scores") or where A_ref is 0 ("zero_reference").
    Source: Shi et al., MUSE, arXiv 2407.06460; its area counts that way round.
    """

    score: str = option("min_k", "the metric, by its name in the suite", metric=True)

    needs_reference: ClassVar[bool] = True
    source: ClassVar[str] = "2407.06460"

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        if reference is None:
            return Undefined("no_reference")
        mine, theirs = self.sides(columns), self.sides(reference)
        if isinstance(mine, Undefined):
            return mine
        if isinstance(theirs, Undefined):
            return Undefined("no_reference_scores")
        area, usual = 1 - roc.auc(*mine), 1 - roc.auc(*theirs)
        return (area - usual) / usual * 100 if usual else Undefined("zero_reference")


@dataclass(frozen=True)
class MIAReference(AUC):
    """`auc` of the attack that compares models: the score is this model's less the reference's.

    Sample by sample; what one of the two has no value for is left out. Interval by DeLong. Undefined without a
    reference ("no_reference") or where a score is missing ("no_scores", "no_reference_scores").
    Source: Carlini et al., arXiv 2012.07805, whose smaller model is here the reference.
    """

    needs_reference: ClassVar[bool] = True
    source: ClassVar[str] = "2012.07805"

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        sides = self._apart(columns, reference)
        return sides if isinstance(sides, Undefined) else roc.auc(*sides)

    def interval(self, columns: Columns, reference: Columns | None) -> Interval | None:
        sides = self._apart(columns, reference)
        return None if isinstance(sides, Undefined) else roc.delong(*sides)

    def _apart(self, columns: Columns, reference: Columns | None) -> Sides | Undefined:
        if reference is None:
            return Undefined("no_reference")
        mine = self.sides(columns)
        if isinstance(mine, Undefined):
            return mine
        found = []
        for split in (self.members, self.others):
            own, usual = columns[split, self.score], reference.get((split, self.score))
            theirs = {} if usual is None else dict(zip(usual.samples, usual.values, strict=True))
            pairs = zip(own.samples, own.values, strict=True)
            found.append(_oriented(own, np.array([value - theirs[s] for s, value in pairs if s in theirs])))
        return (found[0], found[1]) if found[0].size and found[1].size else Undefined("no_reference_scores")


def _oriented(column: Column, values: np.ndarray) -> np.ndarray:
    """Values of a column turned so that members have high ones."""
    return values if column.better == "lower" else -values
