"""A measure without noise: one value a sample, from one look at each batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Batch, Bench, Draws, Score, Scorer, Unit

BASE = (-1, 0)
"""Draw and sign of what is measured under the weights as they are."""

Reading = Callable[[Batch], Iterable[float]]
"""Values of a batch's samples in their order; NaN where there is none."""


class OnePass(Scorer):
    """A scorer that looks at every batch once. Subclass as a dataclass."""

    undefined: ClassVar[str] = "nonfinite"
    """Status of a sample whose value is NaN; one whose value is infinite is always "nonfinite"."""

    @abstractmethod
    def reading(self, bench: Bench) -> Reading:
        """How a batch of this bench is read, with all that is done only once done."""

    def units(self, shards: int, draws: Draws) -> Sequence[Unit]:
        del draws
        return [Unit(*BASE, shard) for shard in range(shards)]

    def measure(self, bench: Bench, todo: Sequence[Unit]) -> Iterator[tuple[Unit, np.ndarray]]:
        """Each unit gives its values, [n, 1]."""
        read = self.reading(bench)
        for unit in todo:
            values = [value for batch in bench.shards[unit.shard] for value in read(batch)]
            yield unit, np.array(values, dtype=np.float64)[:, None]

    def reduce(self, draws: Draws) -> list[Score]:
        return [self._score(float(value)) for value in draws[BASE][:, 0]]

    def _score(self, value: float) -> Score:
        if np.isfinite(value):
            return Score(value)
        return Score(None, status=self.undefined if np.isnan(value) else "nonfinite")


def by_answer(bench: Bench, value: Callable[[str], float]) -> Reading:
    """Read samples by the text of their answers."""
    return lambda batch: [value(bench.samples[row].answer) for row in batch.rows]
