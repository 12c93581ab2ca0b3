"""From scores to draws: what samplers that go by a score share."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from unlearnkit.errors import UnlearnkitError

if TYPE_CHECKING:
    from numpy.random import Generator

CLIPPED = 99.9
"""Percentile at which weights are cut off: a ratio over almost nothing must not own the draw. With fewer than a
thousand samples it is the largest weight, and nothing is cut."""


def ranked(scores: np.ndarray | None, rng: Generator) -> np.ndarray:
    """Indices from the lowest score to the highest, equal ones in random order, samples without a score as the mean
    sample. Raises and warns as `_known` does."""
    known = _known(scores)
    filled = np.where(np.isnan(known), np.nanmean(known), known)
    return np.lexsort((rng.random(len(known)), filled))


def weights(scores: np.ndarray | None, power: float = 1.0) -> np.ndarray:
    """Probabilities in proportion to score^power, [n]: clipped at the 99.9th percentile, a sample without a score as
    the mean sample, and with a negative power a score of 0 as the smallest above it. Raises and warns as `_known` does.
    """
    known = _known(scores)
    if power < 0:
        known = np.maximum(known, known[known > 0].min())
    # Against the score of the largest weight, so that no weight is above 1; those next to nothing may round to 0.
    with np.errstate(over="ignore"):
        raised = (known / (np.nanmax(known) if power > 0 else np.nanmin(known))) ** power
    clipped = np.minimum(raised, np.nanpercentile(raised, CLIPPED, method="higher"))
    filled = np.where(np.isnan(clipped), np.nanmean(clipped), clipped)
    probabilities: np.ndarray = filled / filled.sum()
    return probabilities


def _known(scores: np.ndarray | None) -> np.ndarray:
    """The scores, NaN where a sample has none; ones where all are equal and so tell nothing apart, with a warning.

    Raises:
        UnlearnkitError: code "scores": no sample has a score.
    """
    if scores is None or np.isnan(scores).all():
        raise UnlearnkitError("no forget sample has a score to be drawn by", code="scores")
    if np.nanmin(scores) == np.nanmax(scores):
        warnings.warn("all scores are equal: forget samples are drawn uniformly", stacklevel=4)
        return np.ones(len(scores))
    return scores


def shuffled(weight: np.ndarray, rng: Generator) -> np.ndarray:
    """All indices once, each next one drawn from the rest in proportion to its weight; those of weight 0 come last.

    Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006: exponential waiting times.
    """
    with np.errstate(divide="ignore"):
        waiting = rng.exponential(size=len(weight)) / weight
    return np.lexsort((rng.random(len(weight)), waiting))


def rounds(members: np.ndarray, size: int, rng: Generator, weight: np.ndarray | None = None) -> np.ndarray:
    """`size` draws from `members`, in rounds that have each of them once: none is seen twice more than another.

    `weight` [members] makes heavy ones come first in a round, and so more often in one that is cut short."""
    even = np.ones(len(members)) if weight is None else weight
    count = -(-size // len(members))
    return np.concatenate([members[shuffled(even, rng)] for _ in range(count)])[:size]
