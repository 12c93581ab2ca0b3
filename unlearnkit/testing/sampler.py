"""What a sampler must keep to."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from unlearnkit.checks import checked_order
from unlearnkit.contracts import Pool, Sampler, ScoreRequest
from unlearnkit.testing.contract import Contract

_N = 12


class SamplerContract(Contract):
    """An order is valid, and a function of pool and generator alone."""

    kind: ClassVar[str] = "sampler"
    plugin: ClassVar[type[Sampler]]

    def order(self, scores: np.ndarray | None, epoch: int = 0, seed: int = 0, n: int = _N) -> np.ndarray:
        """The checked order of an epoch, or of a step for a sampler that draws for every one."""
        sampler = self.make()
        size = n if sampler.every == "epoch" else min(n, 4)
        nll = np.linspace(0.0, 3.0, n)  # the last third is forgotten
        tokens = np.arange(n) % 5 + 3
        pool = Pool(n, size, epoch, 4, scores, nll, np.full(n, 2.0), tokens)
        order = sampler.order(pool, np.random.default_rng(seed))
        return checked_order("tested", order, pool, may_end=sampler.every == "step")

    def scores(self) -> np.ndarray | None:
        """Scores of 12 samples, the fourth without one; None for a sampler that needs none."""
        if self.make().needs is None:
            return None
        scores = np.random.default_rng(1).exponential(size=_N)
        scores[3] = np.nan
        return scores

    def test_needs_are_a_score_request(self) -> None:
        needs = self.make().needs
        assert needs is None or isinstance(needs, ScoreRequest)
        assert needs is None or needs.refresh >= 0, "refresh counts epochs; 0 is never"

    def test_order_is_valid_in_every_epoch(self) -> None:
        for epoch in range(4):
            self.order(self.scores(), epoch, seed=epoch)

    def test_one_sample_has_an_order(self) -> None:
        scores = self.scores()
        assert self.order(None if scores is None else scores[:1], n=1).tolist() == [0]

    def test_same_arguments_give_the_same_order(self) -> None:
        np.random.seed(0)
        first = self.order(self.scores(), epoch=2, seed=5)
        np.random.seed(1)
        assert np.array_equal(self.order(self.scores(), epoch=2, seed=5), first), (
            "the order depends on more than pool and rng"
        )

    def test_scores_are_left_as_they_were(self) -> None:
        scores = self.scores()
        self.order(scores)
        expected = self.scores()
        if scores is not None and expected is not None:
            assert np.array_equal(scores, expected, equal_nan=True), "order() wrote into the scores"
