"""Whether what the model says is language or the same few words again: gibberish without a classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Direction, Metric, Need, Probe, Undefined


@dataclass(frozen=True)
class TokenEntropy(Metric):
    """Entropy of the words that were generated, over the largest that as many words can have: −Σ_w f_w ln f_w / ln n.

    f_w is the share of the n words that are w. 1 where all differ, 0 where one is said over and over. Words are runs of
    letters, digits and inner apostrophes without case, so that models with different tokens compare. Undefined where
    there is none ("no_words") or a single one ("too_short"). Source: Yuan et al., arXiv 2410.08109, with words for
    tokens.
    """

    needs: ClassVar[tuple[Need, ...]] = ("generation",)
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "share of the largest entropy"
    source: ClassVar[str] = "2410.08109"

    def better(self, split: str) -> Direction:
        """Language is better than gibberish whatever was asked."""
        del split
        return self.direction

    @property
    def values_better(self) -> Direction:
        """Gibberish may be said of any text."""
        return "none"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.generation is not None
        return [_entropy(text) for text in probe.generation]


def _entropy(text: str) -> float | Undefined:
    from unlearnkit.scorers.words import words

    found = words(text)
    if len(found) < 2:
        return Undefined("too_short" if found else "no_words")
    shares = np.array(list(Counter(found).values())) / len(found)
    return abs(float((shares * np.log(shares)).sum() / np.log(len(found))))
