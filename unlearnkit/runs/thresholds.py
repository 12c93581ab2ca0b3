"""From which NLL on a sample counts as forgotten: what a model says of it that never saw it, or a fixed number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.errors import BadInput, NotFound
from unlearnkit.runs.alike import alike
from unlearnkit.runs.evaluate import is_run, prepared, same_asked

if TYPE_CHECKING:
    from unlearnkit.data.samples import DataSpec
    from unlearnkit.runs.evaluate import EvalTask, Prepared
    from unlearnkit.runs.watching import Evaluation
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store, records

FORGOTTEN = 2.0
"""Mean NLL, nats per label token, where nothing better is known."""
TOLD_BY = ("forget", "probability")
"""What an evaluation says it by: a split's metric."""


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
    known = _known(store, run)
    if not known.keys() & set(samples):
        raise _nothing(f"evaluation {run.id} holds")
    with np.errstate(divide="ignore"):  # a probability that underflowed is never reached
        return np.array([-np.log(known[sample]) if sample in known else value for sample in samples])


def _known(store: Store, run: records.Run) -> dict[str, float]:
    return {
        result.sample: result.value
        for result in store.results(run.id)
        if (result.split, result.metric) == TOLD_BY and result.value is not None
    }


def _nothing(evaluation: str) -> BadInput:
    return BadInput(
        f"{evaluation} no probability of any of these samples",
        hint="evaluate the reference with --forget on the same data",
        code="reference",
    )


def source_of(
    place: Workplace, reference: str | None, curve: Evaluation | None, forget: DataSpec, samples: Sequence[str],
    **asked: Any,
) -> tuple[records.Run | None, Prepared | None]:  # fmt: skip
    """The evaluation that a run takes its samples' thresholds from; or, where the model that was named has none, the
    one that is to be made first. It is the one that evaluations on the way are held against, where there are such.

    Args:
        reference: as `evaluate.named_reference` has it.
        asked: further arguments of `evaluate`.

    Raises:
        UnlearnkitError: what `evaluation` and `evaluate` do; code `reference`, where one that is to be made would say
            nothing of any of the samples.
    """
    if curve is not None:
        run, first = curve.task.against, curve.reference
    elif reference is not None:
        run, first = _alone(place, reference, forget, **asked)
    else:
        run, first = None, None
    if first is not None:
        _check_tells(first.task, samples)
    return run, first


def _alone(
    place: Workplace, reference: str, forget: DataSpec, **asked: Any
) -> tuple[records.Run | None, Prepared | None]:
    """Where thresholds are all that a reference is for: the evaluation that was named, or the model's first that asked
    the forget set the same, and by the same definition; or one of that set alone."""
    if is_run(reference) and not reference.startswith("run:"):
        return evaluation(place.reading(), reference), None
    first = prepared(place, model=reference, data={"forget": forget}, **asked)
    try:
        store = place.reading()
    except NotFound:  # there is none yet
        return None, first
    measured = first.task.measured(place)
    for run in reversed(store.runs(kind="eval", state="complete", model=first.source.fingerprint)):
        if same_asked(run, first.task.inputs) and TOLD_BY in alike(place, measured, run, first.task.metrics):
            return run, None
    return None, first


def _check_tells(task: EvalTask, samples: Sequence[str]) -> None:
    """See that an evaluation will hold the probability of some of the samples."""
    told = task.inputs.sets["forget"].samples if TOLD_BY in task.metrics else ()
    if not {sample.id for sample in told} & set(samples):
        raise _nothing(f"an evaluation by {task.suite.name} would hold")


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
