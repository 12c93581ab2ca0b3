"""What was measured of the model that a run wrote, beside the one that it began with: numbers, samples, attacks.

An evaluation or an attack counts where it is complete and its forget samples are among those that were asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import to_be_forgotten
from unlearnkit.errors import NotFound
from unlearnkit.report.certificate.facts import training_nll
from unlearnkit.report.collect import Evaluated, Findings, collect
from unlearnkit.report.twin import twin
from unlearnkit.runs.attacked import attacked
from unlearnkit.runs.figures import suite_of
from unlearnkit.runs.scored import choose_scored

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import AggregateRow, Run


def measured(place: Workplace, run: Run, samples: Sequence[str]) -> dict[str, Any]:
    """Evaluations, numbers, samples and attacks."""
    written = str(run.summary["model"])
    after = _runs(place, "eval", written, samples)
    earlier = _runs(place, "eval", run.model, samples)
    pairs = [(one, twin(place, earlier, one)) for one in _fullest(after)]
    difficulty = _difficulty(place, run, samples)
    found = collect(place, [run.id, *(other.id for _, other in pairs if other is not None)])
    own = of_the_run_itself(place, run)
    by_run = {e.run.id: _held_against_others(e, own) for e in found.evaluated}
    tried = {one.id for one in _runs(place, "attack", written, samples)}
    attacks = [a for a in found.attacks if a.run in tried]
    return {
        "evaluations": [
            {"run": one.id, "suite": one.method, "before": other and other.id, "n": _covered(place, one, samples),
             "reference": by_run[one.id].reference, "environment": dict(one.environment)}
            for one, other in pairs
        ],
        "metrics": [
            row
            for one, other in pairs
            for row in _numbers(found, by_run[one.id], None if other is None else by_run[other.id])
        ],
        "training_nll": training_nll(place, run, list(samples)),
        "difficulty": difficulty,
        "attacks": [
            {"run": a.run, "attack": a.attack, "options": dict(place.reading().run(a.run).config["options"]),
             "outcomes": a.json()["outcomes"]}
            for a in attacks
        ],
        "samples": _samples(place, samples, difficulty, pairs, [a.run for a in attacks]),
    }  # fmt: skip


def _runs(place: Workplace, kind: str, model: str, samples: Collection[str]) -> list[Run]:
    """The complete evaluations of a model, or attacks on it, that are about these samples, newest first."""
    runs = place.reading().runs(kind=kind, state="complete", model=model)
    return [run for run in runs if run.config.get("request") and _covered(place, run, samples)]


def _covered(place: Workplace, run: Run, samples: Collection[str]) -> int:
    """How many of the samples a run is about; none where it is about others too, as its numbers are not of these
    alone."""
    asked = {
        row.sample
        for split, data in run.datasets.items()
        if to_be_forgotten(split)
        for row in place.reading().rows(data)
        if row.sample is not None
    }
    return len(asked) if asked <= set(samples) else 0


def _fullest(runs: Sequence[Run]) -> list[Run]:
    """Of each suite the evaluation with the most of its splits, and of several the newest, as the runs come first."""
    suites = dict.fromkeys(one.method for one in reversed(runs))
    return [max((one for one in runs if one.method == suite), key=lambda one: len(one.datasets)) for suite in suites]


def of_the_run_itself(place: Workplace, run: Run) -> dict[str, str]:
    """The evaluations of the models before and after, which are no references, and of which of the two each is."""
    models = {"before": run.model, "after": str(run.summary["model"])}
    return {e.id: when for when, model in models.items() for e in place.reading().runs(kind="eval", model=model)}


def _held_against_others(e: Evaluated, own: Collection[str]) -> Evaluated:
    """An evaluation without the numbers that were held against the run's own models."""
    return replace(e, aggregates=[row for row in e.aggregates if row.reference not in own])


def _numbers(found: Findings, after: Evaluated, before: Evaluated | None) -> Iterator[dict[str, Any]]:
    """Every number of an evaluation, before and after; where it was held against a reference, against the same."""
    held = {} if before is None else {(row.name, row.reference): row for row in before.aggregates}
    for name, figure in after.figures.items():
        was = None if before is None else before.figures.get(name)
        yield {"name": name, "suite": after.run.method, **_of("after", figure), **_of("before", was),
            **found.about(after, name)}  # fmt: skip
    for row in _newest(after.aggregates):
        earlier = held.get((row.name, row.reference))
        yield {"name": row.name, "suite": after.run.method, **_of("after", row), **_of("before", earlier),
            **found.about(after, row.name), "reference": row.reference}  # fmt: skip


def _newest(rows: Sequence[AggregateRow]) -> list[AggregateRow]:
    """A number once, held against the newest reference."""
    return list({row.name: row for row in reversed(rows)}.values())


def _of(when: str, number: Any) -> dict[str, Any]:
    """A number with its interval, n and, where it is undefined, its reason; "not_measured" where there is none."""
    if number is None:
        return {when: {"value": None, "low": None, "high": None, "n": None, "reason": "not_measured"}}
    reason = None if number.value is not None else number.reason or "undefined"
    return {when: {**{key: getattr(number, key) for key in ("value", "low", "high", "n")}, "reason": reason}}


def _difficulty(place: Workplace, run: Run, samples: Sequence[str]) -> dict[str, Any] | None:
    """The scores by which samples' difficulty is told: Memory Removal Difficulty under the model before."""
    try:
        found = choose_scored(place, by="mrd", weights=run.model, data=samples)
    except NotFound:
        return None
    n = len(found.defined.keys() & set(samples))
    return {
        "run": found.run.id, "scorer": found.name, "source": found.source, "high_means": found.high_means,
        "reliability": found.reliability, "n": n,
    }  # fmt: skip


def _samples(
    place: Workplace, samples: Sequence[str], difficulty: dict[str, Any] | None,
    pairs: Sequence[tuple[Run, Run | None]], attacks: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """One metric of the forget set, sample by sample: before, after, and the worst that any attack made of it."""
    scores = {} if difficulty is None else place.reading().scores(difficulty["run"])
    one, other = pairs[0] if pairs else (None, None)
    after, metric = _values(place, one, None)
    before, _ = _values(place, other, metric)
    worst = _worst(place, attacks, metric)
    rows = []
    for sample in samples:
        score, attack = scores.get(sample), worst.get(sample)
        rows.append(
            {
                "sample": sample,
                "difficulty": None if score is None else score.value,
                "stderr": None if score is None else score.stderr,
                "before": before.get(sample),
                "after": after.get(sample),
                "worst": None if attack is None else attack[0],
                "worst_attack": None if attack is None else attack[1],
            }
        )
    return {"metric": metric, "evaluation": None if one is None else one.id, "rows": rows}


def _values(place: Workplace, run: Run | None, metric: str | None) -> tuple[dict[str, float | None], str | None]:
    """Values of what was to be forgotten by one metric: the named one, else the first that has any."""
    if run is None:
        return {}, metric
    rows = [row for row in place.reading().results(run.id) if to_be_forgotten(row.split)]
    there = {row.metric for row in rows if row.value is not None}
    chosen = metric or next((name for name in _in_order(place, run) if name in there), None)
    return {row.sample: row.value for row in rows if row.metric == chosen}, chosen


def _in_order(place: Workplace, run: Run) -> list[str]:
    """The names of a suite's metrics on what was to be forgotten, as the suite lists them."""
    splits = suite_of(place, run).splits
    return [use.name for split, of in splits.items() if to_be_forgotten(split) for use in of.metrics]


def _worst(place: Workplace, attacks: Sequence[str], metric: str | None) -> dict[str, tuple[float, str]]:
    """By sample, the worst value of a metric under any of the attacks, and which attack that was."""
    found: dict[str, tuple[float, str]] = {}
    for run in attacks:
        one = attacked(place, place.reading().run(run))
        if metric is None or metric not in one.metrics:
            continue
        sign = one.sign(metric)
        for sample, value in one.under(metric).items():
            if sample not in found or sign * value > sign * found[sample][0]:
                found[sample] = value, one.run.method
    return found
