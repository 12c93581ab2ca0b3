"""From token ids to padded batches, and the plan of which samples share one.

A sample's log-probability depends, in the last bits, on the shape of its batch but not on its neighbours. So the plan
is a function of lengths and batch size alone, and part of what identifies a stored number.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING

from unlearnkit.contracts import Batch
from unlearnkit.data.encode import Encoded

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def collate(encoded: Sequence[Encoded], rows: Sequence[int], *, pad: int, device: torch.device | str = "cpu") -> Batch:
    """The given rows as one batch, padded on the right to the longest."""
    import torch

    items = [encoded[row] for row in rows]
    width = max(len(item) for item in items)
    ids = torch.full((len(items), width), pad, dtype=torch.int64)
    labels = torch.full((len(items), width), -100, dtype=torch.int64)
    lengths = torch.tensor([len(item) for item in items])
    for i, item in enumerate(items):
        ids[i, : len(item)] = torch.tensor(item.ids)
        labels[i, item.labels_from : len(item)] = ids[i, item.labels_from : len(item)]
    mask = (torch.arange(width) < lengths.unsqueeze(1)).long()
    return Batch(ids.to(device), mask.to(device), labels.to(device), tuple(rows))


def plan(encoded: Sequence[Sized], batch_size: int) -> list[list[int]]:
    """Rows by batch: shortest first, ties by row, so that little is padded and equal inputs share equal shapes."""
    order = sorted(range(len(encoded)), key=lambda row: (len(encoded[row]), row))
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def prompts(
    encoded: Sequence[Encoded], rows: Sequence[int], *, pad: int, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """The rows' prompts, ids and mask [B, T], padded on the left as generation wants."""
    import torch

    items = [encoded[row].prompt for row in rows]
    width = max(len(item) for item in items)
    ids = torch.full((len(items), width), pad, dtype=torch.int64)
    for i, item in enumerate(items):
        ids[i, width - len(item) :] = torch.tensor(item)
    lengths = torch.tensor([len(item) for item in items])
    mask = (torch.arange(width).flip(0) < lengths.unsqueeze(1)).long()
    return ids.to(device), mask.to(device)
