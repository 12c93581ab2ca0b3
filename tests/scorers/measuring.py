"""What scorers measure, in the order of the samples."""

from __future__ import annotations

import numpy as np

from unlearnkit.contracts import Bench, Draws, Score, Scorer


def draws(scorer: Scorer, on: Bench) -> Draws:
    parts: dict[tuple[int, int], list[np.ndarray]] = {}
    for unit, values in sorted(scorer.measure(on, scorer.units(len(on.shards), {})), key=lambda pair: pair[0]):
        parts.setdefault((unit.draw, unit.sign), []).append(values)
    return {key: np.concatenate(of_shards) for key, of_shards in parts.items()}


def scored(scorer: Scorer, on: Bench) -> list[Score]:
    rows = [row for shard in on.shards for batch in shard for row in batch.rows]
    by_row = dict(zip(rows, scorer.reduce(draws(scorer, on)), strict=True))
    return [by_row[row] for row in sorted(by_row)]


def values(scorer: Scorer, on: Bench) -> list[float]:
    found = scored(scorer, on)
    assert {score.status for score in found} == {"ok"}
    return [score.value for score in found if score.value is not None]
