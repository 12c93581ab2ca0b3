"""Whether what a model says is language, by the text that it generates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Direction, Metric, Need, Probe, Undefined


@dataclass(frozen=True)
class OfLanguage(Metric):
    """A metric of each generated text."""

    needs: ClassVar[tuple[Need, ...]] = ("generation",)

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
        return [self.of(text) for text in probe.generation]

    @abstractmethod
    def of(self, text: str) -> float | Undefined:
        """The value of one text."""
