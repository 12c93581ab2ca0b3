"""How much of an answer the model reproduces token by token, given all the tokens before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Direction, Metric, Probe, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class _Reproduced(Metric):
    """Reads which of the answer's tokens are the most likely next token."""

    tail: int = option(0, "label tokens at the end that do not count (OpenUnlearning: 1, the end token)", ge=0)

    def correct(self, probe: Probe) -> list[np.ndarray]:
        """Of the tokens that count, [n] for each sample."""
        assert probe.answer is not None
        return [answer.correct[: max(answer.correct.size - self.tail, 0)] for answer in probe.answer]


@dataclass(frozen=True)
class ExactMemorization(_Reproduced):
    """Share of the answer's tokens that are the most likely next token, 0 … 1.

    Undefined ("no_target") where no token counts. Source: Tirumala et al., arXiv 2205.10770.
    """

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of tokens"
    source: ClassVar[str] = "2205.10770"
    by_heart: ClassVar[float | None] = 1.0

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        return [float(correct.mean()) if correct.size else Undefined("no_target") for correct in self.correct(probe)]


@dataclass(frozen=True)
class ExtractionStrength(_Reproduced):
    """Share of the answer that follows from its beginning: 1 − k / N, with k the fewest of the N tokens after
    which all others come out right; 1 where none need be shown, 0 where even the last token is wrong.

    Undefined ("no_target") where no token counts. Source: Carlini et al., arXiv 2012.07805.
    """

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of tokens"
    source: ClassVar[str] = "2012.07805"
    by_heart: ClassVar[float | None] = 1.0

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        return [_strength(correct) if correct.size else Undefined("no_target") for correct in self.correct(probe)]


def _strength(correct: np.ndarray) -> float:
    wrong = np.flatnonzero(~correct.astype(bool))
    shown = int(wrong[-1]) + 1 if wrong.size else 0
    return 1 - shown / correct.size
