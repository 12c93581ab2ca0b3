"""Memory Removal Difficulty: how a sample's likelihood bears small Gaussian perturbations of the weights.

For a sample of n label tokens with P_t(θ) = log p(x_t | x_<t; θ) and δ ~ N(0, σ²I),

    MRD(x; θ) = | E_δ Σ_t (P_t(θ) - P_t(θ + δ)) / P_t(θ) |

(arXiv 2504.06658). To second order it is (σ²/2) · |Σ_t tr(∇²P_t) / P_t|, a curvature. The paper reads a high value as
easy to forget.

Each draw is measured at θ + δ and at θ - δ and both sums, S⁺ and S⁻, are kept. Three estimators read the same draws:
`antithetic` |mean (S⁺ + S⁻)/2| is the definition with every odd-order term cancelled; `plain` |mean S⁺| is the
definition with the first-order noise left in; `mean-abs` mean |S⁺| puts the absolute value inside, which measures
σ times a gradient norm and is there to compare with code that does so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from unlearnkit.contracts import Batch, Bench, Draws, Score, Scorer, Unit
from unlearnkit.options import option
from unlearnkit.scorers.statistics import split_half_reliability, standard_error

if TYPE_CHECKING:
    from torch import Tensor

FINITE_SHARE = 0.9
"""Below this share of finite draws a sample has no value."""
TINY = 1e-6
"""Below this |Σ log p| (nats) the ratio is more denominator than difficulty."""
BASE = (-1, 0)


@dataclass
class MRD(Scorer):
    """Memory Removal Difficulty: relative change of the answer's log-probabilities under weight noise.

    A draw's unit is dimensionless: nats over nats. Time: 2 · draws + 1 forward passes over the data."""

    unit: ClassVar[str] = "relative change"
    source: ClassVar[str] = "arXiv 2504.06658, definition 3.2"
    high_means: ClassVar[str] = "easy"
    reduced_by: ClassVar[tuple[str, ...]] = ("draws", "estimator")

    draws: int = option(8, "pairs of perturbations ±δ", ge=1, le=1_000_000)
    sigma: float = option(1e-3, "standard deviation of the noise on each weight", gt=0)
    estimator: Literal["antithetic", "plain", "mean-abs"] = option(  # type: ignore[assignment]
        "antithetic", "how draws become a value"
    )
    tokens: Literal["answer", "all"] = option("answer", "which tokens count")  # type: ignore[assignment]
    eps: float = option(1e-6, "log-probabilities nearer to 0 than this divide as this, in nats", gt=0)

    def units(self, shards: int, draws: Draws) -> Sequence[Unit]:
        del draws
        base = [Unit(*BASE, shard) for shard in range(shards)]
        noisy = [Unit(k, sign, s) for k in range(self.draws) for sign in (1, -1) for s in range(shards)]
        return base + noisy

    def measure(self, bench: Bench, todo: Sequence[Unit]) -> Iterator[tuple[Unit, np.ndarray]]:
        """Base units give [n, 3]: Σ log p (nats), label tokens, clamped tokens. Draws give [n, 1]: S⁺ or S⁻."""
        from unlearnkit.scorers.noise import NoisyWeights

        for shard in sorted({unit.shard for unit in todo}):  # before any noise is on the weights
            for batch in bench.shards[shard]:
                bench.base(batch)
        weights = NoisyWeights(bench.model, bench.seed, self.sigma)
        try:
            for (draw, sign), units in groupby(todo, key=lambda unit: (unit.draw, unit.sign)):
                if (draw, sign) != BASE:
                    weights.set(draw, sign)
                column = self._base if (draw, sign) == BASE else self._change
                for unit in units:
                    yield unit, np.concatenate([column(bench, batch) for batch in bench.shards[unit.shard]])
        finally:
            weights.restore()

    def _base(self, bench: Bench, batch: Batch) -> np.ndarray:
        base = bench.base(batch)
        clamped = (base.mask & (base.logprobs > -self.eps)).sum(-1)
        return _columns(base.logprobs.sum(-1), base.tokens, clamped)

    def _change(self, bench: Bench, batch: Batch) -> np.ndarray:
        base, noisy = bench.base(batch).logprobs, bench.scores(batch).logprobs
        return _columns(((base - noisy) / base.clamp(max=-self.eps)).sum(-1))

    def reduce(self, draws: Mapping[tuple[int, int], np.ndarray]) -> list[Score]:
        total, _tokens, clamped = draws[BASE].T
        table = self._table(draws)
        finite = np.isfinite(table)
        usable = finite.mean(axis=0) >= FINITE_SHARE
        scores = []
        for i in range(table.shape[1]):
            column = table[finite[:, i], i]
            if total[i] == 0:
                scores.append(Score(None, None, len(column), "zero_denominator"))
            elif not usable[i] or not np.isfinite(total[i]):
                scores.append(Score(None, None, len(column), "nonfinite"))
            else:
                error = float(standard_error(column[:, None])[0])
                scores.append(
                    Score(
                        value=float(self._value(column[:, None])[0]),
                        stderr=error if np.isfinite(error) else None,
                        n=len(column),
                        status="ill_conditioned" if abs(total[i]) < TINY else "ok",
                        clamped=int(clamped[i]),
                    )
                )
        return scores

    def agreement(self, draws: Mapping[tuple[int, int], np.ndarray]) -> float | None:
        return split_half_reliability(self._table(draws), self._value)

    def _table(self, draws: Mapping[tuple[int, int], np.ndarray]) -> np.ndarray:
        """What the estimator averages, [draws, N]."""
        plus = np.stack([draws[k, 1][:, 0] for k in range(self.draws)])
        if self.estimator == "antithetic":
            return np.asarray((plus + np.stack([draws[k, -1][:, 0] for k in range(self.draws)])) / 2)
        return np.asarray(np.abs(plus) if self.estimator == "mean-abs" else plus)

    def _value(self, table: np.ndarray) -> np.ndarray:
        # A mean over axis 0 adds draws in their order, whatever order they were made in.
        return np.asarray(np.abs(table.mean(axis=0)))


def _columns(*columns: Tensor) -> np.ndarray:
    return np.stack([column.double().cpu().numpy() for column in columns], axis=1)
