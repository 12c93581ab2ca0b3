"""The curvature that Memory Removal Difficulty approximates, from second derivatives instead of perturbations.

To second order, MRD(x; θ) = (σ²/2) · |Σ_t tr(∇²P_t) / P_t|, P_t = log p(x_t | x_<t; θ) (arXiv 2504.06658). Here the
denominators are constants, d_t = P_t(θ), so the sum is half the trace of one Hessian,

    ½ Σ_t tr(∇²P_t) / d_t = ½ tr ∇²f,    f(θ') = Σ_t P_t(θ') / d_t,

which Hutchinson's estimator gives as the mean of ½ vᵀ ∇²f v over random v with E vvᵀ = I. With entries ±1 the
diagonal comes out exactly in every draw, and only what is off it is noise.

The product with v is the gradient of ∇f · v, a sample at a time. Forward mode would do a batch at once, but torch
differentiates its own formula for layer normalisation wrongly the second time (it takes mean and variance for
constants), and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from unlearnkit.contracts import Batch, Bench, Draws, Score, Scorer, Unit
from unlearnkit.errors import UnlearnkitError
from unlearnkit.options import option
from unlearnkit.scorers.alone import alone, trainable
from unlearnkit.scorers.change import WITHOUT_VALUE, statuses, valued
from unlearnkit.scorers.onepass import BASE
from unlearnkit.scorers.statistics import mean, split_half_reliability, standard_error
from unlearnkit.seeds import derive

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass
class HessianTrace(Scorer):
    """½ |Σ_t tr(∇²P_t) / P_t| of the answer's log-probabilities P_t, by Hutchinson's estimator: what MRD / σ² tends to
    as σ goes to 0. Time: per sample and draw about seven forward passes; memory: four times the weights."""

    unit: ClassVar[str] = "relative change per squared unit of weight"
    source: ClassVar[str] = "arXiv 2504.06658"
    high_means: ClassVar[str] = "easy"
    reduced_by: ClassVar[tuple[str, ...]] = ("draws",)
    remedy: ClassVar[str] = "-o draws=N"

    draws: int = option(8, "random directions", ge=1, le=1_000_000)
    tokens: Literal["answer", "all"] = option("answer", "which tokens count")  # type: ignore[assignment]
    eps: float = option(1e-6, "log-probabilities nearer to 0 than this divide as this, in nats", gt=0)

    def units(self, shards: int, draws: Draws) -> Sequence[Unit]:
        del draws
        wanted = [BASE, *((k, 0) for k in range(self.draws))]
        return [Unit(*draw, shard) for draw in wanted for shard in range(shards)]

    def measure(self, bench: Bench, todo: Sequence[Unit]) -> Iterator[tuple[Unit, np.ndarray]]:
        """Base units give [n, 2]: Σ log p (nats), clamped tokens. Draws give [n, 1]: ½ vᵀ ∇²f v."""
        for draw, units in groupby(todo, key=lambda unit: unit.draw):
            direction = None if draw < 0 else probe(bench.model, bench.seed, draw)
            for unit in units:
                rows: list[Sequence[float]] = []
                for batch in bench.shards[unit.shard]:
                    if direction is None:
                        rows += self._base(bench, batch)
                    else:
                        rows += [[curvature(bench.model, one, direction, self.eps)] for one in alone(batch)]
                yield unit, np.array(rows, dtype=np.float64)

    def _base(self, bench: Bench, batch: Batch) -> list[Sequence[float]]:
        base = bench.base(batch)
        clamped = (base.mask & (base.logprobs > -self.eps)).sum(-1)
        return list(zip(base.logprobs.sum(-1).tolist(), clamped.tolist(), strict=True))

    def reduce(self, draws: Draws) -> list[Score]:
        table, (total, clamped) = self._table(draws), draws[BASE].T
        values, errors, counts = np.abs(mean(table)), standard_error(table), np.isfinite(table).sum(axis=0)
        return [
            Score(None, None, int(n), status)
            if status in WITHOUT_VALUE
            else Score(float(value), float(error) if np.isfinite(error) else None, int(n), status, int(tokens))
            for value, error, n, tokens, status in zip(
                values, errors, counts, clamped, statuses(total, counts / self.draws), strict=True
            )
        ]

    def agreement(self, draws: Draws) -> float | None:
        table = self._table(draws)
        return split_half_reliability(table, valued(draws[BASE][:, 0], np.isfinite(table).mean(axis=0)))

    def _table(self, draws: Draws) -> np.ndarray:
        """[draws, N], NaN where one was not finite."""
        table = np.stack([draws[k, 0][:, 0] for k in range(self.draws)])
        return np.where(np.isfinite(table), table, np.nan)


def probe(model: nn.Module, seed: int, draw: int) -> dict[str, Tensor]:
    """A random direction, ±1 for each trainable weight: a function of (seed, draw, parameter) alone."""
    import torch

    direction = {}
    for name, weight in trainable(model).items():
        generator = torch.Generator(weight.device).manual_seed(derive(seed, "probe", draw, name))
        bits = torch.randint(0, 2, weight.shape, generator=generator, device=weight.device, dtype=torch.int8)
        direction[name] = (2 * bits - 1).to(weight.dtype)
    return direction


def curvature(model: nn.Module, sample: Batch, direction: Mapping[str, Tensor], eps: float) -> float:
    """½ vᵀ ∇²f v of one sample [1, T].

    Raises:
        UnlearnkitError: code "no-derivative", where torch knows no second derivative of something in the model.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from unlearnkit.losses import label_scores

    weights = trainable(model)
    try:
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
            logprobs = label_scores(model, sample, precise=True).logprobs
            weighted = (logprobs / logprobs.detach().clamp(max=-eps)).sum()
            slope = _dot(_gradient(weighted, weights, create_graph=True), direction)
            return float(_dot(_gradient(slope, weights), direction)) / 2
    except (RuntimeError, NotImplementedError) as error:
        if "derivative" not in str(error):
            raise
        raise UnlearnkitError(
            f"the model has no second derivative: {str(error).splitlines()[0]}",
            hint="mrd measures the same without derivatives",
            code="no-derivative",
        ) from error


def _gradient(of: Tensor, weights: Mapping[str, Tensor], *, create_graph: bool = False) -> dict[str, Tensor]:
    """By name; weights that `of` does not depend on are left out."""
    import torch

    found = torch.autograd.grad(of, list(weights.values()), create_graph=create_graph, allow_unused=True)
    return {name: part for name, part in zip(weights, found, strict=True) if part is not None}


def _dot(gradient: Mapping[str, Tensor], direction: Mapping[str, Tensor]) -> Tensor:
    import torch

    return torch.stack([(part * direction[name]).sum(dtype=torch.float64) for name, part in gradient.items()]).sum()
