"""How much of what the model says it has said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Direction, Metric, Need, Probe, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class Repetition(Metric):
    """Share of the generation's runs of `n` words that it has said before: 1 − different runs / runs, 0 … 1.

    Words are runs of letters, digits and inner apostrophes without case. Undefined where there are none ("no_words") or
    fewer than `n` ("too_short"). Source: Welleck et al., seq-rep-n, arXiv 1908.04319.
    """

    n: int = option(3, "words in a run", ge=1)

    needs: ClassVar[tuple[Need, ...]] = ("generation",)
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of runs"
    source: ClassVar[str] = "1908.04319"

    def better(self, split: str) -> Direction:
        """Saying things once is better whatever was asked."""
        del split
        return self.direction

    @property
    def values_better(self) -> Direction:
        """Gibberish may be said of any text."""
        return "none"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.generation is not None
        return [self._repeated(text) for text in probe.generation]

    def _repeated(self, text: str) -> float | Undefined:
        from unlearnkit.scorers.words import ngrams, words

        runs = list(ngrams(text, self.n))
        if not runs:
            return Undefined("too_short" if words(text) else "no_words")
        return 1 - len(set(runs)) / len(runs)
