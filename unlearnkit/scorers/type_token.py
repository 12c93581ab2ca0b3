"""How varied a sample's words are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Bench
from unlearnkit.scorers.onepass import OnePass, Reading, by_answer
from unlearnkit.words import words


@dataclass
class TypeToken(OnePass):
    """Different words of the answer per word (Templin 1957). It falls with length."""

    unit: ClassVar[str] = "share of words"
    source: ClassVar[str] = "Templin 1957"
    undefined: ClassVar[str] = "no_words"
    reads_model: ClassVar[bool] = False

    def reading(self, bench: Bench) -> Reading:
        return by_answer(bench, _ratio)


def _ratio(answer: str) -> float:
    found = words(answer)
    return len(set(found)) / len(found) if found else float("nan")
