"""Whether a choice of samples changes which method looks best: rankings on parts of a set, and on parts by chance.

Two parts of a set never agree wholly: each is a small sample of its own. So the agreement between parts that difficulty
made is held against that between parts of the same sizes made at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from unlearnkit.analysis.correlation import kendall

DRAWS = 1000


@dataclass(frozen=True)
class Agreement:
    """Kendall's τ_b of the rankings of methods on two parts, named by their index; −1 is the whole.

    `by_chance` is its mean over random parts, `as_low` the share of parts that agree as little or less, these and n
    random ones: (k + 1) / (n + 1), as a permutation test has it (Phipson and Smyth, 2010). None where all methods tie
    on a part."""

    one: int
    other: int
    tau: float | None
    by_chance: float | None = None
    as_low: float | None = None


def agreements(figures: np.ndarray) -> list[Agreement]:
    """Of every two columns of `figures` [methods, parts], which are about different samples."""
    pairs = combinations(range(figures.shape[1]), 2)
    return [Agreement(a, b, _defined(kendall(figures[:, a], figures[:, b]))) for a, b in pairs]


def agreements_by_chance(values: np.ndarray, parts: Sequence[np.ndarray], seed: int = 0) -> list[Agreement]:
    """Of every two parts, and of each with the whole, beside random parts of the same sizes.

    Args:
        values: what is averaged, [methods, n].
        parts: indices of the samples of each part; together each sample once.
    """
    rng = np.random.default_rng(seed)
    mixed = rng.permuted(np.tile(np.arange(values.shape[1]), (DRAWS, 1)), axis=1)
    cuts = np.cumsum([len(part) for part in parts])[:-1]
    whole = values.mean(axis=1)
    observed = [*(values[:, part].mean(axis=1) for part in parts), whole]
    random = [values[:, some].mean(axis=-1).T for some in np.split(mixed, cuts, axis=1)]
    random.append(np.broadcast_to(whole, (DRAWS, len(whole))))
    found = []
    for a, b in combinations(range(len(observed)), 2):
        tau, chance = float(kendall(observed[a], observed[b])), kendall(random[a], random[b])
        defined = chance[~np.isnan(chance)]
        name = -1 if b == len(parts) else b
        if np.isnan(tau) or len(defined) == 0:
            found.append(Agreement(a, name, None))
        else:
            as_low = ((defined <= tau + 1e-12).sum() + 1) / (len(defined) + 1)
            found.append(Agreement(a, name, tau, float(defined.mean()), float(as_low)))
    return found


def _defined(value: np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)
