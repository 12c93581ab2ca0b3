"""The samples of a batch one at a time: where autograd gives a gradient of a sum, this is the way to each one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unlearnkit.contracts import Batch

if TYPE_CHECKING:
    from torch import Tensor, nn


def alone(batch: Batch) -> Iterator[Batch]:
    """Each sample as a batch [1, T] without padding: what is computed from it depends on no neighbour."""
    for i, (row, length) in enumerate(zip(batch.rows, batch.mask.sum(-1).tolist(), strict=True)):
        yield Batch(
            ids=batch.ids[i : i + 1, :length],
            mask=batch.mask[i : i + 1, :length],
            labels=batch.labels[i : i + 1, :length],
            rows=(row,),
        )


def trainable(model: nn.Module) -> dict[str, Tensor]:
    """The weights that training would move, by name; tied ones once."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
