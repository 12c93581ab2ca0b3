"""Score runs as others read them: under which name, of which samples, in which thirds."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.contracts import Scorer
from unlearnkit.errors import BadInput, NotFound
from unlearnkit.settings import BATCH_SIZE

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import records

THIRDS = {
    "easy": ("hard", "middle", "easy"),
    "hard": ("easy", "middle", "hard"),
    "unknown": ("low", "middle", "high"),
}
"""What a scorer's claim makes of its lowest, middle and highest third."""


@dataclass(frozen=True)
class Scored:
    """A score run with its values by sample, None where undefined. `name` is the scorer's, and what was asked of it
    that is not its default; `high_means` and `source` are its claim, and whose. `among` counts the runs that it was
    chosen from."""

    run: records.Run
    name: str
    high_means: str
    source: str
    values: Mapping[str, float | None]
    among: int = 1

    @property
    def reliability(self) -> float | None:
        """Of its ranking, as stored; None for a measure without noise, and where it is not known."""
        known: float | None = self.run.summary.get("reliability")
        return known

    @property
    def defined(self) -> dict[str, float]:
        """Samples that have a value, and it."""
        return {sample: value for sample, value in self.values.items() if value is not None}

    @property
    def thirds(self) -> tuple[str, str, str]:
        """What its lowest, middle and highest third are called."""
        return THIRDS[self.high_means]

    def array(self, samples: Collection[str]) -> np.ndarray:
        """Values in the samples' order, NaN where there is none, [n]."""
        values = (self.values.get(sample) for sample in samples)
        return np.array([np.nan if value is None else value for value in values])


def scored(place: Workplace, run: records.Run) -> Scored:
    """A complete score run, read."""
    values = {row.sample: row.value for row in place.reading().scores(run.id).values()}
    plugin = _plugin(place, run)
    return Scored(run, scorer_name(place, run), plugin.high_means, plugin.source, values)


def third_names(place: Workplace, run: records.Run) -> tuple[str, str, str]:
    """What the lowest, middle and highest third of a score run are called."""
    return THIRDS[_plugin(place, run).high_means]


def scorer_name(place: Workplace, run: records.Run) -> str:
    """The scorer of a run with what differs from its defaults and those of `score`; two measures never look alike."""
    usual: dict[str, Any] = {"seed": 0, "batch_size": BATCH_SIZE, "template": "auto", "system_prompt": None}
    chosen = {key: run.config["request"].get(key, default) for key, default in usual.items()}
    if _offered(place, run):
        usual |= {option.name: option.default for option in place.plugins.describe("scorer", run.method).options}
    asked = {**run.config["options"], **chosen}
    differing = [f"{key}={value}" for key, value in asked.items() if key not in usual or usual[key] != value]
    return f"{run.method} ({', '.join(differing)})" if differing else run.method


def all_scored(place: Workplace, weights: str, samples: Collection[str]) -> list[Scored]:
    """Every measure that the store holds of all of the samples under a model, by name, the newest run of each.

    What depends on texts alone holds for every model; where it was measured with this one too, that counts."""
    found: dict[str, Scored] = {}
    mine_first = sorted(_complete(place), key=lambda run: run.model != weights)
    for run in mine_first:
        if _holds_for(place, run, weights) and scorer_name(place, run) not in found:
            candidate = scored(place, run)
            if candidate.values.keys() >= set(samples):
                found[candidate.name] = candidate
    return [found[name] for name in sorted(found)]


def choose_scored(
    place: Workplace, *, by: str = "mrd", run: str | None = None, weights: str | None = None, data: Collection[str] = ()
) -> Scored:
    """The scores to go by: the run that was named; else, of the runs of a scorer that cover most of `data`, the most
    reliable one, under the model of these weights where they are given. Of equals it is the newest.

    Raises:
        NotFound: code `scores`, where the store holds none.
        BadInput: code `scores`, where the named run has none.
    """
    store, wanted = place.reading(), set(data)
    if run is not None:
        named = store.run(run)
        if named.kind != "score" or named.state != "complete":
            raise BadInput(f"run {named.id} has no scores: it is {named.kind}, {named.status}", code="scores")
        return scored(place, named)
    place.plugins.resolve("scorer", by)  # a name with a mistake in it is told as such
    mine = [r for r in _complete(place) if r.method == by and (weights is None or _holds_for(place, r, weights))]
    candidates = [(len(wanted & s.defined.keys()), s) for s in (scored(place, r) for r in mine)]
    most = max((covered for covered, _ in candidates), default=0)
    fitting = [s for covered, s in candidates if covered == most and (covered or not wanted)]
    if fitting:
        best = max(fitting, key=lambda s: -math.inf if s.reliability is None else s.reliability)
        return replace(best, among=len(fitting))
    model = None if weights is None else store.model(weights)
    of = f"{' of these samples' if wanted else ''}{f' under {model.source}' if model else ''}"
    raise NotFound(
        f"the store holds no {by} scores{of}",
        hint=f"unlearnkit score --model {model.source if model else 'MODEL'} --data DATA --scorer {by}",
        code="scores",
    )


def bins(values: Mapping[str, float], count: int) -> list[list[str]]:
    """Samples from the lowest value to the highest, in parts of sizes that differ by 1 at most."""
    ranked = sorted(values, key=lambda sample: (values[sample], sample))
    return [[str(sample) for sample in part] for part in np.array_split(np.array(ranked, dtype=object), count)]


def _complete(place: Workplace) -> list[records.Run]:
    """Newest first; scores of weights in the middle of training, which nobody asked for, are left out."""
    return [run for run in place.reading().runs(kind="score", state="complete") if run.config.get("request")]


def _holds_for(place: Workplace, run: records.Run, weights: str) -> bool:
    plugin = _plugin(place, run)
    return run.model == weights or not (plugin.reads_model or plugin.reads_tokens)


def _plugin(place: Workplace, run: records.Run) -> type[Scorer]:
    """The scorer's class; where it is not installed any more, what holds for any."""
    return place.plugins.resolve("scorer", run.method) if _offered(place, run) else Scorer


def _offered(place: Workplace, run: records.Run) -> bool:
    return run.method in place.plugins.offers("scorer")
