"""How much of what the model says it has said before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Direction, Undefined
from unlearnkit.metrics.language import OfLanguage
from unlearnkit.options import option
from unlearnkit.words import ngrams, words


@dataclass(frozen=True)
class Repetition(OfLanguage):
    """Share of the generation's runs of `n` words that it has said before: 1 − different runs / runs, 0 … 1.

    Words are runs of letters, digits and inner apostrophes without case. Undefined where there are none ("no_words") or
    fewer than `n` ("too_short"). Source: Welleck et al., seq-rep-n, arXiv 1908.04319.
    """

    n: int = option(3, "words in a run", ge=1)

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of runs"
    source: ClassVar[str] = "1908.04319"

    def of(self, text: str) -> float | Undefined:
        runs = list(ngrams(text, self.n))
        if not runs:
            return Undefined("too_short" if words(text) else "no_words")
        return 1 - len(set(runs)) / len(runs)
