"""Memory Removal Difficulty: how a sample's likelihood bears small Gaussian perturbations of the weights.

For a sample of n label tokens with P_t(θ) = log p(x_t | x_<t; θ) and δ ~ N(0, σ²I),

    MRD(x; θ) = | E_δ Σ_t (P_t(θ) - P_t(θ + δ)) / P_t(θ) |

(arXiv 2504.06658). To second order it is (σ²/2) · |Σ_t tr(∇²P_t) / P_t|, a curvature. The paper reads a high value as
easy to forget.

A draw's sums at θ + δ and at θ - δ, S⁺ and S⁻, are kept, and three estimators read the same draws: `antithetic`
|mean (S⁺ + S⁻)/2| is the definition with every odd-order term cancelled; `plain` |mean S⁺| is the definition with the
first-order noise left in; `mean-abs` mean |S⁺| puts the absolute value inside, which measures σ times a gradient norm
and is there to compare with code that does so. The last two need no S⁻ and ask for none.

With `draws=auto` draws are added until the ranking is reliable enough. How many are enough is read off the draws in
their order, the first that suffice, so it is the same whether they were made at once, after an interruption, or are
there because another run wanted more.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, ClassVar, Literal

import numpy as np

from unlearnkit.contracts import Batch, Bench, Draws, Score, Scorer, Settled, Unit
from unlearnkit.errors import BadInput
from unlearnkit.options import option
from unlearnkit.scorers.calibrate import Calibration, beside, choose_sigma
from unlearnkit.scorers.change import WITHOUT_VALUE, columns, relative_change, statuses
from unlearnkit.scorers.looks import IN_A_ROW, Draw, Looks, sizes
from unlearnkit.scorers.precision import arriving, in_precision, refuse
from unlearnkit.scorers.statistics import mean, standard_error

BASE = (-1, 0)


@dataclass
class MRD(Scorer):
    """Memory Removal Difficulty: relative change of the answer's log-probabilities under weight noise.

    A draw's unit is dimensionless: nats over nats. Time: 2 · draws + 1 forward passes over the data, draws + 1 for the
    estimators that read one side of a pair. draws=auto adds draws until the ranking has the reliability asked for;
    sigma=auto takes the widest noise under which MRD still is a curvature."""

    unit: ClassVar[str] = "relative change"
    source: ClassVar[str] = "arXiv 2504.06658, definition 3.2"
    high_means: ClassVar[str] = "easy"
    reduced_by: ClassVar[tuple[str, ...]] = ("draws", "reliability", "max_draws", "estimator")
    remedy: ClassVar[str] = "-o estimator=antithetic -o draws=auto"

    draws: int | Literal["auto"] = option(
        8, "pairs of perturbations ±δ, or auto: as many as it takes", ge=1, le=1_000_000
    )
    sigma: float | Literal["auto"] = option(
        1e-3, "standard deviation of the noise on each weight, or auto: measured", gt=0
    )
    estimator: Literal["antithetic", "plain", "mean-abs"] = option(  # type: ignore[assignment]
        "antithetic", "how draws become a value"
    )
    tokens: Literal["answer", "all"] = option("answer", "which tokens count")  # type: ignore[assignment]
    eps: float = option(1e-6, "log-probabilities nearer to 0 than this divide as this, in nats", gt=0)
    reliability: float = option(0.95, "split-half reliability of the ranking that draws=auto goes on to", gt=0, lt=1)
    max_draws: int = option(128, "draws at which draws=auto gives up", ge=2, le=1_000_000)
    precision: Literal["float32", "bfloat16", "float16"] = option(  # type: ignore[assignment]
        "float32", "dtype of the weights while scoring"
    )
    force: bool = option(False, "score in half precision, whatever is lost")

    _looks: Looks = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._looks = Looks(self._row)
        said = (self.reliability, self.max_draws)
        if self.draws != "auto" and said != (type(self).reliability, type(self).max_draws):
            raise BadInput(
                f"reliability and max_draws say when draws=auto has enough; draws is {self.draws}",
                hint="-o draws=auto",
                code="option",
            )

    # -------------------------------------------------------------------------------------------------- before drawing

    @property
    def unsettled(self) -> tuple[str, ...]:
        return ("sigma",) * (self.sigma == "auto") + ("precision",) * (self.precision != "float32")

    def settle(self, bench: Bench) -> Settled:
        """Find σ where it is to be found, and what half precision does to the noise where that is asked for.

        Raises:
            UnlearnkitError: code "precision": half precision, and not forced; says what share of the weights the
                noise changes.
        """
        on = in_precision(bench, self.precision)
        calibration = Calibration(on, self.eps)
        found: dict[str, Any] = {}
        sigma = self.sigma
        if sigma == "auto":
            found = choose_sigma(calibration)
            sigma = found["sigma"]
            if found["check"] != "quadratic":
                warnings.warn(
                    f"sigma=auto found no width at which MRD grows with its square ({found['check']}): "
                    f"it went on with {sigma:g}",
                    stacklevel=2,
                )
        if self.precision != "float32":
            changed = arriving(on, sigma)
            if not self.force:
                raise refuse(self.precision, sigma, changed)
            signal = float(np.median(calibration.signal(sigma)))
            found |= {"changed": changed, **beside(signal, calibration.floor())}
            warnings.warn(
                f"{self.precision}: the noise changes {changed:.1%} of the weights; a typical score is {signal:.1e}, "
                f"the round-off in it {found['floor']:.1e}",
                stacklevel=2,
            )
        return Settled({"sigma": sigma}, found)

    # --------------------------------------------------------------------------------------------------------- drawing

    def units(self, shards: int, draws: Draws) -> Sequence[Unit]:
        base = [Unit(*BASE, shard) for shard in range(shards)]
        noisy = [Unit(k, sign, s) for k in range(self._count(draws)) for sign in self._signs for s in range(shards)]
        return base + noisy

    def measure(self, bench: Bench, todo: Sequence[Unit]) -> Iterator[tuple[Unit, np.ndarray]]:
        """Base units give [n, 3]: Σ log p (nats), label tokens, clamped tokens. Draws give [n, 1]: S⁺ or S⁻."""
        from unlearnkit.scorers.noise import NoisyWeights

        on = in_precision(bench, self.precision)
        for shard in sorted({unit.shard for unit in todo}):  # before any noise is on the weights
            for batch in on.shards[shard]:
                on.base(batch)
        weights = NoisyWeights(on.model, on.seed, self._sigma)
        try:
            for (draw, sign), units in groupby(todo, key=lambda unit: (unit.draw, unit.sign)):
                if (draw, sign) != BASE:
                    weights.set(draw, sign)
                for unit in units:
                    batches = on.shards[unit.shard]
                    if (draw, sign) == BASE:
                        yield unit, np.concatenate([self._base(on, batch) for batch in batches])
                    else:
                        yield unit, np.concatenate([relative_change(on, batch, self.eps) for batch in batches])
        finally:
            weights.restore()

    def _base(self, bench: Bench, batch: Batch) -> np.ndarray:
        base = bench.base(batch)
        clamped = (base.mask & (base.logprobs > -self.eps)).sum(-1)
        return columns(base.logprobs.sum(-1), base.tokens, clamped)

    # -------------------------------------------------------------------------------------------------------- reducing

    def reduce(self, draws: Draws) -> list[Score]:
        count, enough = self._judged(draws)
        if not enough:
            self._warn_of_a_shortfall(draws, count)
        table = np.stack([self._row(self._draw(draws, k)) for k in range(count)])
        values, errors, counts = np.abs(mean(table)), standard_error(table), np.isfinite(table).sum(axis=0)
        total, clamped = draws[BASE][:, 0], draws[BASE][:, 2].astype(int)
        return [
            Score(None, None, int(n), status)
            if status in WITHOUT_VALUE
            else Score(
                value=float(value),
                stderr=float(error) if np.isfinite(error) else None,
                n=int(n),
                status=status,
                clamped=int(tokens),
                details=self._details(float(value), float(error)),
            )
            for value, error, n, tokens, status in zip(
                values, errors, counts, clamped, statuses(total, counts / count), strict=True
            )
        ]

    def agreement(self, draws: Draws) -> float | None:
        return self._agreement(draws, self._count(draws))

    def _agreement(self, draws: Draws, count: int) -> float | None:
        """Reliability of the ranking by the first so many draws, among the samples that have a value."""
        return self._looks.reliability(draws[BASE], [self._draw(draws, k) for k in range(count)])

    def _count(self, draws: Draws) -> int:
        """How many draws the result is made from, as far as can be told from those that are there."""
        return self._judged(draws)[0]

    def _judged(self, draws: Draws) -> tuple[int, bool]:
        """That number, and whether it is known to be enough.

        Where no reliability exists (fewer than 3 samples with a value, or all equal) more draws would not make one."""
        if self.draws != "auto":
            return self.draws, True
        in_a_row = 0
        for count in sizes(self.max_draws):
            if any(key not in draws for key in (BASE, *((k, sign) for k in range(count) for sign in self._signs))):
                return count, False
            reached = self._agreement(draws, count)
            if reached is None:
                return count, True
            in_a_row = in_a_row + 1 if reached >= self.reliability else 0
            if in_a_row == IN_A_ROW:
                return count, True
        return self.max_draws, False

    def _warn_of_a_shortfall(self, draws: Draws, count: int) -> None:
        reached = self._agreement(draws, count)
        warnings.warn(
            f"draws=auto gave up after {count} draws at a reliability of {reached:.2f}, which did not stay at "
            f"{self.reliability:g} or above: a higher -o max_draws goes on from there",
            stacklevel=3,
        )

    def _draw(self, draws: Draws, k: int) -> Draw:
        return tuple(draws[k, sign] for sign in self._signs)

    def _row(self, draw: Draw) -> np.ndarray:
        """What the estimator averages of a draw, [N], NaN where it is not finite."""
        with np.errstate(invalid="ignore"):  # inf - inf
            row = sum(side[:, 0] for side in draw) / len(draw)
        row = np.abs(row) if self.estimator == "mean-abs" else row
        return np.where(np.isfinite(row), row, np.nan)

    def _details(self, value: float, error: float) -> dict[str, float]:
        """The curvature: what does not depend on σ. The mean of absolute values is none."""
        if self.estimator == "mean-abs":
            return {}
        square = self._sigma**2
        stderr = {"curvature_stderr": error / square} if np.isfinite(error) else {}
        return {"curvature": value / square, **stderr}

    @property
    def _signs(self) -> tuple[int, ...]:
        return (1, -1) if self.estimator == "antithetic" else (1,)

    @property
    def _sigma(self) -> float:
        assert self.sigma != "auto", "sigma=auto is settled before anything is measured"
        return self.sigma
