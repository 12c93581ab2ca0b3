"""How much of a scoring run is in the store, and how many passes the rest takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from unlearnkit.contracts import Settled
from unlearnkit.runs.dry.plan import Stage
from unlearnkit.runs.score import ScoreTask, series_of, settled
from unlearnkit.scoring import Ledger

if TYPE_CHECKING:
    from unlearnkit.contracts import Unit
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store

BASE = (-1, 0)
"""Draw and sign of what is measured under the weights as they are."""


def score_stage(place: Workplace, store: Store | None, task: ScoreTask, name: str = "scores") -> Stage:
    """The pieces of a task: one draw over one shard each.

    A piece looks once at each batch of its shard, and draws need the unperturbed values too, which are measured again
    where they come from the store. At least that: a scorer may do more with a batch, want more draws when it has seen
    these, or choose an option first."""
    scorer = task.scorer
    chosen = None if store is None and scorer.unsettled else Settled({}) if store is None else settled(place, task)
    if chosen is None:
        note = f"{', '.join(scorer.unsettled)} would be chosen first, by passes that are not counted"
        wanted: Sequence[Unit] = list(scorer.units(len(task.work.plan), {}))
        missing = wanted
    else:
        note = ""
        scorer = replace(scorer, **chosen.options)  # type: ignore[type-var]
        if store is None:
            wanted = missing = list(scorer.units(len(task.work.plan), {}))
        else:
            ledger = Ledger(store, series_of(place, task, scorer), scorer, len(task.work.plan))
            wanted, missing = ledger.wanted(), ledger.missing()
    stage = Stage(name, "pieces", len(wanted), len(wanted) - len(missing), note=note)
    if not scorer.reads_model:
        return stage
    looked = [unit.shard for unit in missing] + _again(missing)
    plan, items = task.work.plan, task.work.encoded
    rows = [[row for batch in shard for row in batch] for shard in plan]
    tokens = [sum(len(items[row]) for row in some) for some in rows]
    return replace(
        stage,
        forward=sum(len(plan[shard]) for shard in looked),
        texts=sum(len(rows[shard]) for shard in looked),
        tokens=sum(tokens[shard] for shard in looked),
        bound="least",
    )


def _again(missing: Sequence[Unit]) -> list[int]:
    """Shards with draws to make whose unperturbed values are in the store, and in memory no more."""
    drawn = {unit.shard for unit in missing if (unit.draw, unit.sign) != BASE}
    return sorted(drawn - {unit.shard for unit in missing if (unit.draw, unit.sign) == BASE})
