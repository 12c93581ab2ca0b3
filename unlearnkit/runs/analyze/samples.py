"""`analyze samples`: what hard and easy samples look like, in every other measure and in their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.analysis.estimates import Estimate, correlate, resamples
from unlearnkit.data.samples import DataSpec
from unlearnkit.runs.analyze.difficulty import flat
from unlearnkit.runs.inputs import find_model, read_set
from unlearnkit.runs.scored import Scored, all_scored, bins, choose_scored

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

TOKENS = "label tokens"


@dataclass(frozen=True)
class Feature:
    """A measure against the scores: Spearman's ρ over `n` samples, and its median in the lowest and highest third."""

    name: str
    n: int
    rho: Estimate
    given_length: Estimate
    lowest: float | None
    highest: float | None

    def json(self) -> dict[str, Any]:
        return {
            "feature": self.name, "n": self.n, **flat("rho", self.rho), **flat("given_length", self.given_length),
            "lowest_third": self.lowest, "highest_third": self.highest,
        }  # fmt: skip


@dataclass(frozen=True)
class Described:
    """A sample with its score and features. Texts are None where neither the store nor the data have them."""

    sample: str
    third: str
    value: float
    prompt: str | None
    answer: str | None
    features: Mapping[str, float | None]

    def json(self) -> dict[str, Any]:
        return {**vars(self), "features": dict(self.features)}


@dataclass(frozen=True)
class SamplesReport:
    """Features by the strength of their ρ, and all samples that have a score, from the lowest to the highest."""

    scored: Scored
    model: str
    label: str
    features: Sequence[Feature]
    samples: Sequence[Described]

    @property
    def with_text(self) -> int:
        return sum(sample.answer is not None for sample in self.samples)

    def json(self) -> dict[str, Any]:
        return {
            "run": self.scored.run.id,
            "scorer": self.scored.name,
            "high_means": self.scored.high_means,
            "model": self.model,
            "data": self.label,
            "features": [feature.json() for feature in self.features],
            "samples": [sample.json() for sample in self.samples],
        }


def samples(
    place: Workplace,
    *,
    by: str = "mrd",
    scores: str | None = None,
    model: str | None = None,
    data: DataSpec | None = None,
    seed: int = 0,
) -> SamplesReport:
    """Hold a set's scores against every other measure that the store has of it.

    Args:
        by, scores, model: the scores: a run, or the most reliable of a scorer, of a model where one is named.
        data: where texts are read that the store does not hold; found by content, whatever else is in there.
        seed: of the resamples behind the intervals.

    Raises:
        NotFound: code `scores`; BadInput: a run without scores.
    """
    texts = {} if data is None else {s.id: (s.prompt, s.answer) for s in read_set(place, data).samples}
    weights = None if model is None else find_model(place, model).fingerprint
    chosen = choose_scored(place, by=by, run=scores, weights=weights, data=texts)
    store = place.reading()
    about = chosen.run.datasets.get("data") or chosen.run.datasets["forget"]
    rows = {row.sample: row for row in store.rows(about) if row.sample in chosen.defined}
    ids = list(rows)
    tokens = np.array([np.nan if row.tokens is None else float(row.tokens) for row in rows.values()])
    others = [s for s in all_scored(place, chosen.run.model, ids) if s.name != chosen.name]
    columns = {TOKENS: tokens, **{s.name: s.array(ids) for s in others}}
    values, counts = chosen.array(ids), resamples(len(ids), seed=seed)
    parts = bins(chosen.defined, 3)
    index = {sample: i for i, sample in enumerate(ids)}
    features = []
    for name, column in columns.items():
        (found,) = correlate(column, values[None], np.ones((1, 1)), tokens, counts)
        low, high = (_median(column[[index[sample] for sample in part]]) for part in (parts[0], parts[-1]))
        features.append(Feature(name, found.n, found.rho, found.given, low, high))
    features.sort(key=lambda f: -abs(f.rho.value) if f.rho.value is not None else 1.0)

    def described(sample: str, third: str) -> Described:
        row = rows[sample]
        prompt, answer = texts.get(sample, (row.prompt, row.answer))
        own = {name: _known(column[index[sample]]) for name, column in columns.items()}
        return Described(sample, third, chosen.defined[sample], prompt, answer, own)

    labelled, under = store.dataset(about), store.model(chosen.run.model)
    return SamplesReport(
        scored=chosen,
        model=under.source if under else chosen.run.model[:8],
        label=labelled.label if labelled else about[:8],
        features=features,
        samples=[described(s, third) for third, part in zip(chosen.thirds, parts, strict=True) for s in part],
    )


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
