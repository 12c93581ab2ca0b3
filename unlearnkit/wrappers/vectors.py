"""Gradients as vectors over all parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable

from unlearnkit.contracts import Gradient, Gradients


def scaled(gradient: Gradient, by: float) -> Gradient:
    return [tensor * by for tensor in gradient]


def plus(one: Gradient, other: Gradient, weight: float = 1.0) -> Gradient:
    """one + weight · other."""
    return [a.add(b, alpha=weight) for a, b in zip(one, other, strict=True)]


def total(gradients: Iterable[Gradient]) -> Gradient:
    """The sum of one or more."""
    first, *others = gradients
    for other in others:
        first = plus(first, other)
    return first


def averaged(gradients: Gradients, key: str, newest: Gradient, beta: float) -> Gradient:
    """The exponential average β · before + (1 - β) · newest of the steps so far, from 0 on, kept under `key`."""
    average = scaled(newest, 1 - beta)
    if key in gradients.state:
        average = plus(average, gradients.state[key], beta)
    gradients.state[key] = average
    return average


NOISE = 1e-6
"""Of a length that counts, a length that rounding may have made."""


def unit(gradients: Gradients, gradient: Gradient, beside: float = 0.0) -> Gradient:
    """The gradient at length 1. One that is no longer than what rounding leaves of something of length `beside` has no
    direction, and stays as it is."""
    length = norm(gradients, gradient)
    return scaled(gradient, 1 / length) if length > NOISE * beside else gradient


def norm(gradients: Gradients, gradient: Gradient) -> float:
    return math.sqrt(gradients.dot(gradient, gradient))
