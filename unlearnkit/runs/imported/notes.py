"""What is worth a line about a log that was taken: what it says and its rows do not, and what was left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from unlearnkit.data.samples import SampleSet
from unlearnkit.runs.evaluate import EvalReport
from unlearnkit.runs.imported.log import Log

CLAIM, ROUNDING = 1e-3, 1e-9
"""By how much, of the value itself or about 0, a number of a log may differ from what its rows give before it is
said."""


def contradicted(log: Log, report: EvalReport) -> Iterator[str]:
    """Figures and aggregates that a log gives and its rows do not."""
    for name, claim in log.claims.items():
        aggregate = report.aggregates.get(name)
        found = aggregate or report.metrics.get(name)
        if found is None or found.value is None or not isinstance(claim, float):
            continue
        if not math.isclose(found.value, claim, rel_tol=CLAIM, abs_tol=ROUNDING):
            against = f" against run {aggregate.reference}" if aggregate and aggregate.reference else ""
            yield f"{name}: the log says {claim:.4g}, its {found.n} rows {found.value:.4g}{against}, which is taken"


def not_taken(log: Log) -> Iterator[str]:
    """Numbers of a log that have no rows or no counterpart here."""
    if log.left:
        names = ", ".join(f"{name:.60}" for name in log.left)
        yield f"not taken, as without rows or without a counterpart here: {names}"


def partly(log: Log, data: Mapping[str, SampleSet]) -> Iterator[str]:
    """Data of which a log has only some rows: those that were evaluated, or others that begin alike."""
    for split, rows in log.splits.items():
        chosen = data.get(split)
        if chosen is not None and len(rows) < len(chosen.samples):
            by = "texts" if all(row.prompt is not None and row.answer is not None for row in rows) else "place"
            yield f"{split}: the log has {len(rows)} of the {len(chosen.samples)} rows of {chosen.label}, by their {by}"
