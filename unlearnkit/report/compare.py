"""`runs compare`: two evaluations sample by sample, and by difficulty where that is known. From the store alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.analysis.paired import Paired, all_paired, holm
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.notebook import table
from unlearnkit.plugins import options_of
from unlearnkit.report.collect import label_of, ranking, writer_of
from unlearnkit.runs.definitions import Meaning, meanings
from unlearnkit.runs.figures import offered, suite_of
from unlearnkit.runs.scored import Scored, bins, choose_scored, scored
from unlearnkit.runs.thresholds import evaluations

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import records

Key = tuple[str, str]
"""Split and metric."""


@dataclass(frozen=True)
class Difference:
    """A metric on the samples that both evaluations have, or on a third of them. `adjusted` is the sign test's p-value
    for as many tests as there are in the comparison."""

    split: str
    metric: str
    third: str | None
    found: Paired
    meaning: Meaning
    adjusted: float | None = None

    @property
    def name(self) -> str:
        return f"{self.split}.{self.metric}" + ("" if self.third is None else f", {self.third}")

    def json(self) -> dict[str, Any]:
        f = self.found
        return {
            "split": self.split, "metric": self.metric, "third": self.third, "n": f.n, "a": f.one, "b": f.other,
            "difference": f.difference, "low": f.low, "high": f.high, "higher": f.higher, "lower": f.lower,
            "ties": f.ties, "p": f.p, "p_adjusted": self.adjusted, **self.meaning.json(),
        }  # fmt: skip


@dataclass(frozen=True)
class Shared:
    """Samples of a split: in both evaluations, and in one alone."""

    common: int
    only_a: int
    only_b: int


@dataclass(frozen=True)
class Comparison:
    """Two evaluations. `left_out` says by name why a number that either has is not compared; `ranked` are the scores
    that thirds are made by."""

    one: records.Run
    other: records.Run
    labels: tuple[str, str]
    samples: Mapping[str, Shared]
    differences: Sequence[Difference]
    left_out: Mapping[str, str]
    ranked: Scored | None

    @property
    def tests(self) -> int:
        """How many sign tests there are."""
        return sum(d.found.p is not None for d in self.differences)

    def _repr_html_(self) -> str:
        rows = [
            {
                "": d.name, "n": d.found.n, "A": d.found.one, "B": d.found.other, "B − A": d.found.difference,
                "low": d.found.low, "high": d.found.high, "p (Holm)": d.adjusted,
            }
            for d in self.differences
        ]  # fmt: skip
        return table(f"A: {self.labels[0]}, run {self.one.id}; B: {self.labels[1]}, run {self.other.id}", rows)

    def json(self) -> dict[str, Any]:
        return {
            "a": {"run": self.one.id, "label": self.labels[0]},
            "b": {"run": self.other.id, "label": self.labels[1]},
            "samples": {split: vars(shared) for split, shared in self.samples.items()},
            "tests": self.tests,
            "differences": [d.json() for d in self.differences],
            "left_out": [{"name": name, "reason": reason} for name, reason in self.left_out.items()],
            "scorer": None if self.ranked is None else self.ranked.name,
            "score_run": None if self.ranked is None else self.ranked.run.id,
        }


def compare(
    place: Workplace, one: str, other: str, *, metrics: Sequence[str] = (), scores: str | None = None
) -> Comparison:
    """Differences b − a of every metric that two evaluations share, over the samples that both have.

    Args:
        one, other: evaluations, or runs whose model has some: of these the newest two that can be compared.
        metrics: the only ones wanted, as "split.metric" or by the metric's name; all by default.
        scores: the score run that makes thirds; by default the one that a report takes for either evaluation.

    Raises:
        NotFound: no such run. BadInput: codes `metric` for one that they do not share, `scores`, `evaluations`.
        UnlearnkitError: code `unpaired`, where they have no sample in common.
    """
    store = place.reading()
    read = cache(partial(_read, place))
    runs = _pair(place, evaluations(store, one), evaluations(store, other), metrics, read)
    columns, samples = zip(*(read(run.id) for run in runs), strict=True)
    shared = {split: _shared(*(of.get(split, set()) for of in samples)) for split in {**samples[0], **samples[1]}}
    left_out = dict(_left_out(place, runs, columns))
    keys = _wanted(_common(columns, left_out), metrics, left_out)
    if not keys:
        raise UnlearnkitError(
            f"runs {runs[0].id} and {runs[1].id} have no sample in common on any split",
            hint="evaluate both on the same data; a log without texts is told its data by import --data SPLIT=DATA",
            code="unpaired",
        )
    ranked = _ranked(place, runs, scores)
    pieces = dict(zip(ranked.thirds, bins(ranked.defined, 3), strict=True)) if ranked else {}
    meant = meanings(place, suite_of(place, runs[0]))
    parts = [part for key in keys for part in _parts(key, columns[0][key], columns[1][key], pieces)]
    found = all_paired([(one, other) for *_, one, other in parts])
    adjusted = holm([of.p for of in found])
    rows = [
        Difference(*key, third, of, meant[f"{key[0]}.{key[1]}"], p)
        for (key, third, *_), of, p in zip(parts, found, adjusted, strict=True)
    ]
    labels = (label_of(place, runs[0]), label_of(place, runs[1]))
    return Comparison(runs[0], runs[1], labels, shared, rows, left_out, ranked)


Terms = Mapping[str, float]
"""A metric's terms by sample: what a split's figure is the mean of."""


Read = tuple[dict[Key, Terms], dict[str, set[str]]]


def _pair(
    place: Workplace, ones: Sequence[records.Run], others: Sequence[records.Run], metrics: Sequence[str],
    read: Callable[[str], Read],
) -> tuple[records.Run, records.Run]:  # fmt: skip
    """The newest two evaluations, one of each, that share what is wanted, those by one suite first; any where none
    do."""
    pairs = [(one, other) for one, other in product(ones, others) if one.id != other.id]
    if not pairs:
        raise BadInput(f"both are evaluation {ones[0].id}", hint="name two", code="evaluations")
    pairs.sort(key=lambda p: (p[0].method == p[1].method, sorted(run.created for run in p)), reverse=True)
    for pair in pairs:
        columns = [read(run.id)[0] for run in pair]
        keys = _common(columns, dict(_left_out(place, pair, columns)))
        if keys and all(any(_is(name, key) for key in keys) for name in metrics):
            return pair
    return pairs[0]


def _common(columns: Sequence[Mapping[Key, Terms]], left_out: Mapping[str, str]) -> list[Key]:
    """The split and metric of what can be compared."""
    return [key for key in columns[0] if key in columns[1] and f"{key[0]}.{key[1]}" not in left_out]


def _read(place: Workplace, run: str) -> Read:
    """A run's terms by split and metric, and the samples of its splits."""
    store = place.reading()
    values, metrics = store.values(run), offered(place, suite_of(place, store.run(run)))
    terms: dict[Key, Terms] = {}
    samples: dict[str, set[str]] = {}
    for (split, name), of in values.items():
        samples.setdefault(split, set()).update(of)
        defined = {sample: value for sample, value in of.items() if value is not None}
        if defined and (split, name) in metrics:
            made = metrics[split, name].summarise(np.array(list(defined.values())), split)
            terms[split, name] = dict(zip(defined, made.tolist(), strict=True))
    return terms, samples


def _shared(one: set[str], other: set[str]) -> Shared:
    return Shared(len(one & other), len(one - other), len(other - one))


def _left_out(
    place: Workplace, runs: Sequence[records.Run], columns: Sequence[Mapping[Key, Terms]]
) -> Iterator[tuple[str, str]]:
    """Numbers that one of the evaluations has and that cannot be compared, with why."""
    defined = [_meant(place, run) for run in runs]
    for key in dict.fromkeys([*columns[0], *columns[1]]):
        name = f"{key[0]}.{key[1]}"
        if not all(key in of for of in columns):
            yield name, "one_only"
        elif defined[0][key] != defined[1][key]:
            yield name, "other_definition"
        elif not columns[0][key].keys() & columns[1][key].keys():
            yield name, "no_common_samples"


def _meant(place: Workplace, run: records.Run) -> dict[Key, tuple[str, dict[str, object]]]:
    """What stands behind each of a run's metrics: its plugin with all options."""
    chosen = suite_of(place, run)
    built = offered(place, chosen)
    uses = {(split, use.name): use for split, of in chosen.splits.items() for use in of.metrics}
    return {key: (uses[key].plugin, options_of(metric)) for key, metric in built.items()}


def _wanted(keys: Sequence[Key], metrics: Sequence[str], left_out: Mapping[str, str]) -> list[Key]:
    """Those of the keys that were asked for."""
    for name in metrics:
        if not any(_is(name, key) for key in keys):
            reason = next((why for of, why in left_out.items() if name in (of, of.partition(".")[2])), None)
            known = ", ".join(dict.fromkeys(metric for _, metric in keys)) or "none"
            why = {"no_common_samples": "on no common sample", "other_definition": "by two definitions"}
            raise BadInput(
                f"--metric {name}: the two evaluations have it {why[reason]}"
                if reason in why
                else f"--metric {name}: the two evaluations do not both have it",
                hint=f"both have: {known}",
                code="metric",
            )
    return [key for key in keys if not metrics or any(_is(name, key) for name in metrics)]


def _is(name: str, key: Key) -> bool:
    return name in (key[1], f"{key[0]}.{key[1]}")


def _ranked(place: Workplace, runs: Sequence[records.Run], scores: str | None) -> Scored | None:
    """The scores that make thirds, where there are some."""
    if scores is not None:
        return choose_scored(place, run=scores)
    every = [run for run in place.reading().runs(state="complete") if run.config.get("request")]
    found = (ranking(place, run, writer_of(place, run), every) for run in runs)
    first = next((run for run in found if run is not None), None)
    return None if first is None else scored(place, first)


def _parts(
    key: Key, one: Terms, other: Terms, pieces: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Key, str | None, np.ndarray, np.ndarray]]:
    """A metric's terms in both on all common samples, then on each third that has some."""
    common = sorted(one.keys() & other.keys())
    inside: dict[str | None, set[str]] = {third: set(piece) for third, piece in pieces.items()}
    for third, some in {None: common, **{t: [s for s in common if s in of] for t, of in inside.items()}}.items():
        if some:
            yield key, third, np.array([one[s] for s in some]), np.array([other[s] for s in some])
