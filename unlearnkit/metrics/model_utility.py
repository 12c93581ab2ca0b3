"""What is left of a model's use, in one number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Aggregate, Columns, Direction, Undefined

TERMS: Mapping[str, tuple[str, ...]] = {
    "retain": ("probability", "rouge", "truth_ratio"),
    "real_authors": ("probability_options", "rouge", "truth_ratio"),
    "world_facts": ("probability_options", "rouge", "truth_ratio"),
}
"""Metrics that count, by split."""


@dataclass(frozen=True)
class ModelUtility(Aggregate):
    """Harmonic mean of the figures in `TERMS`, 0 … 1: TOFU's nine on its own data.

    What was not evaluated is left out, so data with a retain set alone have a utility of three terms; compare
    only what has the same terms. One term at 0 makes it 0, the mean's limit. Undefined where nothing of the
    retain set was evaluated ("no_retain"). Source: arXiv 2401.06121, §2.2.
    """

    direction: ClassVar[Direction] = "higher"
    source: ClassVar[str] = "2401.06121"

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        del reference
        figures = {
            (split, metric): columns[split, metric].mean
            for split, metrics in TERMS.items()
            for metric in metrics
            if (split, metric) in columns
        }
        if not any(split == "retain" for split, _ in figures):
            return Undefined("no_retain")
        if min(figures.values()) <= 0:
            return 0.0
        return len(figures) / sum(1 / figure for figure in figures.values())
