"""`analyze bias`: whether the samples that one evaluates on decide which method looks best.

What is compared is a *method*: unlearning runs that differ in nothing but their seed, averaged. Its figure on a part of
a forget set is the mean of a metric over the part's samples. Parts are made in two ways. *Thirds*: one forget set,
evaluated whole, read by easy, middle and hard third. *Sets*: a method was run on each of several sets that have no
sample in common, such as `split` writes, and each model evaluated on the set that it forgot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.analysis.rankings import Agreement, agreements, agreements_by_chance
from unlearnkit.errors import BadInput, NotFound
from unlearnkit.runs.analyze.truth import method_name
from unlearnkit.runs.identity import digest
from unlearnkit.runs.scored import Scored, bins, choose_scored

if TYPE_CHECKING:
    from unlearnkit.contracts import Metric
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import records

WHOLE = "whole"


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of what an unlearning run made: the metric's terms by sample of the forget set."""

    unlearned: records.Run
    eval_run: records.Run
    terms: Mapping[str, float]

    @property
    def method(self) -> str:
        """What runs of the same method have in common: all but seed, and the forget set with what follows from it."""
        run, config = self.unlearned, self.unlearned.config
        plan = {key: value for key, value in config["plan"].items() if key not in ("seed", "n")}
        asked = config.get("request", {})
        said = [asked.get(key) for key in ("sampler_options", "template", "system_prompt")]
        watched = [config.get(key) for key in ("threshold", "reference", "probe_every")]
        others = {role: data for role, data in run.datasets.items() if role != "forget"}
        return digest(run.method, config["options"], config.get("sampler"), said, watched, others, plan)


@dataclass(frozen=True)
class Part:
    """Samples that methods are compared on, and the range of their scores."""

    name: str
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """A method: its runs, and for each part its figure and its rank, 1 the best; equal figures share their ranks."""

    label: str
    runs: Sequence[str]
    figures: Sequence[float]
    ranks: Sequence[float]


@dataclass(frozen=True)
class Comparison:
    """Methods on the parts of one forget set ("thirds"), or on sets of their own ("sets")."""

    kind: str
    model: str
    scored: Scored
    parts: Sequence[Part]
    rows: Sequence[Row]
    agreements: Sequence[Agreement]

    def name(self, part: int) -> str:
        """Of a part that agreements name by its index; −1 is the last, the whole."""
        return self.parts[part].name

    def json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "model": self.model,
            "scorer": self.scored.name,
            "score_run": self.scored.run.id,
            "parts": [vars(part) for part in self.parts],
            "methods": [
                {
                    "method": row.label,
                    "runs": list(row.runs),
                    "figures": {part.name: value for part, value in zip(self.parts, row.figures, strict=True)},
                    "ranks": {part.name: rank for part, rank in zip(self.parts, row.ranks, strict=True)},
                }
                for row in self.rows
            ],
            "agreements": [
                {
                    "one": self.name(a.one), "other": self.name(a.other), "tau": a.tau, "by_chance": a.by_chance,
                    "as_low": a.as_low,
                }
                for a in self.agreements
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class BiasReport:
    metric: str
    direction: str
    comparisons: Sequence[Comparison]

    def json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "direction": self.direction,
            "comparisons": [comparison.json() for comparison in self.comparisons],
        }


def bias(
    place: Workplace,
    *,
    runs: Sequence[str] = (),
    metric: str = "probability",
    by: str = "mrd",
    scores: str | None = None,
    seed: int = 0,
) -> BiasReport:
    """Rank methods on parts of different difficulty, and say how far the rankings agree.

    Args:
        runs: unlearning runs, or evaluations of theirs; by default all that are complete. Of a run's evaluations on the
            same set the newest counts.
        metric: one that says which way is better on the forget set.
        by, scores: what difficulty is read from: the most reliable scores of a scorer, or those of a run.
        seed: of the random parts that thirds are held against.

    Raises:
        NotFound: codes `evaluations`, `scores`, `plugin`; BadInput: a metric without a better way.
    """
    measure: Metric = place.plugins.build("metric", metric, {})
    if measure.direction == "none":
        raise BadInput(f"metric {metric} does not say which way is better", hint="--metric probability", code="metric")
    evaluated = list(_evaluated(place, runs, metric, measure))
    found = list(_comparisons(place, evaluated, measure, by, scores, seed))
    if not found:
        raise NotFound(
            f"two methods or more must have forgotten the same set and been evaluated on it by {metric}"
            f"; the store has {len(evaluated)} such evaluations, of {len({e.method for e in evaluated})} methods",
            hint="unlearnkit unlearn --plugin NAME …, then unlearnkit eval @last --forget DATA, for each method",
            code="evaluations",
        )
    return BiasReport(metric, measure.direction, found)


def _evaluated(place: Workplace, refs: Sequence[str], metric: str, measure: Metric) -> Iterator[Evaluated]:
    """The newest evaluation of each unlearning run on each forget set, oldest run first."""
    store = place.reading()
    wanted = {store.run(ref).id for ref in refs}
    done: set[tuple[str, str]] = set()
    fresh = []
    for run in store.runs(kind="eval", state="complete"):
        writer = None if run.parent is None else store.run(run.parent)
        if writer is None or writer.kind != "unlearn" or "forget" not in run.datasets:
            continue
        key = (writer.id, run.datasets["forget"])
        if key not in done and (not wanted or wanted & {run.id, writer.id}):
            done.add(key)
            fresh.append((writer, run))
    for writer, run in fresh[::-1]:
        mine = [r for r in store.results(run.id) if (r.split, r.metric) == ("forget", metric)]
        known = {r.sample: r.value for r in mine if r.value is not None}
        if known:
            terms = measure.summarise(np.array(list(known.values())), "forget")
            yield Evaluated(writer, run, dict(zip(known, terms.tolist(), strict=True)))


def _comparisons(
    place: Workplace, evaluated: Sequence[Evaluated], measure: Metric, by: str, scores: str | None, seed: int
) -> Iterator[Comparison]:
    def model(e: Evaluated) -> str:
        return e.unlearned.model

    for weights, of_model in groupby(sorted(evaluated, key=model), key=model):
        known = place.reading().model(weights)
        label = known.source if known else weights[:8]
        mine = list(of_model)
        apart = _sets_apart(place, mine)
        sets = _sets(place, label, mine, apart, measure, by, scores)
        by_set: dict[tuple[str, str], list[Evaluated]] = {}
        for e in mine:
            by_set.setdefault((e.unlearned.datasets["forget"], e.eval_run.datasets["forget"]), []).append(e)
        for (forgot, _), some in by_set.items():
            if len(_by_method(some)) > 1 and not (sets and forgot in apart):  # no thirds of what are parts already
                ids = set.intersection(*(set(e.terms) for e in some))
                ranked = choose_scored(place, by=by, run=scores, weights=weights, data=ids)
                yield from _thirds(label, ranked, some, ids, measure, seed)
        if sets is not None:
            yield sets


def _thirds(
    label: str, ranked: Scored, some: Sequence[Evaluated], ids: set[str], measure: Metric, seed: int
) -> Iterator[Comparison]:
    """One forget set, by thirds of those samples that have a score and a value in every evaluation."""
    defined = {sample: value for sample, value in ranked.defined.items() if sample in ids}
    if len(defined) < len(ranked.thirds):
        return
    pieces = bins(defined, len(ranked.thirds))
    order = [sample for piece in pieces for sample in piece]
    methods = _by_method(some)
    values = np.stack([_mean(found, order) for found in methods.values()])
    cuts = np.cumsum([0, *map(len, pieces)])
    parts = [np.arange(a, b) for a, b in pairwise(cuts)]
    figures = np.column_stack([*(values[:, part].mean(axis=1) for part in parts), values.mean(axis=1)])
    named = [_part(name, piece, defined) for name, piece in zip(ranked.thirds, pieces, strict=True)]
    named.append(_part(WHOLE, order, defined))
    rows = _rows(methods, figures, measure)
    yield Comparison("thirds", label, ranked, named, rows, agreements_by_chance(values, parts, seed))


def _sets_apart(place: Workplace, mine: Sequence[Evaluated]) -> dict[str, set[str]]:
    """Forget sets that have no sample in common, with their samples; the parts rather than what they are parts of."""
    rows = {data: place.reading().rows(data) for data in {e.unlearned.datasets["forget"] for e in mine}}
    members = {data: {row.sample for row in some if row.sample is not None} for data, some in rows.items()}
    apart: dict[str, set[str]] = {}
    for data in sorted(members, key=lambda data: (len(members[data]), data)):
        if not any(members[data] & other for other in apart.values()):
            apart[data] = members[data]
    return apart


def _sets(
    place: Workplace, label: str, mine: Sequence[Evaluated], apart: Mapping[str, set[str]],
    measure: Metric, by: str, scores: str | None,
) -> Comparison | None:  # fmt: skip
    """Sets of one scoring, each read by the models that forgot it; None where they are not two, or no two methods
    forgot them all."""
    if len(apart) < 2:
        return None
    ranked = choose_scored(place, by=by, run=scores, weights=mine[0].unlearned.model, data=set.union(*apart.values()))
    inside = {data: [s for s in sorted(members) if s in ranked.defined] for data, members in apart.items()}
    names = sorted(
        (data for data, some in inside.items() if some),
        key=lambda data: float(np.median([ranked.defined[s] for s in inside[data]])),
    )
    by_data = [
        _by_method([e for e in mine if e.unlearned.datasets["forget"] == data and e.terms.keys() <= apart[data]])
        for data in names
    ]
    shared = [key for key in by_data[0] if all(key in found for found in by_data)] if len(names) > 1 else []
    if len(shared) < 2:
        return None
    methods = {key: [e for found in by_data for e in found[key]] for key in shared}
    figures = np.array(
        [[np.mean([np.mean(list(e.terms.values())) for e in found[key]]) for found in by_data] for key in shared]
    )
    parts = [_part(_label(place, data), inside[data], ranked.defined) for data in names]
    return Comparison("sets", label, ranked, parts, _rows(methods, figures, measure), agreements(figures))


def _by_method(some: Sequence[Evaluated]) -> dict[str, list[Evaluated]]:
    found: dict[str, list[Evaluated]] = {}
    for e in some:
        found.setdefault(e.method, []).append(e)
    return found


def _mean(found: Sequence[Evaluated], order: Sequence[str]) -> np.ndarray:
    """A method's terms over its seeds, [n] in the samples' order."""
    return np.asarray(np.mean([[e.terms[sample] for sample in order] for e in found], axis=0))


def _rows(methods: Mapping[str, Sequence[Evaluated]], figures: np.ndarray, measure: Metric) -> list[Row]:
    """A row each; methods that would have the same name are told apart by the first of their runs."""
    from scipy.stats import rankdata

    ranks = rankdata(figures if measure.direction == "lower" else -figures, axis=0)
    names = [method_name(found[0].unlearned) for found in methods.values()]
    labels = [
        name if names.count(name) == 1 else f"{name} ({found[0].unlearned.id})"
        for name, found in zip(names, methods.values(), strict=True)
    ]
    runs = [list(dict.fromkeys(e.unlearned.id for e in found)) for found in methods.values()]
    return [Row(*row) for row in zip(labels, runs, figures.tolist(), ranks.tolist(), strict=True)]


def _part(name: str, samples: Sequence[str], values: Mapping[str, float]) -> Part:
    inside = [values[sample] for sample in samples]
    return Part(name, len(samples), min(inside), max(inside))


def _label(place: Workplace, data: str) -> str:
    found = place.reading().dataset(data)
    return found.label.rstrip("/").rsplit("/", 1)[-1] if found else data[:8]
