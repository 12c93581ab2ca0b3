"""The scoring engine: hands a scorer its bench, stores each unit as it comes, reduces from the store.

It knows nothing of any difficulty measure; a scorer knows nothing of the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from unlearnkit.contracts import Batch, Bench, LabelScores, Score, Scorer, Unit
from unlearnkit.data.collate import collate, plan
from unlearnkit.losses import label_scores

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.data.encode import Encoded
    from unlearnkit.progress import Progress
    from unlearnkit.store import Store

SHARD = 8
"""Batches in a shard: the piece that is stored whole and that an interruption can cost."""


@dataclass
class ModelBench(Bench):
    """A bench over a model in memory."""

    model: nn.Module
    shards: Sequence[Sequence[Batch]]
    seed: int
    _base: dict[tuple[int, ...], LabelScores] = field(default_factory=dict)

    def scores(self, batch: Batch) -> LabelScores:
        with torch.inference_mode():
            return label_scores(self.model, batch, precise=True)

    def base(self, batch: Batch) -> LabelScores:
        if batch.rows not in self._base:
            self._base[batch.rows] = self.scores(batch)
        return self._base[batch.rows]


def rows_by_shard(encoded: Sequence[Encoded], batch_size: int) -> list[list[list[int]]]:
    """Shard → batch → rows: a function of lengths and batch size alone."""
    batches = plan(encoded, batch_size)
    return [batches[i : i + SHARD] for i in range(0, len(batches), SHARD)]


@dataclass(frozen=True)
class Scored:
    """What came out: a score per sample in the data set's order, and how much of the work was in the store."""

    scores: list[Score]
    reliability: float | None
    units: int
    computed: int


def missing_units(store: Store, series: str, scorer: Scorer, encoded: Sequence[Encoded], batch_size: int) -> list[Unit]:
    """Units that the store does not hold yet, in the scorer's order."""
    stored = store.units(series)
    return [u for u in scorer.units(len(rows_by_shard(encoded, batch_size))) if u not in stored]


def measure(
    store: Store,
    series: str,
    scorer: Scorer,
    model: nn.Module,
    encoded: Sequence[Encoded],
    *,
    batch_size: int,
    pad: int,
    seed: int,
    progress: Progress,
    beat: str | None = None,
) -> int:
    """Measure what the store lacks, storing each unit as it comes; the number of units measured.

    Args:
        series: key of the draws: model, samples, template, plan, environment, and the options that determine a draw.
        encoded: token ids of the samples, labels as the scorer wants them.
        beat: a run whose sign of life is renewed with every unit.
    """
    todo = missing_units(store, series, scorer, encoded, batch_size)
    if not todo:
        return 0
    device = next(model.parameters()).device
    shards = [
        [collate(encoded, rows, pad=pad, device=device) for rows in batches]
        for batches in rows_by_shard(encoded, batch_size)
    ]
    was_training = model.training
    model.eval()
    total = len(scorer.units(len(shards)))
    progress.start("scoring", total, total - len(todo))
    try:
        for unit, values in scorer.measure(ModelBench(model, shards, seed), todo):
            store.put_block(series, unit, values)
            if beat:
                store.beat(beat)
            progress.advance(1, f"draw {unit.draw + 1}" if unit.draw >= 0 else "unperturbed")
    finally:
        model.train(was_training)
        progress.finish()
    return len(todo)


def reduce(
    store: Store, series: str, scorer: Scorer, encoded: Sequence[Encoded], batch_size: int
) -> tuple[list[Score], float | None]:
    """Scores in the samples' order and the ranking's reliability, from stored units alone."""
    shards = rows_by_shard(encoded, batch_size)
    scores, reliability = reduce_blocks(store.blocks(series), scorer, len(shards))
    rows = [row for batches in shards for batch in batches for row in batch]
    in_order = [score for _, score in sorted(zip(rows, scores, strict=True), key=lambda pair: pair[0])]
    return in_order, reliability


def reduce_blocks(blocks: Mapping[Unit, np.ndarray], scorer: Scorer, shards: int) -> tuple[list[Score], float | None]:
    """Scores in the plan's order, which is that of the values, and the ranking's reliability."""
    wanted = set(scorer.units(shards))
    parts: dict[tuple[int, int], dict[int, np.ndarray]] = {}
    for unit, values in blocks.items():
        if unit in wanted:
            parts.setdefault((unit.draw, unit.sign), {})[unit.shard] = values
    draws = {key: np.concatenate([by_shard[s] for s in range(shards)]) for key, by_shard in parts.items()}
    return list(scorer.reduce(draws)), scorer.reliability(draws)
