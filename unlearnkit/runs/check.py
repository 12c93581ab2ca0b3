"""`store check`: the store's own look at itself, and every score derived again from its draws."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unlearnkit.errors import UnlearnkitError
from unlearnkit.store.records import Finding, Run, ScoreRow

if TYPE_CHECKING:
    from unlearnkit.contracts import Scorer
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store


def check(place: Workplace, *, full: bool = False) -> list[Finding]:
    """All that is wrong with the store, which is opened for reading only. `full` also reduces the draws of every
    complete score run again and holds the outcome against the scores that are stored.

    Raises:
        UnlearnkitError: the store cannot be opened; code `store-older` where it has an older schema.
    """
    from unlearnkit.store import Store

    with Store.open(place.settings.store, readonly=True) as store:
        found = store.check(full=full)
        for run in store.runs(kind="score", state="complete") if full else ():
            found += _scores(place, store, run)
    return found


def _scores(place: Workplace, store: Store, run: Run) -> Iterator[Finding]:
    """Scores of a run that are not what its draws give."""
    from unlearnkit.scoring import Ledger

    plan = run.config.get("shards")
    if run.series is None or plan is None:
        yield Finding("scores", f"run {run.id} did not record its plan: its scores were not checked", harmless=True)
        return
    try:
        options = run.config["options"] | run.config.get("settled", {})
        scorer: Scorer = place.plugins.build("scorer", run.method, options)
        scores = Ledger(store, run.series, scorer, len(plan)).outcome().scores
    except (UnlearnkitError, KeyError) as error:  # no such plugin now, or a block that is altered or gone
        reason = error.message if isinstance(error, UnlearnkitError) else "draws are missing"
        yield Finding("scores", f"run {run.id}: its scores cannot be derived again: {reason}")
        return
    stored = store.scores(run.id)
    samples = [sample for shard in plan for sample in shard]
    for sample, score in zip(samples, scores, strict=True):
        row = ScoreRow(sample, score.value, score.stderr, score.n, score.status, score.clamped, score.details)
        if sample not in stored or not _same(stored[sample], row):
            yield Finding("scores", f"run {run.id}: the score of sample {sample[:12]}… is not what its draws give")
    if extra := set(stored) - set(samples):
        yield Finding("scores", f"run {run.id} has {len(extra)} scores of samples that it did not measure")


def _same(a: ScoreRow, b: ScoreRow) -> bool:
    """Equal but for the order in which another machine may add."""
    return (a.n, a.status, a.clamped, a.details.keys()) == (b.n, b.status, b.clamped, b.details.keys()) and all(
        x == y or (x is not None and y is not None and math.isclose(x, y, rel_tol=1e-9))
        for x, y in ((a.value, b.value), (a.stderr, b.stderr), *((a.details[k], b.details[k]) for k in a.details))
    )
