"""How much of the forget set is gone, in one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Aggregate, Columns, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class UnlearningCompleteness(Aggregate):
    """UC: 1 less the mean of what is left of the forget set by each of some metrics, 0 … 1; 1 where nothing is left.

    The metrics are such as say 1 of a text known by heart and 0 of one that is not known. What was not evaluated is
    left out; compare only what has the same. A model that never saw the set does not reach 1, as it guesses some words:
    compare with its number. Undefined ("no_forget") where none was evaluated.

    The name is that of arXiv 2504.06658, which reports unlearning completeness beside model utility; the definition is
    this kit's own.
    """

    metrics: tuple[str, ...] = option(
        ("probability", "rouge", "exact_memorization", "extraction_strength"),
        "metrics of the forget set that count",
        metric=True,
    )

    source: ClassVar[str] = "2504.06658"

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        del reference
        left = [columns["forget", name].mean for name in self.metrics if ("forget", name) in columns]
        return 1 - float(np.mean(left)) if left else Undefined("no_forget")
