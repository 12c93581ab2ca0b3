"""A few steps of fine-tuning: what was suppressed comes back sooner than what was never there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearnkit.contracts import Attack, Condition, Sample, Target
from unlearnkit.options import option
from unlearnkit.seeds import derive


@dataclass(frozen=True)
class Relearn(Attack):
    """Relearning attack: fine-tune on some forget samples, or on related text, and ask for the others.

    The samples that are taught are drawn by the seed; of those, too, rows are kept, reported as "shown". Hold it
    against a model that never saw the forget set (`--reference`), which learns what is taught as well.
    Source: arXiv 2406.13356.
    """

    k: int = option(10, "samples that are taught: of the related set where one is given, else of the forget set", ge=1)
    steps: int = option(20, "optimiser steps in all", ge=1)
    every: int = option(5, "steps between two looks; the last step is looked at too", ge=1)
    lr: float | None = option(None, "learning rate; none: 0.02 divided by the model's width", gt=0)
    batch_size: int = option(8, "samples in a step", ge=1)
    seed: int = option(0, "of which samples are taught, their order, and dropout", ge=0)

    source: ClassVar[str] = "2406.13356"
    sets: ClassVar[tuple[str, ...]] = ("related",)

    def shown(self, samples: Sequence[Sample], sets: Mapping[str, Sequence[Sample]]) -> Sequence[Sample]:
        taught = {sample.id for sample in self._taught(samples, sets)}
        return [sample for sample in samples if sample.id in taught]

    def conditions(self, target: Target) -> Iterator[Condition]:
        taught = self._taught(target.samples, target.sets)
        training = target.trained(taught, steps=self.steps, lr=self.lr, batch_size=self.batch_size, seed=self.seed)
        with closing(training):
            for step in training:
                if step % self.every == 0 or step == self.steps:
                    yield Condition(f"step-{step}")

    def _taught(self, samples: Sequence[Sample], sets: Mapping[str, Sequence[Sample]]) -> list[Sample]:
        pool = sets.get("related", samples)
        order = np.random.default_rng(derive(self.seed, "taught")).permutation(len(pool))
        return [pool[row] for row in sorted(order[: self.k])]
