"""Each forget sample's NLL on the way: from the batches that were trained on, and from sweeps of the whole set.

A sweep after u updates and the batch of update u + 1 look at the same weights; where both are there the sweep's stands,
since it owes nothing to dropout or to the batch's company. What was known when a step was chosen is a function of the
rows, so a run that goes on chooses as an undisturbed one does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from unlearnkit.store.records import ProbeRow


@dataclass
class Probes:
    """NLLs of a set's samples. `samples` are their ids, row by row; what stands twice is one sample."""

    samples: Sequence[str]
    swept: int = -1
    """Updates before the last sweep; -1 where there was none."""
    _rows: dict[str, list[ProbeRow]] = field(default_factory=dict)
    _fresh: list[ProbeRow] = field(default_factory=list)

    @property
    def rows(self) -> list[int]:
        """The first row of each sample."""
        return list({sample: row for row, sample in reversed(list(enumerate(self.samples)))}.values())

    def trained(self, updates: int, nll: Sequence[tuple[int, float]]) -> None:
        """What the step after `updates` updates saw: (row, mean NLL in nats) of its samples."""
        if updates != self.swept:
            self._add(updates, nll, swept=False)

    def sweep(self, updates: int, nll: Sequence[tuple[int, float]]) -> None:
        """The whole set after `updates` updates."""
        self.swept = updates
        self._add(updates, nll, swept=True)

    @property
    def sweeps(self) -> list[int]:
        """The updates at which the whole set was looked at."""
        return sorted({row.updates for row in self._rows.get(self.samples[0], ()) if row.swept})

    def look(self, updates: int, nll: Mapping[str, float]) -> None:
        """Samples of another set after `updates` updates, at the weights of a sweep."""
        self._keep(updates, nll, swept=True)

    def swept_at(self, updates: int, samples: Iterable[str]) -> list[float | None] | None:
        """The mean NLL of each of the samples at the sweep after `updates` updates, nats, None where not finite; None
        where any was not looked at then."""
        found = []
        for sample in samples:
            rows = (row for row in reversed(self._rows.get(sample, [])) if row.swept and row.updates == updates)
            row = next(rows, None)
            if row is None:
                return None
            found.append(row.nll)
        return found

    def known(self, updates: int) -> np.ndarray:
        """The newest mean NLL of each row when the step after `updates` updates is chosen, [n], nats; NaN where nothing
        finite is known."""
        return np.array([self._newest(sample, updates) for sample in self.samples])

    def take(self) -> list[ProbeRow]:
        """Rows that came since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def restore(self, rows: Sequence[ProbeRow], updates: int) -> None:
        """Know what a run knew after `updates` updates, from all the rows that it left, in their order."""
        self._rows, self._fresh = {}, []
        for row in rows:
            if _before(row, updates):
                self._rows.setdefault(row.sample, []).append(row)
        self.swept = max((row.updates for row in rows if row.swept and row.updates <= updates), default=-1)

    def _add(self, updates: int, nll: Sequence[tuple[int, float]], *, swept: bool) -> None:
        found: dict[str, float] = {}
        for row, value in nll:
            found.setdefault(self.samples[row], value)
        self._keep(updates, found, swept=swept)

    def _keep(self, updates: int, nll: Mapping[str, float], *, swept: bool) -> None:
        for sample, value in nll.items():
            probe = ProbeRow(updates, sample, value if math.isfinite(value) else None, swept)
            self._rows.setdefault(sample, []).append(probe)
            self._fresh.append(probe)

    def _newest(self, sample: str, updates: int) -> float:
        row = next((row for row in reversed(self._rows.get(sample, [])) if _before(row, updates)), None)
        return math.nan if row is None or row.nll is None else row.nll


def _before(row: ProbeRow, updates: int) -> bool:
    """Whether a row was there when the step after `updates` updates was chosen."""
    return row.updates <= updates if row.swept else row.updates < updates
