"""How often a corpus says what a sample says."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Bench
from unlearnkit.options import option
from unlearnkit.scorers.onepass import OnePass, Reading, by_answer
from unlearnkit.words import ngrams, ngrams_of


@dataclass
class Occurrence(OnePass):
    """How often the answer's wording occurs in a corpus that the user names: the mean of log₁₀(1 + c) over the
    answer's different word n-grams, c the times that one stands in the corpus. 0 where none does. The logarithm keeps
    one common turn of phrase from outweighing the rest. How often a fact was seen in training is what decides how well
    it is known (Kandpal et al., arXiv 2211.08411, who count documents)."""

    unit: ClassVar[str] = "powers of ten"
    source: ClassVar[str] = "arXiv 2211.08411"
    undefined: ClassVar[str] = "too_short"
    reads_model: ClassVar[bool] = False
    sets: ClassVar[tuple[str, ...]] = ("corpus",)

    n: int = option(3, "words in a row that are looked for", ge=1, le=100)

    def reading(self, bench: Bench) -> Reading:
        wanted = {gram for sample in bench.samples for gram in ngrams(sample.answer, self.n)}
        # A corpus has far more n-grams than are asked for: only those are counted.
        counts = Counter(gram for gram in ngrams_of(bench.sets["corpus"], self.n) if gram in wanted)

        def mean(answer: str) -> float:
            grams = set(ngrams(answer, self.n))
            return math.fsum(math.log10(1 + counts[gram]) for gram in grams) / len(grams) if grams else float("nan")

        return by_answer(bench, mean)
