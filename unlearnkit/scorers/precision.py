"""Scoring in half precision: what of the noise arrives there, and how it is refused or forced.

A bfloat16 weight has 8 bits: noise of σ = 1e-4 leaves half of SmolLM2's weights as they are, and a forward pass rounds
off more than a second-order difference is worth. So difficulty is measured in float32 whatever the checkpoint's dtype,
and anything else has to be forced.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from unlearnkit.errors import UnlearnkitError

if TYPE_CHECKING:
    from unlearnkit.contracts import Bench


def in_precision(bench: Bench, precision: str) -> Bench:
    """The bench itself in float32, else one over a copy of its model with the weights in that dtype.

    Buffers stay as they are: that is how a half-precision checkpoint is run, rotary frequencies in float32."""
    import torch

    if precision == "float32":
        return bench
    model = copy.deepcopy(bench.model)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(getattr(torch, precision))
    return bench.over(model)


def arriving(bench: Bench, sigma: float) -> float:
    """The share of the weights that the first draw's noise changes in the dtype that the model is in."""
    from unlearnkit.scorers.noise import NoisyWeights

    weights = NoisyWeights(bench.model, bench.seed, sigma)
    try:
        weights.set(0, 1)
        return weights.moved()
    finally:
        weights.restore()


def refuse(precision: str, sigma: float, changed: float) -> UnlearnkitError:
    """Why difficulty is not measured in that precision unless that is forced."""
    return UnlearnkitError(
        f"{precision} is too coarse: at sigma={sigma:g} a draw's noise changes {changed:.1%} of the weights, and a "
        "forward pass rounds off more than the difference that is measured",
        hint="-o precision=float32 measures the same model in full precision; -o force=true does it all the same",
        code="precision",
    )
