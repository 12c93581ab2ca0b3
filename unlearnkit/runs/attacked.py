"""What an attack came to, from its stored rows alone: how much was known before, and how much under attack.

Everything is told in terms of the split "forget", as an evaluation tells it. A sample under attack is what the worst
condition makes of it. A sample *comes back* where that is at least half of the way from what it was before to what is
known by heart; that needs no other model. Held against a model that never saw the forget set, it counts whether it is
beyond what the same attack makes of the sample there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any, Literal

import numpy as np

from unlearnkit.analysis.bootstrap import bootstrap
from unlearnkit.contracts import Metric
from unlearnkit.runs.figures import offered, suite_of
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import records

SPLIT = "forget"
"""Rows from before the attack stand under it, a condition's under `forget@CONDITION`."""
SHOWN = "shown"
"""Role of the samples that an attack taught."""

Group = Literal["all", "others", "shown"]
"""All samples; or, where some were taught, these ("shown") and the others."""
Terms = Mapping[str, float]
"""Per-sample terms of a metric by sample."""


@dataclass(frozen=True)
class Outcome:
    """What an attack did to a metric's per-sample terms on a group of n samples; means over them.

    `rise` is of under - before, with a 95 % bootstrap interval, positive where something came back. `returned` is the
    share of samples that come back, None where the metric does not say what known by heart is. `beyond` is the share
    under attack that is beyond the reference under attack, and `excess` the mean of that difference, with its interval;
    they are about the samples that both have.
    """

    metric: str
    samples: Group
    n: int
    before: float
    under: float
    rise: float
    rise_low: float | None
    rise_high: float | None
    returned: float | None
    reference: str | None = None
    reference_before: float | None = None
    reference_under: float | None = None
    beyond: float | None = None
    excess: float | None = None
    excess_low: float | None = None
    excess_high: float | None = None


@dataclass(frozen=True)
class Point:
    """The mean of a metric's terms over a group's n samples, under one condition, or as the best of some attempts; and
    the same mean of the reference's samples, under the same condition."""

    condition: str
    metric: str
    samples: Group
    n: int
    value: float
    reference: float | None = None


@dataclass(frozen=True)
class Attacked:
    """A complete attack's rows. `conditions` has the terms by condition and metric; `sign` by metric is 1 where more is
    worse, -1 where less is."""

    run: records.Run
    metrics: Mapping[str, Metric]
    before: Mapping[str, Terms]
    conditions: Mapping[str, Mapping[str, Terms]]
    shown: frozenset[str]

    def sign(self, metric: str) -> float:
        return -1.0 if self.metrics[metric].better(SPLIT) == "higher" else 1.0

    def under(self, metric: str) -> dict[str, float]:
        """What the worst condition makes of each sample, of those that have a value before too."""
        sign, found = self.sign(metric), [of[metric] for of in self.conditions.values() if metric in of]
        told: dict[str, float] = {}
        for sample in self.before.get(metric, {}):
            values = [of[sample] for of in found if sample in of]
            if values:
                told[sample] = sign * max(sign * value for value in values)
        return told

    def groups(self) -> list[Group]:
        return ["others", "shown"] if self.shown else ["all"]

    def of_group(self, group: Group, samples: Mapping[str, Any]) -> list[str]:
        return sorted(s for s in samples if group == "all" or (s in self.shown) == (group == "shown"))


def attacked(place: Workplace, run: records.Run) -> Attacked:
    """A complete attack's rows, as the metrics that are still there read them."""
    from unlearnkit.evaluating import columns

    store = place.reading()
    metrics = {name: metric for (_, name), metric in offered(place, suite_of(place, run)).items()}
    names: list[str] = run.summary["conditions"]
    splits = [SPLIT, *(split_of(name) for name in names)]
    made = columns(store.results(run.id), {(split, name): metrics[name] for split in splits for name in metrics})
    terms: dict[str, dict[str, Terms]] = {split: {} for split in splits}
    for (split, name), column in made.items():
        terms[split][name] = dict(zip(column.samples, column.terms.tolist(), strict=True))
    taught = run.datasets.get(SHOWN)
    shown = frozenset(row.sample for row in store.rows(taught) if row.sample) if taught else frozenset()
    return Attacked(run, metrics, terms[SPLIT], {name: terms[split_of(name)] for name in names}, shown)


def split_of(condition: str) -> str:
    return f"{SPLIT}@{condition}"


def outcomes(found: Attacked, against: Attacked | None) -> list[Outcome]:
    """What came back, by metric and group; metrics without a value before or under attack are left out."""
    told = []
    for metric in found.metrics:
        under = found.under(metric)
        for group in found.groups():
            if samples := found.of_group(group, under):
                told.append(_outcome(found, against, metric, group, samples, under))
    return told


def _outcome(
    found: Attacked, against: Attacked | None, metric: str, group: Group, samples: Sequence[str], under: Terms
) -> Outcome:
    sign, top = found.sign(metric), found.metrics[metric].by_heart
    before, after = _array(found.before[metric], samples), _array(under, samples)
    rise = sign * (after - before)
    low, high = bootstrap(rise) or (None, None)
    back = None if top is None else float(np.mean((rise > 0) & (2 * rise >= sign * (top - before))))
    held: dict[str, Any] = {}
    theirs = against.under(metric) if against is not None and metric in against.metrics else {}
    if against is not None and (both := [sample for sample in samples if sample in theirs]):
        excess = sign * (_array(under, both) - _array(theirs, both))
        least, most = bootstrap(excess) or (None, None)
        held = {
            "reference": against.run.id,
            "reference_before": float(_array(against.before[metric], both).mean()),
            "reference_under": float(_array(theirs, both).mean()),
            "beyond": float(np.mean(excess > 0)),
            "excess": float(excess.mean()),
            "excess_low": least,
            "excess_high": most,
        }
    return Outcome(
        metric, group, len(samples), float(before.mean()), float(after.mean()), float(rise.mean()), low, high, back,
        **held,
    )  # fmt: skip


def curve(found: Attacked, against: Attacked | None) -> list[Point]:
    """The means under each condition; of attempts, of the best of 1, 2, 4 … and all of them."""
    theirs = {} if against is None else {(p.condition, p.metric, p.samples): p.value for p in _points(against)}
    return [replace(p, reference=theirs.get((p.condition, p.metric, p.samples))) for p in _points(found)]


def _points(found: Attacked) -> Iterator[Point]:
    told = _attempts if found.run.config["attempts"] else _conditions
    for metric in found.metrics:
        for group in found.groups():
            yield from told(found, metric, group)


def _conditions(found: Attacked, metric: str, group: Group) -> list[Point]:
    whole = {"before": found.before, **found.conditions}
    points = []
    for name, of in whole.items():
        terms = of.get(metric, {})
        if samples := found.of_group(group, terms):
            points.append(Point(name, metric, group, len(samples), float(_array(terms, samples).mean())))
    return points


def _attempts(found: Attacked, metric: str, group: Group) -> list[Point]:
    having = [of[metric] for of in found.conditions.values() if metric in of]
    everywhere = {s: 0.0 for s in found.before.get(metric, {}) if all(s in of for of in having)}
    samples = found.of_group(group, everywhere)
    if not samples or not having:
        return []
    values = found.sign(metric) * np.stack([_array(of, samples) for of in having])
    counts = [2**i for i in range(len(having)) if 2**i < len(having)]
    return [
        Point(f"best-of-{n}", metric, group, len(samples), found.sign(metric) * float(best_of(values, n).mean()))
        for n in (*counts, len(having))
    ]


def best_of(values: np.ndarray, n: int) -> np.ndarray:
    """The largest of n attempts, on average over all ways to take n of the N that were made: [samples] from
    [N, samples]. Of the sorted values x_1 ≤ … ≤ x_N, x_i is the largest of C(i-1, n-1) of the C(N, n) choices.

    Source: arXiv 2511.04934, the estimator of leak@k.
    """
    made = len(values)
    weights = np.array([comb(i, n - 1) / comb(made, n) for i in range(made)])
    found: np.ndarray = weights @ np.sort(values, axis=0)
    return found


def as_json(told: Any) -> dict[str, Any]:
    """A report with `outcomes` and a `curve` as data."""
    rows = {name: [dict(vars(row)) for row in getattr(told, name)] for name in ("outcomes", "curve")}
    return {**vars(told), **rows}


def _array(terms: Terms, samples: Sequence[str]) -> np.ndarray:
    return np.array([terms[sample] for sample in samples])
