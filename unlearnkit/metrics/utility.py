"""What is left of a model's use as a plain mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Aggregate, Columns, Undefined
from unlearnkit.metrics.model_utility import TERMS
from unlearnkit.options import option


@dataclass(frozen=True)
class Utility(Aggregate):
    """UT: mean over the splits to be kept of the mean of their figures, 0 … 1.

    A split counts once, however many of the `metrics` it has. Where `model_utility` is 0 as soon as one figure is, this
    still tells models apart. What was not evaluated is left out; compare only what has the same. Undefined
    ("no_retain") where no split has any.

    The name is that of arXiv 2504.06658, which reports model utility beside unlearning completeness; the definition is
    this kit's own.
    """

    splits: tuple[str, ...] = option(tuple(TERMS), "splits that are to be kept")
    metrics: tuple[str, ...] = option(
        ("probability", "probability_options", "rouge", "truth_ratio"),
        "metrics that count, where a split has them",
        metric=True,
    )

    source: ClassVar[str] = "2504.06658"

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        del reference
        figures = [
            [columns[split, name].mean for name in self.metrics if (split, name) in columns] for split in self.splits
        ]
        kept = [float(np.mean(of_split)) for of_split in figures if of_split]
        return float(np.mean(kept)) if kept else Undefined("no_retain")
