"""Whether what the model says is language or the same few words again: gibberish without a classifier."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Direction, Undefined
from unlearnkit.metrics.language import OfLanguage
from unlearnkit.words import words


@dataclass(frozen=True)
class TokenEntropy(OfLanguage):
    """Entropy of the words that were generated, over the largest that as many words can have: −Σ_w f_w ln f_w / ln n.

    f_w is the share of the n words that are w. 1 where all differ, 0 where one is said over and over. Words are runs of
    letters, digits and inner apostrophes without case, so that models with different tokens compare. Undefined where
    there is none ("no_words") or a single one ("too_short"). Source: Yuan et al., arXiv 2410.08109, with words for
    tokens.
    """

    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "share of the largest entropy"
    source: ClassVar[str] = "2410.08109"

    def of(self, text: str) -> float | Undefined:
        found = words(text)
        if len(found) < 2:
            return Undefined("too_short" if found else "no_words")
        shares = np.array(list(Counter(found).values())) / len(found)
        return abs(float((shares * np.log(shares)).sum() / np.log(len(found))))
