"""The ground truth of difficulty: how many updates each sample of a forget set took in a run that was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unlearnkit.analysis.forgetting import updates_to_forget
from unlearnkit.errors import BadInput, NotFound
from unlearnkit.runs.thresholds import FORGOTTEN, evaluation, thresholds

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import records


AGAIN = "unlearnkit unlearn --model MODEL --forget DATA --retain DATA --probe-every 5"


@dataclass(frozen=True)
class Forgotten:
    """Updates to forget of one run, [n] over samples: infinite for one that never was, NaN for one never looked at.

    A sample counts as forgotten from `low` … `high` nats per label token on, by the NLL of the evaluation `reference`
    where there is one. `last` is the number of updates at which the run was looked at last, `sweeps` how often the
    whole set was; in between a sample is seen when it is trained on."""

    run: records.Run
    updates: np.ndarray
    low: float
    high: float
    reference: str | None
    last: int
    sweeps: int

    @property
    def method(self) -> str:
        """Algorithm, and sampler where it is not the usual one."""
        return method_name(self.run)

    @property
    def never(self) -> int:
        return int(np.isposinf(self.updates).sum())

    @property
    def unknown_before(self) -> int:
        """Samples that had reached their threshold before the first update."""
        return int((self.updates == 0).sum())


def method_name(run: records.Run) -> str:
    """The algorithm of an unlearning run, and its sampler where it is not the usual one."""
    sampler = run.config.get("sampler", "uniform")
    return run.method if sampler == "uniform" else f"{run.method}, {sampler}"


def choose_runs(place: Workplace, refs: Sequence[str]) -> tuple[list[records.Run], int]:
    """The unlearning runs that were named; else all complete ones with NLLs of their samples on the way, oldest first.

    Without names, runs whose order was drawn by scores are left out and counted: they take what a scorer prefers
    first, and would make it come true.

    Raises:
        NotFound: code `probes`, where there is none.
        BadInput: a named run did not unlearn, or is not complete.
    """
    store = place.reading()
    if refs:
        runs = [store.run(ref) for ref in dict.fromkeys(refs)]
        for run in runs:
            if run.kind != "unlearn" or run.state != "complete":
                raise BadInput(f"run {run.id} is no complete unlearning: it is {run.kind}, {run.status}", code="run")
    else:
        runs = store.runs(kind="unlearn", state="complete")[::-1]
    looked_at = [run for run in runs if store.probed(run.id)]
    if refs and len(looked_at) < len(runs):
        missing = next(run for run in runs if run not in looked_at)
        raise NotFound(f"run {missing.id} has no NLLs of its samples on the way", hint=AGAIN, code="probes")
    fair = [run for run in looked_at if refs or not _drawn_by_scores(place, run)]
    if fair:
        return fair, len(looked_at) - len(fair)
    if looked_at:
        raise NotFound(
            f"the order of all {len(looked_at)} unlearning runs was drawn by scores, which come true by that",
            hint="unlearnkit unlearn --sampler uniform …; or name the runs with --runs",
            code="probes",
        )
    raise NotFound(
        "no unlearning run in the store has NLLs of its samples on the way",
        hint=AGAIN,
        code="probes",
    )


def _drawn_by_scores(place: Workplace, run: records.Run) -> bool:
    order = place.reading().order(run.id, 0)
    return order is not None and order.scores is not None


def forgotten(
    place: Workplace, run: records.Run, samples: Sequence[str], *, value: float | None, reference: str | None
) -> Forgotten:
    """Updates to forget of a run's samples.

    Args:
        value: nats per label token from which on a sample counts as forgotten.
        reference: evaluation of a model that never saw the set; where neither is given, the run's own or that of an
            evaluation of its model, else the run's own threshold.
    """
    store = place.reading()
    if value is None and reference is None:
        reference = _own_reference(place, run)
    if reference is not None:
        reference = evaluation(store, reference).id
    usual = run.config.get("threshold", FORGOTTEN)
    limits = thresholds(store, samples, value=usual if value is None else value, reference=reference)
    probes = store.probes(run.id)
    seen = ((probe.updates, probe.sample, probe.nll) for probe in probes)
    found = updates_to_forget(seen, dict(zip(samples, limits.tolist(), strict=True)))
    updates = np.array(list(found.values()))
    return Forgotten(
        run=run,
        updates=updates,
        low=float(limits.min()),
        high=float(limits.max()),
        reference=reference,
        last=max(probe.updates for probe in probes),
        sweeps=len({probe.updates for probe in probes if probe.swept}),
    )


def _own_reference(place: Workplace, run: records.Run) -> str | None:
    """The evaluation that a run, or an evaluation of its model, was held against, where it still is in the store."""
    store = place.reading()
    known = {found.id for found in store.runs(kind="eval", state="complete")}
    named = [run.config.get("reference")]
    for found in store.runs(kind="eval", state="complete", model=run.summary.get("model", "")):
        named += [row.reference for row in store.aggregates(found.id)]
    return next((reference for reference in named if reference in known), None)
