"""Batches that go through a model together: sorted by length, and on a CPU cut in two where that saves padding.

A CPU takes as long as there are positions, padding or not; a GPU takes them all at once, and one wide pass is quicker
than two narrow ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

from unlearnkit.contracts import Batch

if TYPE_CHECKING:
    from torch import Tensor

WORTH = 0.05
"""Share of the positions that a cut has to save: a second pass has costs of its own."""


@dataclass(frozen=True)
class Joint:
    """The texts of several batches, rearranged.

    `orders` says for each batch where its label tokens, sample by sample, stand among those of the pieces, one piece
    after the other; `spans` the same as (start, end) where they stand together in that order.
    """

    pieces: Sequence[Batch]
    orders: Sequence[Tensor]
    spans: Sequence[tuple[int, int] | None]


def arranged(batches: Sequence[Batch], *, cuts: bool = True) -> Joint:
    """Batches as pieces of texts of like length, each padded to its own longest; as one piece where there are to be no
    `cuts`."""
    whole = joined(batches)
    ends = torch.arange(1, whole.ids.shape[1] + 1, device=whole.ids.device)
    # A mask from elsewhere may have holes, so a text ends where it was last seen or labelled.
    lengths: list[int] = (ends * (whole.mask.bool() | (whole.labels != -100))).amax(1).tolist()
    parts = cut(lengths) if cuts and whole.ids.device.type == "cpu" else [list(range(len(lengths)))]
    pieces = [_rows(whole, rows, max(lengths[row] for row in rows)) for rows in parts]
    tokens: list[int] = (whole.labels[:, 1:] != -100).sum(1).tolist()
    starts, at = [0] * len(tokens), 0
    for row in (row for rows in parts for row in rows):
        starts[row], at = at, at + tokens[row]
    orders, spans, first = [], [], 0
    for batch in batches:
        rows = range(first, first + len(batch))
        order = [position for row in rows for position in range(starts[row], starts[row] + tokens[row])]
        orders.append(torch.tensor(order, device=whole.ids.device))
        spans.append(_span(order))
        first += len(batch)
    return Joint(pieces, orders, spans)


def _span(positions: Sequence[int]) -> tuple[int, int] | None:
    """Start and end of positions that follow one another, or None."""
    start = positions[0] if positions else 0
    end = start + len(positions)
    return (start, end) if list(positions) == list(range(start, end)) else None


def cut(lengths: Sequence[int]) -> list[list[int]]:
    """Texts of these lengths in one part, or the shorter and the longer apart."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    longest = lengths[order[-1]]
    sizes = {k: k * lengths[order[k - 1]] + (len(order) - k) * longest for k in range(1, len(order))}
    best = min(sizes, key=lambda k: sizes[k], default=0)
    if not best or sizes[best] > (1 - WORTH) * len(order) * longest:
        return [list(range(len(lengths)))]
    return [sorted(order[:best]), sorted(order[best:])]


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches as one, padded to the widest."""
    if len(batches) == 1:
        return batches[0]
    width = max(batch.ids.shape[1] for batch in batches)

    def stacked(name: str, value: int) -> Tensor:
        tensors = [getattr(batch, name) for batch in batches]
        return torch.cat([F.pad(tensor, (0, width - tensor.shape[1]), value=value) for tensor in tensors])

    rows = tuple(row for batch in batches for row in batch.rows)
    return Batch(stacked("ids", 0), stacked("mask", 0), stacked("labels", -100), rows)


def _rows(batch: Batch, rows: Sequence[int], width: int) -> Batch:
    """Some rows of a batch, no wider than they need."""
    chosen = list(rows)
    own = tuple(batch.rows[row] for row in chosen)
    return Batch(batch.ids[chosen, :width], batch.mask[chosen, :width], batch.labels[chosen, :width], own)
