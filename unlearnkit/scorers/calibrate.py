"""How wide the noise of Memory Removal Difficulty has to be for a model, measured on a few samples.

MRD is a curvature as long as it grows with σ²: too wide a noise leaves that regime, too narrow a one drowns in the
round-off of the forward pass. With C(σ) = MRD(σ)/σ² of each sample, σ is halved from `START` until C(σ) and C(σ/2)
agree: |C(σ)/C(σ/2) - 1| of the median sample is at most `TOLERANCE`, and that sample's MRD(σ/2) is still `MARGIN`
times the round-off. The median, because a ranking weighs all samples alike and one that is known by heart has a ratio
of its own. Both sides see the same draws, scaled, so two pairs tell them apart.

The round-off is what the antithetic value comes to when the noise is as small as the weights' own rounding: its
curvature then is far below anything that could be seen, and what is left, root mean square over the pairs, is noise of
the arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.scorers.change import relative_change
from unlearnkit.seeds import derive

if TYPE_CHECKING:
    from unlearnkit.contracts import Batch, Bench

START = 0.032
HALVINGS = 16
TOLERANCE = 0.1
MARGIN = 10
PAIRS = 2
SAMPLES = 5


@dataclass(frozen=True)
class Step:
    """One width on the way down: the median sample's MRD at `sigma` and at half of it, and how C changes between."""

    sigma: float
    signal: float
    half: float
    ratio: float
    deviation: float

    @property
    def curvature(self) -> float:
        return self.signal / self.sigma**2

    def clear(self, floor: float) -> bool:
        """Whether what is compared stands out of the round-off."""
        return self.half >= MARGIN * floor and self.half > 0

    @property
    def quadratic(self) -> bool:
        return self.deviation <= TOLERANCE


class Calibration:
    """A bench's few samples, spread evenly over the lengths, and what noise does to them."""

    def __init__(self, bench: Bench, eps: float) -> None:
        self._bench, self._eps = bench, eps
        self._batches = _spread(bench)
        self._seed = derive(bench.seed, "calibrate")

    def pairs(self, sigma: float) -> np.ndarray:
        """Antithetic values (S⁺ + S⁻)/2 of each sample, [pairs, samples]. Weights are as before when it returns."""
        from unlearnkit.scorers.noise import NoisyWeights

        bench, sums = self._bench, []
        for batch in self._batches:  # before any noise is on the weights
            bench.base(batch)
        weights = NoisyWeights(bench.model, self._seed, sigma)
        try:
            for draw, sign in ((k, sign) for k in range(PAIRS) for sign in (1, -1)):
                weights.set(draw, sign)
                sums.append(np.concatenate([relative_change(bench, batch, self._eps)[:, 0] for batch in self._batches]))
        finally:
            weights.restore()
        return np.asarray(np.stack(sums).reshape(PAIRS, 2, -1).mean(axis=1))

    def signal(self, sigma: float) -> np.ndarray:
        """MRD of each sample, [samples]."""
        return np.asarray(np.abs(self.pairs(sigma).mean(axis=0)))

    def floor(self) -> float:
        """Round-off in one pair's value, of the median sample."""
        return float(np.median(np.sqrt((self.pairs(_rounding(self._bench)) ** 2).mean(axis=0))))

    def walk(self, floor: float) -> list[Step]:
        """Halve σ until it is quadratic, or can no longer be told from round-off."""
        steps: list[Step] = []
        signal = self.signal(START)
        for sigma in START * 0.5 ** np.arange(HALVINGS):
            half = self.signal(sigma / 2)
            steps.append(_step(float(sigma), signal, half))
            signal = half
            if steps[-1].quadratic or steps[-1].half < MARGIN * floor:
                break
        return steps


def choose_sigma(calibration: Calibration) -> dict[str, Any]:
    """The widest noise whose MRD is quadratic and clear of round-off, and what was seen on the way, as JSON has it.

    `check` is "quadratic" where there is such a width. Where not, it is "not quadratic" and σ the clear one that comes
    nearest, or "round-off" and σ the one whose signal is largest, because nothing was clear.
    """
    floor = calibration.floor()
    steps = calibration.walk(floor)
    clear = [step for step in steps if step.clear(floor) and np.isfinite(step.deviation)]
    if clear:
        chosen = min(clear, key=lambda step: step.deviation)
        check = "quadratic" if chosen.quadratic else "not quadratic"
    else:
        chosen = max(steps, key=lambda step: step.signal if np.isfinite(step.signal) else -1.0)
        check = "round-off"
    return {
        "sigma": chosen.sigma,
        "check": check,
        "ratio": _number(chosen.ratio),
        "deviation": _number(chosen.deviation),
        "walked": [{"sigma": s.sigma, "curvature": _number(s.curvature), "ratio": _number(s.ratio)} for s in steps],
        **beside(chosen.signal, floor),
    }


def beside(signal: float, floor: float) -> Mapping[str, float | None]:
    """A median sample's value beside the round-off in it."""
    return {
        "signal": _number(signal),
        "floor": _number(floor),
        "signal_to_floor": _number(signal / floor) if floor else None,
    }


def _step(sigma: float, signal: np.ndarray, half: np.ndarray) -> Step:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = signal / half / 4
    return Step(
        sigma=sigma,
        signal=float(np.median(signal)),
        half=float(np.median(half)),
        ratio=float(np.median(ratios)),
        deviation=float(np.median(np.abs(ratios - 1))),
    )


def _spread(bench: Bench) -> list[Batch]:
    """Up to `SAMPLES` samples at even distances in the plan's order, which is that of lengths, each by itself."""
    places = [(batch, i) for shard in bench.shards for batch in shard for i in range(len(batch))]
    chosen = np.unique(np.linspace(0, len(places) - 1, SAMPLES).round().astype(int))
    return [
        replace(
            batch,
            ids=batch.ids[i : i + 1],
            mask=batch.mask[i : i + 1],
            labels=batch.labels[i : i + 1],
            rows=batch.rows[i : i + 1],
        )
        for batch, i in (places[place] for place in chosen)
    ]


def _rounding(bench: Bench) -> float:
    """The rounding error of a typical weight: its dtype's relative precision times the weights' root mean square."""
    import torch

    weights = list(bench.model.parameters())
    square = sum(float(w.detach().float().square().sum()) for w in weights) / sum(w.numel() for w in weights)
    return float(torch.finfo(weights[0].dtype).eps * square**0.5)


def _number(value: float) -> float | None:
    """A figure as JSON has it, which knows no infinity and no NaN."""
    return value if np.isfinite(value) else None
