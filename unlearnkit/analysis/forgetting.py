"""How long each sample took to be forgotten, from its NLLs on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np


def updates_to_forget(seen: Iterable[tuple[int, str, float | None]], limits: Mapping[str, float]) -> dict[str, float]:
    """For each sample of `limits`, the first number of updates at which its NLL was seen to reach its limit.

    Args:
        seen: (updates, sample, mean NLL in nats per label token), in any order; an NLL of None was not finite and says
            nothing.
        limits: sample to the NLL from which on it counts as forgotten.

    Infinite for a sample that was seen and never reached it: it is later than all others, by how much is not known. NaN
    for one that was never seen. 0 means that the model did not know it when unlearning began.
    """
    found = dict.fromkeys(limits, np.nan)
    for updates, sample, nll in seen:
        if nll is not None and sample in limits:
            reached = float(updates) if nll >= limits[sample] else np.inf
            found[sample] = float(np.fmin(found[sample], reached))
    return found
