"""The bench over a model in memory: one forward pass without a gradient, and the unperturbed one remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn

import torch

from unlearnkit.contracts import Batch, Bench, LabelScores, Sample
from unlearnkit.losses import label_scores

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.scoring.work import Work


@dataclass
class ModelBench(Bench):
    """A bench over a model in memory."""

    model: nn.Module
    shards: Sequence[Sequence[Batch]]
    seed: int
    samples: Sequence[Sample] = ()
    sets: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    batches: Mapping[str, Sequence[Batch]] = field(default_factory=dict)
    _base: dict[tuple[int, ...], LabelScores] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, work: Work, model: nn.Module) -> ModelBench:
        """A bench with everything on the model's device."""
        device = next(model.parameters()).device
        return cls(model, work.shards(device), work.seed, work.samples, work.sets, work.batches(device))

    def scores(self, batch: Batch) -> LabelScores:
        with torch.inference_mode():
            return label_scores(self.model, batch, precise=True)

    def base(self, batch: Batch) -> LabelScores:
        if batch.rows not in self._base:
            self._base[batch.rows] = self.scores(batch)
        return self._base[batch.rows]

    def over(self, model: nn.Module) -> ModelBench:
        return replace(self, model=model, _base={})


class TextBench(Bench):
    """A bench for scorers that read texts alone: there is no model to touch."""

    def __init__(self, work: Work) -> None:
        self.shards, self.batches = work.shards("cpu"), {}
        self.samples, self.sets, self.seed = work.samples, work.sets, work.seed

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a scorer with reads_model = False has no {name}")

    def scores(self, batch: Batch) -> LabelScores:
        self.__getattr__(f"log-probabilities of {len(batch)} samples")

    base = scores

    def over(self, model: nn.Module) -> Bench:
        self.__getattr__(type(model).__name__)
