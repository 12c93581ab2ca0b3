"""What is to be scored: encoded samples, the plan of their batches, and the sets they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from unlearnkit.data.collate import collate, plan
from unlearnkit.settings import BATCH_SIZE

if TYPE_CHECKING:
    import torch

    from unlearnkit.contracts import Batch, Sample
    from unlearnkit.data.encode import Encoded

SHARD = 8
"""Batches in a shard: the piece that is stored whole and that an interruption can cost."""


@dataclass(frozen=True)
class Work:
    """Samples in their data set's order, with `encoded` labelled as the scorer wants it. `sets` are the other sets by
    name, as texts, and `encoded_sets` the same as token ids, for scorers that read the model."""

    samples: Sequence[Sample]
    encoded: Sequence[Encoded]
    pad: int
    seed: int
    batch_size: int = BATCH_SIZE
    sets: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    encoded_sets: Mapping[str, Sequence[Encoded]] = field(default_factory=dict)

    @cached_property
    def plan(self) -> list[list[list[int]]]:
        """Shard → batch → rows: a function of lengths and batch size alone."""
        batches = plan(self.encoded, self.batch_size)
        return [batches[i : i + SHARD] for i in range(0, len(batches), SHARD)]

    @property
    def rows(self) -> list[int]:
        """Rows in the plan's order, which is that of stored values."""
        return [row for shard in self.plan for batch in shard for row in batch]

    def shards(self, device: torch.device | str) -> list[list[Batch]]:
        return [[collate(self.encoded, rows, pad=self.pad, device=device) for rows in batches] for batches in self.plan]

    def batches(self, device: torch.device | str) -> dict[str, list[Batch]]:
        """The other sets in batches of their own plan."""
        return {
            name: [collate(items, rows, pad=self.pad, device=device) for rows in plan(items, self.batch_size)]
            for name, items in self.encoded_sets.items()
        }
