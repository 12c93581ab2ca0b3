"""How rare a sample's words are in the language at large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Bench
from unlearnkit.options import option
from unlearnkit.scorers.onepass import OnePass, Reading, by_answer
from unlearnkit.words import text_package

PER_BILLION = 9.0
"""The Zipf scale counts a word's uses in 10⁹ words."""
NEED_MORE = {"ja", "ko", "zh"}
"""Languages that `wordfreq` finds words in only with further packages."""


@dataclass
class WordRarity(OnePass):
    """Mean rarity of the answer's words, −log₁₀ of a word's share of all words: 9 less its frequency on the Zipf scale
    (van Heuven et al. 2014), as the package `wordfreq` has it. A word that it does not know has rarity 9."""

    unit: ClassVar[str] = "powers of ten"
    source: ClassVar[str] = "doi 10.1080/17470218.2013.850521"
    packages: ClassVar[tuple[str, ...]] = ("wordfreq",)
    undefined: ClassVar[str] = "no_words"
    reads_model: ClassVar[bool] = False

    language: str = option("en", "language code of the answers")

    def __post_init__(self) -> None:
        known = text_package("wordfreq").available_languages().keys() - NEED_MORE
        if self.language not in known:
            raise ValueError(f"language must be one of {', '.join(sorted(known))}")

    def reading(self, bench: Bench) -> Reading:
        return by_answer(bench, self._mean)

    def _mean(self, answer: str) -> float:
        wordfreq = text_package("wordfreq")
        found = wordfreq.tokenize(answer, self.language)
        rarities = [PER_BILLION - wordfreq.zipf_frequency(word, self.language) for word in found]
        return sum(rarities) / len(rarities) if rarities else float("nan")
