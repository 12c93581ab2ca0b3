"""The scoring engine: hands a scorer its bench, stores each unit as it comes, reduces from the store.

It knows nothing of any difficulty measure; a scorer knows nothing of the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unlearnkit.contracts import Draws, Score, Scorer, Unit
from unlearnkit.errors import UnlearnkitError

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.contracts import Bench
    from unlearnkit.progress import Progress
    from unlearnkit.scoring.work import Work
    from unlearnkit.store import Store

VERSION = 4
"""Changes when the same scorer on the same bench would give other bits."""


Measured = tuple[Unit, np.ndarray, float]
"""A unit, its values, and the seconds that it took."""


@dataclass(frozen=True)
class Outcome:
    """What the draws of a series say. `scores` are in the plan's order.

    `unclear` is the share of valued samples whose value is below twice its standard error, None where no sample has
    one; `draws` and `passes` count the draws, and the passes over the data, that went into it; `seconds` is what they
    took to measure, whoever did it, None where that is not known."""

    scores: list[Score]
    reliability: float | None
    unclear: float | None
    draws: int
    passes: int
    seconds: float | None


class Ledger:
    """The draws of one series: what is stored, what is wanted, and what is missing."""

    def __init__(self, store: Store, series: str, scorer: Scorer, shards: int) -> None:
        self._store, self._series, self._scorer, self._shards = store, series, scorer, shards
        self._blocks = store.blocks(series)
        self._seconds = store.units(series)
        self._draws: dict[tuple[int, int], np.ndarray] = {}
        for draw in {(unit.draw, unit.sign) for unit in self._blocks}:
            self._join(*draw)

    def wanted(self) -> list[Unit]:
        """All units of the result, as far as the scorer can tell now."""
        return list(self._scorer.units(self._shards, self._complete()))

    def missing(self) -> list[Unit]:
        """Those that the store does not hold, in the scorer's order."""
        return [unit for unit in self.wanted() if unit not in self._blocks]

    def outcome(self) -> Outcome:
        """Reduce what the scorer wants, which must all be there.

        Raises:
            KeyError: a unit is missing.
        """
        wanted = self.wanted()
        for unit in wanted:
            self._blocks[unit]
        keys = {(unit.draw, unit.sign) for unit in wanted}
        draws = {key: values for key, values in self._complete().items() if key in keys}
        scores = list(self._scorer.reduce(draws))
        doubts = [s.value < 2 * s.stderr for s in scores if s.value is not None and s.stderr is not None]
        seconds = [self._seconds[unit] for unit in wanted]
        return Outcome(
            scores=scores,
            reliability=self._scorer.agreement(draws),
            unclear=sum(doubts) / len(doubts) if doubts else None,
            draws=len({draw for draw, _ in keys if draw >= 0}),
            passes=len(keys),
            seconds=None if None in seconds else sum(s for s in seconds if s is not None),
        )

    def put(self, unit: Unit, values: np.ndarray, seconds: float) -> None:
        self._store.put_block(self._series, unit, values, seconds)
        self._blocks[unit] = np.ascontiguousarray(values, dtype="<f8")
        self._seconds[unit] = seconds
        self._join(unit.draw, unit.sign)

    def _join(self, draw: int, sign: int) -> None:
        """Make one array of a draw once every shard is there, samples in the plan's order."""
        units = [Unit(draw, sign, shard) for shard in range(self._shards)]
        if all(unit in self._blocks for unit in units):
            self._draws[draw, sign] = np.concatenate([self._blocks[unit] for unit in units])

    def _complete(self) -> Draws:
        """Draws of which every shard is there: the same arrays each time, as a scorer may know them again."""
        return dict(sorted(self._draws.items()))


@contextmanager
def open_bench(work: Work, scorer: Scorer, load: Callable[[], nn.Module]) -> Iterator[Bench]:
    """What the scorer works on; a model is brought into memory only for one that reads it, and is in evaluation mode
    meanwhile."""
    from unlearnkit.scoring.bench import ModelBench, TextBench  # which loads torch

    if not scorer.reads_model:
        yield TextBench(work)
        return
    model = load()
    was_training = model.training
    model.eval()
    try:
        yield ModelBench.of(work, model)
    finally:
        model.train(was_training)


def measure(
    ledger: Ledger,
    measuring: Callable[[Sequence[Unit]], Generator[Measured]],
    progress: Progress,
    beat: Callable[[], None] = lambda: None,
) -> int:
    """Measure until nothing is missing, storing each unit as it comes; the number of units measured.

    Args:
        measuring: measures units, in whatever order: `here` or a crew of workers.
        beat: called after every unit.

    Raises:
        UnlearnkitError: code "plugin-error" where a scorer does not measure what it asked for.
    """
    computed = 0
    while todo := ledger.missing():
        total = len(ledger.wanted())
        progress.start("scoring", total, total - len(todo))
        try:
            with closing(measuring(todo)) as units:
                for unit, values, seconds in units:
                    ledger.put(unit, values, seconds)
                    computed += 1
                    beat()
                    progress.advance(1, f"draw {unit.draw + 1}" if unit.draw >= 0 else "unperturbed")
        finally:
            progress.finish()
        if left := set(todo) & set(ledger.missing()):
            raise UnlearnkitError(f"the scorer did not measure {min(left)}, which it asked for", code="plugin-error")
    return computed


def here(scorer: Scorer, on: Bench) -> Callable[[Sequence[Unit]], Generator[Measured]]:
    """Measuring in this process."""
    return lambda todo: timed(scorer.measure(on, todo))


def timed(units: Iterator[tuple[Unit, np.ndarray]]) -> Generator[Measured]:
    """Each unit with the seconds that it took to come."""
    began = time.perf_counter()
    try:
        for unit, values in units:
            yield unit, values, time.perf_counter() - began
            began = time.perf_counter()
    finally:
        if isinstance(units, Generator):
            units.close()
