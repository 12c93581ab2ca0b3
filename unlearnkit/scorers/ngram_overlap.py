"""How much of a sample stands in the retain set word for word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Bench
from unlearnkit.options import option
from unlearnkit.scorers.onepass import OnePass, Reading, by_answer
from unlearnkit.words import ngrams, ngrams_of


@dataclass
class NgramOverlap(OnePass):
    """Share of the answer's different word n-grams that a prompt or an answer of the retain set has too."""

    unit: ClassVar[str] = "share of n-grams"
    undefined: ClassVar[str] = "too_short"
    reads_model: ClassVar[bool] = False
    sets: ClassVar[tuple[str, ...]] = ("retain",)

    n: int = option(3, "words in a row that are compared", ge=1, le=100)

    def reading(self, bench: Bench) -> Reading:
        kept = set(ngrams_of(bench.sets["retain"], self.n))

        def overlap(answer: str) -> float:
            grams = set(ngrams(answer, self.n))
            return len(grams & kept) / len(grams) if grams else float("nan")

        return by_answer(bench, overlap)
