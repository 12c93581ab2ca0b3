"""How much there is to forget: the number of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Bench
from unlearnkit.scorers.onepass import OnePass, Reading


@dataclass
class Length(OnePass):
    """Label tokens of a sample: those of its answer and its end token. What sums over tokens grows with it, so it is
    the measure to hold others against. No forward pass."""

    unit: ClassVar[str] = "tokens"
    reads_model: ClassVar[bool] = False
    reads_tokens: ClassVar[bool] = True

    def reading(self, bench: Bench) -> Reading:
        del bench
        return lambda batch: (batch.labels[:, 1:] != -100).sum(-1).tolist()  # nothing predicts the first token
