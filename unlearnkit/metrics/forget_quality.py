"""Whether a model can be told from one that never saw the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Aggregate, Columns, Direction, Undefined

_COLUMN = ("forget", "truth_ratio")


@dataclass(frozen=True)
class ForgetQuality(Aggregate):
    """p-value of a two-sample Kolmogorov-Smirnov test between the forget set's truth ratios under this model
    and under the reference, 0 … 1; high where the two cannot be told apart.

    Undefined where this model has no truth ratio ("no_truth_ratio"), which no reference mends, without a reference
    ("no_reference"), or where that has none ("no_reference_truth_ratio"). Source: arXiv 2401.06121, §2.2.
    """

    needs_reference: ClassVar[bool] = True
    direction: ClassVar[Direction] = "higher"
    source: ClassVar[str] = "2401.06121"

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        if _COLUMN not in columns:
            return Undefined("no_truth_ratio")
        if reference is None:
            return Undefined("no_reference")
        if _COLUMN not in reference:
            return Undefined("no_reference_truth_ratio")

        from scipy.stats import ks_2samp

        return float(ks_2samp(columns[_COLUMN].values, reference[_COLUMN].values).pvalue)
