"""From which NLL on a sample counts as forgotten: what a model says of it that never saw it, or a fixed number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from unlearnkit.errors import BadInput

if TYPE_CHECKING:
    from unlearnkit.store import Store, records

FORGOTTEN = 2.0
"""Mean NLL, nats per label token, where nothing better is known."""


def thresholds(
    store: Store | None, samples: Sequence[str], *, value: float = FORGOTTEN, reference: str | None = None
) -> np.ndarray:
    """The mean NLL of each sample from which on it counts as forgotten, nats per label token, [n].

    Args:
        store: where the reference is; without one, none is needed.
        samples: ids.
        value: for every sample that the reference does not know.
        reference: a complete evaluation, or a run whose model has one, of a model that never saw the samples: −ln p of
            its `probability` p, which is exp(−NLL / tokens).

    Raises:
        NotFound, BadInput: no such run, or it says nothing of any of the samples (code `reference`).
    """
    if store is None or reference is None:
        return np.full(len(samples), value)
    run = evaluation(store, reference)
    known = {
        result.sample: result.value
        for result in store.results(run.id)
        if (result.split, result.metric) == ("forget", "probability") and result.value is not None
    }
    if not known.keys() & set(samples):
        raise BadInput(
            f"evaluation {run.id} holds no probability of any of these samples",
            hint="evaluate the reference with --forget on the same data",
            code="reference",
        )
    with np.errstate(divide="ignore"):  # a probability that underflowed is never reached
        return np.array([-np.log(known[sample]) if sample in known else value for sample in samples])


def evaluation(store: Store, reference: str) -> records.Run:
    """The evaluation that was named, or the newest complete one of the named run's model. Raises what `thresholds` does
    where there is none."""
    return evaluations(store, reference)[0]


def evaluations(store: Store, reference: str) -> list[records.Run]:
    """The evaluation that was named, or all complete ones of the named run's model, newest first; at least one. Raises
    what `thresholds` does where there is none."""
    run = store.run(reference)
    model = run.summary.get("model", "")
    found = [run] if run.kind == "eval" else store.runs(kind="eval", state="complete", model=model)
    if found and found[0].state == "complete":
        return found
    raise BadInput(
        f"run {run.id} has no complete evaluation",
        hint="unlearnkit eval RUN --forget DATA",
        code="reference",
    )
