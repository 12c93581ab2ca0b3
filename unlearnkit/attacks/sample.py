"""Asked again and again with chance: what a greedy answer hides may be likely enough to come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from unlearnkit.contracts import Attack, Choice, Condition, Need, Sample, Target
from unlearnkit.options import option
from unlearnkit.seeds import derive

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Sampling(Attack):
    """leak@N: N sampled generations of each sample, of which the best match counts.

    With ROUGE-L recall, the share of the answer that comes out within N tries; as a curve over N. Every sample has a
    chance of its own in every try, whatever else is in its batch. Source: arXiv 2511.04934.
    """

    n: int = option(16, "generations of each sample", ge=1, le=10_000)
    temperature: float = option(1.0, "divides the logits", gt=0)
    seed: int = option(0, "of the tokens drawn", ge=0)

    source: ClassVar[str] = "2511.04934"
    metrics: ClassVar[tuple[str, ...]] = ("rouge",)
    attempts: ClassVar[bool] = True
    reads: ClassVar[tuple[Need, ...]] = ("generation",)

    def conditions(self, target: Target) -> Iterator[Condition]:
        del target
        for number in range(1, self.n + 1):
            yield Condition(f"draw-{number}", choose=partial(self._chance, number), reads=self.reads)

    def _chance(self, number: int, samples: Sequence[Sample]) -> Choice:
        """Tokens drawn by their probabilities: of each sample, one uniform number a token."""
        import torch

        chances = [np.random.default_rng(derive(self.seed, "draw", number, sample.id)) for sample in samples]

        def choose(logits: Tensor, rows: Sequence[int]) -> Tensor:
            # On the CPU: sums of floating point along a row are not repeatable on a GPU.
            up_to = (logits.cpu().double() / self.temperature).softmax(-1).cumsum(-1)
            uniform = torch.tensor([[chances[row].random()] for row in rows], dtype=torch.float64)
            drawn = torch.searchsorted(up_to, uniform * up_to[:, -1:], right=True)
            return drawn.squeeze(-1).to(logits.device)

        return choose
