"""How the NLL of the samples that a run looked at has changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearnkit.store.records import ProbeRow


def first_and_last(probes: Sequence[ProbeRow], samples: Collection[str]) -> tuple[float, float] | None:
    """The mean NLL per token of the samples that were seen more than once, at first and at last, nats; None where there
    are none."""
    seen: dict[str, list[float]] = {}
    for row in probes:
        if row.sample in samples and row.nll is not None:
            seen.setdefault(row.sample, []).append(row.nll)
    again = [nlls for nlls in seen.values() if len(nlls) > 1]
    return (fmean(nlls[0] for nlls in again), fmean(nlls[-1] for nlls in again)) if again else None
