"""How hard a sample is to read for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from unlearnkit.contracts import Bench
from unlearnkit.options import option
from unlearnkit.scorers.onepass import OnePass, Reading, by_answer
from unlearnkit.words import text_package


@dataclass
class Readability(OnePass):
    """A readability index of the answer, by the package `textstat`. High is hard to read. Those on offer count
    letters, words and sentences; indices that count syllables would have `textstat` fetch a dictionary while it
    runs."""

    unit: ClassVar[str] = "school grade (ari, coleman-liau) or index"
    source: ClassVar[str] = "Senter & Smith 1967; Coleman & Liau 1975; Björnsson 1968; Anderson 1983"
    packages: ClassVar[tuple[str, ...]] = ("textstat",)
    undefined: ClassVar[str] = "no_words"
    reads_model: ClassVar[bool] = False

    index: Literal["ari", "coleman-liau", "lix", "rix"] = option("ari", "which index")  # type: ignore[assignment]

    def __post_init__(self) -> None:
        text_package("textstat")

    def reading(self, bench: Bench) -> Reading:
        textstat = text_package("textstat")
        of = {
            "ari": textstat.automated_readability_index,
            "coleman-liau": textstat.coleman_liau_index,
            "lix": textstat.lix,
            "rix": textstat.rix,
        }[self.index]
        return by_answer(bench, lambda answer: float(of(answer)) if textstat.lexicon_count(answer) else float("nan"))
