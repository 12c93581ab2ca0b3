"""A log's rows as stored values, by our own metrics: computed from its losses where it has them, else as it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from unlearnkit.contracts import Metric, Probe, Sample, TokenScores, Undefined
from unlearnkit.evaluating import measured
from unlearnkit.runs.imported.files import Value
from unlearnkit.runs.imported.log import Losses, Row
from unlearnkit.store.records import Result
from unlearnkit.suites import Use

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

BY_LOSS = ("probability", "probability_options", "truth_ratio")
"""Metrics that read nothing of a text but its mean NLL."""


def values_of(place: Workplace, split: str, use: Use, rows: Sequence[Row], samples: Sequence[Sample]) -> list[Result]:
    """A metric's values of a split's rows, [≤ n]; what the log does not say of a row is left out."""
    metric: Metric = place.plugins.build("metric", use.plugin, use.options)
    computed = _computed(use, metric, split, rows, samples) if use.plugin in BY_LOSS else {}
    found = []
    for row, sample in zip(rows, samples, strict=True):
        if sample.id in computed:
            found.append(computed[sample.id])
        elif (value := row.values.get(use.name)) is not None:
            why = value.reason if isinstance(value, Undefined) else "ok"
            found.append(Result(split, use.name, sample.id, None if isinstance(value, Undefined) else value, why))
    return found


def _computed(
    use: Use, metric: Metric, split: str, rows: Sequence[Row], samples: Sequence[Sample]
) -> dict[str, Result]:
    """Values by sample, of the rows that have the losses."""
    others = "wrong" in metric.needs
    having = [
        (row, sample)
        for row, sample in zip(rows, samples, strict=True)
        if (row.losses.answer is not None or (others and row.losses.paraphrases)) and (row.losses.wrong or not others)
    ]
    broken = [(row, sample) for row, sample in having if _nonfinite(row.losses)]
    whole = [(row, sample) for row, sample in having if not _nonfinite(row.losses)]
    probe = Probe(
        samples=[sample for _, sample in whole],
        answer=[_text(row.losses.answer) for row, _ in whole],
        paraphrases=[[_text(loss) for loss in row.losses.paraphrases] for row, _ in whole],
        wrong=[[_text(loss) for loss in row.losses.wrong] for row, _ in whole],
    )
    found = {result.sample: result for result in measured(use.name, metric, split, probe)}
    return found | {s.id: Result(split, use.name, s.id, None, "nonfinite") for _, s in broken}


def _nonfinite(losses: Losses) -> bool:
    return any(isinstance(loss, Undefined) for loss in (losses.answer, *losses.paraphrases, *losses.wrong))


def _text(loss: Value | None) -> TokenScores:
    """A text of one token that has this mean NLL, nats; without a loss, one of no token."""
    assert not isinstance(loss, Undefined)
    logprobs = np.array([] if loss is None else [-loss])
    return TokenScores(logprobs, np.zeros(len(logprobs), dtype=bool))
