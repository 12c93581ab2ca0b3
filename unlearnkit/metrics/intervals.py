"""How far a number over samples may be trusted: percentile bootstrap intervals of aggregates.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Equal arguments give equal bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from unlearnkit.analysis.bootstrap import middle
from unlearnkit.contracts import Aggregate, Column, Columns, Interval, Undefined

DRAWS = 300
"""Resamples of an aggregate, each of which is combined anew."""
LOST = 0.1
"""The largest share of them that may have no value."""


@dataclass(frozen=True)
class Estimate:
    """An aggregate's number, the bounds of its 95 % interval (None where there is none), and how many samples it was
    found from, those of the reference not counted twice."""

    value: float
    interval: Interval | None
    n: int


def estimate(aggregate: Aggregate, columns: Columns, reference: Columns | None) -> Estimate | Undefined:
    """The number with its interval: the aggregate's own, else by resampling."""
    mine, theirs = _Watched(columns), None if reference is None else _Watched(reference)
    value = aggregate.combine(mine, theirs)
    if isinstance(value, Undefined):
        return value
    if not np.isfinite(value):
        return Undefined("nonfinite")
    read, held = mine.read, None if theirs is None else theirs.read
    interval = aggregate.interval(read, held) or resampled(aggregate, read, held)
    return Estimate(float(value), interval, sum(len(ids) for ids in _samples(read).values()))


def resampled(
    aggregate: Aggregate,
    columns: Columns,
    reference: Columns | None,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval | None:
    """Bounds of an aggregate: quantiles of what it makes of `draws` resamples of each split's samples.

    A sample that is drawn comes with its values in all columns of its split, and with those of the reference. None
    where a split has fewer than two samples, or where more than a tenth of the resamples have no value.
    """
    sets = [_Placed(of, _samples(columns, reference or {})) for of in (columns, reference) if of is not None]
    sizes = {split: len(ids) for split, ids in sets[0].ids.items()}
    if not sizes or min(sizes.values()) < 2:
        return None
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = {split: rng.integers(n, size=n) for split, n in sizes.items()}
        own, *others = (of.drawn(drawn) for of in sets)
        value = aggregate.combine(own, others[0] if others else None)
        if not isinstance(value, Undefined) and np.isfinite(value):
            found.append(value)
    return middle(np.array(found), confidence) if len(found) >= (1 - LOST) * draws else None


def _samples(*of: Columns) -> dict[str, np.ndarray]:
    """The samples of each split that have a value in some column, ascending."""
    found: dict[str, set[str]] = {}
    for columns in of:
        for (split, _), column in columns.items():
            found.setdefault(split, set()).update(column.samples)
    return {split: np.array(sorted(ids), dtype=object) for split, ids in sorted(found.items())}


class _Watched(Mapping[tuple[str, str], Column]):
    """Columns that remember which of them were looked at."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.read: dict[tuple[str, str], Column] = {}

    def __getitem__(self, key: tuple[str, str]) -> Column:
        self.read[key] = self._columns[key]
        return self.read[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class _Placed:
    """Columns, and for each set of samples that some of them have values of, the place of every sample in it; -1 for
    one that is not there."""

    def __init__(self, columns: Columns, ids: Mapping[str, np.ndarray]) -> None:
        self.ids = ids
        self._columns = columns
        self._places = {}
        for split, samples in {(split, column.samples) for (split, _), column in columns.items()}:
            place = {sample: i for i, sample in enumerate(samples)}
            self._places[split, samples] = np.array([place.get(sample, -1) for sample in ids[split]])

    def drawn(self, drawn: Mapping[str, np.ndarray]) -> Columns:
        """The columns of drawn samples; one of which none has a value is absent."""
        found = {}
        for (split, samples), place in self._places.items():
            places = place[drawn[split]]
            there = places >= 0
            found[split, samples] = places[there], tuple(self.ids[split][drawn[split][there]])
        made = {}
        for key, column in self._columns.items():
            at, samples = found[key[0], column.samples]
            if samples:
                made[key] = Column(column.values[at], column.terms[at], samples, column.better)
        return made
