"""How far a sample lies from what is to be kept, in the model's own space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from unlearnkit.contracts import Batch, Bench
from unlearnkit.options import option
from unlearnkit.scorers.onepass import OnePass, Reading

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass
class Representation(OnePass):
    """Distance of a sample from the retain set's centre. A sample stands where the mean of the last layer's states at
    its answer's tokens is, the centre is the mean of the retain samples. Sets that are entangled with the retain set
    are claimed to be harder to forget (arXiv 2406.01257), so a high distance means easy. One forward pass of both
    sets."""

    unit: ClassVar[str] = "distance"
    source: ClassVar[str] = "arXiv 2406.01257"
    high_means: ClassVar[str] = "easy"
    sets: ClassVar[tuple[str, ...]] = ("retain",)

    distance: Literal["euclidean", "cosine"] = option(  # type: ignore[assignment]
        "euclidean", "straight line, or 1 - cosine of the angle at the origin"
    )

    def reading(self, bench: Bench) -> Reading:
        import torch

        centre = torch.cat([_places(bench.model, batch) for batch in bench.batches["retain"]]).mean(0)
        return lambda batch: self._from(centre, _places(bench.model, batch)).tolist()

    def _from(self, centre: Tensor, places: Tensor) -> Tensor:
        import torch

        if self.distance == "cosine":
            return 1 - torch.cosine_similarity(places, centre.unsqueeze(0), eps=0.0)
        straight: Tensor = torch.linalg.vector_norm(places - centre, dim=-1)
        return straight


def _places(model: nn.Module, batch: Batch) -> Tensor:
    """Mean state of each sample's label tokens, [B, hidden], float64."""
    import torch

    with torch.inference_mode():
        body: nn.Module = model.base_model  # type: ignore[assignment]
        states: Tensor = body(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
    labelled = (batch.labels != -100).unsqueeze(-1)
    return torch.where(labelled, states.double(), 0).sum(1) / labelled.sum(1)
