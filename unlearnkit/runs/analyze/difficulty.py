"""`analyze difficulty`: how well each score, known before unlearning, predicts how long a sample takes to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.analysis.estimates import Correlation, Estimate, correlate, resamples, strongest
from unlearnkit.errors import NotFound
from unlearnkit.runs.analyze.truth import Forgotten, choose_runs, forgotten
from unlearnkit.runs.scored import Scored, all_scored, choose_scored

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import records

DIVIDED = "/token"
"""Ends the name of a score that was divided by its sample's label tokens."""


@dataclass(frozen=True)
class Prediction:
    """How one score goes with updates to forget, as mean over runs: ρ > 0 means that a high score takes longer.

    `given_length` is the same with the number of label tokens held fixed. `strongest` is the share of resamples in
    which no other score of the same group has a larger |ρ|."""

    scorer: str
    n: int
    rho: Estimate
    given_length: Estimate
    strongest: float

    def json(self) -> dict[str, Any]:
        return {
            "scorer": self.scorer,
            "n": self.n,
            **flat("rho", self.rho),
            **flat("given_length", self.given_length),
            "strongest": self.strongest,
        }


def flat(name: str, found: Estimate) -> dict[str, Any]:
    """An estimate as keys of a row."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_reason": found.reason}


@dataclass(frozen=True)
class Group:
    """Runs that took the same forget set out of the same model. `n` counts samples that every run looked at;
    `predictions` are by the strength of their mean over all, `by_method` the same for each algorithm alone."""

    model: str
    label: str
    data: str
    n: int
    unseen: int
    runs: Sequence[Forgotten]
    predictions: Sequence[Prediction]
    by_method: Mapping[str, Sequence[Prediction]]

    def json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "label": self.label,
            "data": self.data,
            "n": self.n,
            "unseen": self.unseen,
            "runs": [
                {
                    "run": run.run.id, "method": run.method, "seed": run.run.seed,
                    "last": run.last, "sweeps": run.sweeps,
                    "threshold_low": run.low, "threshold_high": run.high, "reference": run.reference,
                    "never": run.never, "unknown_before": run.unknown_before,
                }
                for run in self.runs
            ],
            "predictions": [prediction.json() for prediction in self.predictions],
            "by_method": {name: [found.json() for found in some] for name, some in self.by_method.items()},
        }  # fmt: skip


@dataclass(frozen=True)
class DifficultyReport:
    """What was found in each group. `left_out` counts runs whose order was drawn by scores."""

    groups: Sequence[Group]
    left_out: int

    @property
    def signs(self) -> dict[str, list[int | None]]:
        """Each score's sign in each group, 1 or −1 where its interval has one side of 0, else 0; None where the group
        lacks the score or it has no ρ."""
        names = dict.fromkeys(found.scorer for group in self.groups for found in group.predictions)
        tables = [{found.scorer: found.rho for found in group.predictions} for group in self.groups]
        return {
            name: [None if name not in t or t[name].value is None else t[name].sign for t in tables] for name in names
        }

    @property
    def keeps(self) -> dict[str, bool | None]:
        """Whether a score that is sure of its sign in two groups or more has the same in all of those; None where it is
        sure in fewer."""
        sure = {name: [sign for sign in signs if sign] for name, signs in self.signs.items()}
        return {name: len(set(some)) == 1 if len(some) > 1 else None for name, some in sure.items()}

    def json(self) -> dict[str, Any]:
        signs, keeps = self.signs, self.keeps
        return {
            "groups": [group.json() for group in self.groups],
            "signs": [{"scorer": name, "signs": signs[name], "keeps": keeps[name]} for name in signs],
            "left_out": self.left_out,
        }


def difficulty(
    place: Workplace,
    *,
    runs: Sequence[str] = (),
    scores: Sequence[str] = (),
    threshold: float | None = None,
    reference: str | None = None,
    seed: int = 0,
) -> DifficultyReport:
    """Correlate every stored score of the starting model with updates to forget.

    Args:
        runs: unlearning runs; by default all complete ones with NLLs on the way whose order no score drew.
        scores: score runs; by default the newest of each scorer and options for the model that a run started from.
        threshold: nats per label token from which on a sample counts as forgotten.
        reference: evaluation of a model that never saw the set, whose NLL of a sample is its threshold. Without either,
            the run's own reference, else its own threshold, else 2 nats.
        seed: of the resamples behind the intervals.

    A sample that was never forgotten in a run is later than all others and ties with its like. ρ is averaged over the
    runs of an algorithm, then over algorithms, so that each counts alike.

    Raises:
        NotFound: codes `probes`, `scores`.
    """
    chosen, left_out = choose_runs(place, runs)
    named = [choose_scored(place, run=ref) for ref in dict.fromkeys(scores)]
    together: dict[tuple[str, str], list[records.Run]] = {}
    for run in chosen:
        together.setdefault(_about(run), []).append(run)
    groups = [_group(place, some, named, threshold, reference, seed) for some in together.values()]
    if not any(group.predictions for group in groups):
        first = groups[0]
        raise NotFound(
            f"no scores in the store of the samples that were unlearned from {first.label}",
            hint=f"unlearnkit score --model {first.label} --data {first.data}",
            code="scores",
        )
    return DifficultyReport(groups, left_out)


def _about(run: records.Run) -> tuple[str, str]:
    return run.model, run.datasets["forget"]


def _group(
    place: Workplace, runs: Sequence[records.Run], named: Sequence[Scored],
    threshold: float | None, reference: str | None, seed: int,
) -> Group:  # fmt: skip
    store = place.reading()
    model, data = _about(runs[0])
    tokens = {row.sample: row.tokens for row in store.rows(data) if row.sample is not None}
    samples = list(tokens)
    truth = [forgotten(place, run, samples, value=threshold, reference=reference) for run in runs]
    outcomes = np.stack([found.updates for found in truth])
    seen = ~np.isnan(outcomes).any(axis=0)
    length = np.array([np.nan if n is None else float(n) for n in tokens.values()])[seen]
    inside = [sample for sample, is_seen in zip(samples, seen, strict=True) if is_seen]
    measures = [s for s in named if s.values.keys() >= set(inside)] if named else all_scored(place, model, inside)
    columns = {s.name: s.array(inside) for s in measures}
    # Other tokens than the answer's are not counted in the store, so a sum over them is not divided.
    by_answer = [s.name for s in measures if s.run.config["options"].get("tokens", "answer") == "answer"]
    columns |= {name + DIVIDED: columns[name] / length for name in by_answer}

    methods = [found.method for found in truth]
    names = list(dict.fromkeys(methods))
    alone = np.array([[(m == name) / methods.count(name) for m in methods] for name in names])
    shares = np.vstack([alone.mean(axis=0), alone])
    counts = resamples(len(inside), seed=seed)
    found = {name: correlate(values, outcomes[:, seen], shares, length, counts) for name, values in columns.items()}
    ranked = [_ranked({name: some[i] for name, some in found.items()}) for i in range(len(shares))]
    known, labelled = store.model(model), store.dataset(data)
    return Group(
        model=model,
        label=known.source if known else model[:8],
        data=labelled.label if labelled else data[:8],
        n=len(inside),
        unseen=len(samples) - len(inside),
        runs=truth,
        predictions=ranked[0],
        by_method=dict(zip(names, ranked[1:], strict=True)),
    )


def _ranked(found: Mapping[str, Correlation]) -> list[Prediction]:
    """The strongest first, what has no ρ last."""
    if not found:
        return []
    wins = strongest(np.stack([c.resampled for c in found.values()]))
    predictions = [
        Prediction(name, c.n, c.rho, c.given, float(win)) for (name, c), win in zip(found.items(), wins, strict=True)
    ]
    return sorted(predictions, key=lambda p: -abs(p.rho.value) if p.rho.value is not None else 1.0)
