"""When draws are enough: the reliability of their ranking is looked at as they come, until it stays where it should.

A reliability is an estimate, and who stops at the first one over a target stops where chance helped: of rankings of 40
simulated samples some four in ten were then below their target. So it has to be reached at two looks in a row, the
second with up to a quarter more draws, after which some one in ten was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from unlearnkit.scorers.change import valued
from unlearnkit.scorers.statistics import Halves

FEWEST = 4
"""Draws that a reliability is first read off."""
IN_A_ROW = 2
"""Looks at which a target is to be reached."""

Draw = tuple[np.ndarray, ...]
"""The stored columns of a draw, [N, columns] each."""


def sizes(most: int) -> Iterator[int]:
    """Numbers of draws at which reliability is looked at: steps of 2, later of a quarter, so that few draws are made
    in vain and few looks tempt chance."""
    count = FEWEST
    while count < most:
        yield count
        count += 2 * max(1, count // 8)
    yield most


class Looks:
    """Reliabilities of the rankings by the first draws of a series. Looks at more and more draws each cost those that
    are new: sums are gone on with as long as the arrays that went into them are the very same."""

    def __init__(self, row: Callable[[Draw], np.ndarray]) -> None:
        """`row` gives what an estimator averages of a draw, [N], NaN where it is not finite."""
        self._row = row
        self._begin(np.zeros((0, 1)))

    def reliability(self, base: np.ndarray, draws: Sequence[Draw]) -> float | None:
        """That of the ranking by `draws`, a series from its first draw on, among the samples that have a value.

        Args:
            base: columns of the unperturbed model, [N, columns]; the first is Σ log p in nats.
        """
        count = len(draws)
        if not self._goes_on(base, draws):
            self._begin(base)
        for draw in draws[self._halves.draws :]:
            self._halves.add(self._row(draw))
            self._seen.append(draw)
        if count not in self._found:
            among = valued(base[:, 0], self._halves.finite / count)
            self._found[count] = self._halves.reliability(among)
        return self._found[count]

    def _begin(self, base: np.ndarray) -> None:
        self._base, self._halves = base, Halves(len(base))
        self._seen: list[Draw] = []
        self._found: dict[int, float | None] = {}

    def _goes_on(self, base: np.ndarray, draws: Sequence[Draw]) -> bool:
        """Whether these draws begin with those that were seen, or are some that were looked at."""
        same = (a is b for one, other in zip(self._seen, draws, strict=False) for a, b in zip(one, other, strict=True))
        known = len(draws) >= self._halves.draws or len(draws) in self._found
        return base is self._base and known and all(same)
