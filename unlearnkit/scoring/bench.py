"""The bench over a model in memory: one forward pass without a gradient, and the unperturbed one remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn

import torch

from unlearnkit.contracts import Batch, Bench, LabelScores, Sample
from unlearnkit.losses import label_scores
from unlearnkit.scoring.prefix import Prefix

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.scoring.work import Work


@dataclass
class ModelBench(Bench):
    """A bench over a model in memory. Weights are perturbed in place, under `torch.no_grad` and not through `.data`: by
    torch's own count of such changes it tells whether a prefix that the samples share has to be run again."""

    model: nn.Module
    shards: Sequence[Sequence[Batch]]
    seed: int
    samples: Sequence[Sample] = ()
    sets: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    batches: Mapping[str, Sequence[Batch]] = field(default_factory=dict)
    _base: dict[int, tuple[Batch, LabelScores]] = field(default_factory=dict, init=False, repr=False)
    _prefix: Prefix | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._prefix = Prefix.of(self.model, [batch for shard in self.shards for batch in shard])

    @classmethod
    def of(cls, work: Work, model: nn.Module) -> ModelBench:
        """A bench with everything on the model's device."""
        device = next(model.parameters()).device
        return cls(model, work.shards(device), work.seed, work.samples, work.sets, work.batches(device))

    def scores(self, batch: Batch) -> LabelScores:
        with torch.inference_mode():
            past = None if self._prefix is None else self._prefix.past(batch)
            return label_scores(self.model, batch, precise=True, past=past)

    def base(self, batch: Batch) -> LabelScores:
        if id(batch) not in self._base:
            self._base[id(batch)] = batch, self.scores(batch)  # a batch that is kept keeps its id
        return self._base[id(batch)][1]

    def over(self, model: nn.Module) -> ModelBench:
        return replace(self, model=model)


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
