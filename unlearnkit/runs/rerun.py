"""`runs rerun`: does a run come out the same, when all of it is done again?

A run's identity is all that determines its result, so the store has no room for the same run a second time. It is
done in a store of its own, in a temporary folder, where nothing of it is known: every draw, step and value is computed.
What came out is compared with what the first time left, value by value, and a word of that stays with the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput, Interrupted, UnlearnkitError
from unlearnkit.runs.identity import digest, environment
from unlearnkit.runs.resume import again, requested, settings_of
from unlearnkit.runs.workplace import Workplace

if TYPE_CHECKING:
    from unlearnkit.store import Store, records

Values = Mapping[tuple[str, ...], float | str | None]
"""Orders and texts by their hash: what is said of those that differ stays with the run."""


@dataclass(frozen=True)
class Part:
    """A kind of values that a run left: how many, how many of them differ, by how much at most (None where that is no
    number) and the first that does, in words."""

    what: str
    n: int
    differing: int
    most: float | None
    first: str | None

    def json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Rerun:
    """A run against itself. `environment` has, by name, what was and what is where the two differ."""

    run: str
    parts: Sequence[Part]
    environment: Mapping[str, tuple[Any, Any]]

    @property
    def same(self) -> bool:
        """Whether all of it came out the same, to the bit."""
        return not any(part.differing for part in self.parts)

    def json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "same": self.same,
            "parts": [part.json() for part in self.parts],
            "environment": {name: {"was": was, "now": now} for name, (was, now) in self.environment.items()},
        }

    def __str__(self) -> str:
        if self.same:
            return f"came out the same: {', '.join(f'{part.n} {part.what}' for part in self.parts)}"
        told = (
            f"{part.differing} of {part.n} {part.what}, first {part.first}" for part in self.parts if part.differing
        )
        return f"came out otherwise: {'; '.join(told)}"


def rerun(place: Workplace, ref: str) -> Rerun:
    """Do a complete run again in a store of its own, and compare.

    Raises:
        NotFound: no such run, or its model or data are not there any more. BadInput: code `state` for one that is not
            complete. UnlearnkitError: `not-resumable` as `resume` has it; `changed` where model, data, template or a
            plugin are not what they were.
    """
    store = place.reading()
    run = store.run(ref)
    asked = requested(run)
    if run.state != "complete":
        raise BadInput(
            f"run {run.id} is {run.status}: there is nothing to compare with",
            hint=f"unlearnkit resume {run.id}", code="state",
        )  # fmt: skip
    now = environment(place.settings)
    differing = {k: (run.environment.get(k), now.get(k)) for k in {**run.environment, **now}}
    differing = {k: (was, is_) for k, (was, is_) in differing.items() if was != is_} if run.environment else {}
    for name, (was, is_) in differing.items():
        place.progress.warn(f"{name} was {was}, is {is_}: the same bits are not to be expected")
    with tempfile.TemporaryDirectory(prefix="unlearnkit-rerun-") as folder:
        if "out" in asked:
            asked |= {"out": str(Path(folder) / "model"), "force": False}
        settings = replace(settings_of(place.settings, asked), store=str(Path(folder) / "again.db"))
        with Workplace(settings, place.progress, place.argv, inexact=True) as scratch:
            for other in _named(store, asked):
                _lend(store, scratch.store, other)
            try:
                with scratch.going_on_with(run, settings):
                    again(scratch, run.kind, asked)
            except Interrupted as stop:
                raise Interrupted("stopped; nothing of it is kept", hint=f"unlearnkit runs rerun {run.id}") from stop
            except UnlearnkitError as error:
                if error.code != "changed":
                    raise
                message = error.message.replace("cannot go on", "cannot be done again")
                raise UnlearnkitError(message, hint="the first time's inputs are needed", code="changed") from error
            second = scratch.store.find(run.kind, run.identity)
            assert second is not None, "what is not the same run is refused"
            found = Rerun(run.id, list(_parts(store, run, scratch.store, second)), differing)
    if not store.readonly:
        store.event(run.id, "rerun", str(found))
    return found


def _named(store: Store, asked: Any) -> Iterator[records.Run]:
    """The runs that a request names."""
    known = {run.id: run for run in store.runs()}

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, (list, tuple)):
            for of in value:
                yield from walk(of)
        elif isinstance(value, str):
            yield value.removeprefix("run:")

    yield from (known[name] for name in dict.fromkeys(walk(asked)) if name in known)


def _lend(store: Store, other: Store, run: records.Run) -> None:
    """Put a run into another store, with what is read of one that others are held against."""
    if model := store.model(run.model):
        other.put_model(model)
    for fingerprint in run.datasets.values():
        if data := store.dataset(fingerprint):
            other.put_dataset(data, store.rows(fingerprint))
    other.begin(replace(run, parent=None))
    other.put_results(run.id, store.results(run.id))
    other.put_aggregates(run.id, store.aggregates(run.id))


def _parts(store: Store, run: records.Run, other: Store, second: records.Run) -> Iterator[Part]:
    """What both times left, compared."""
    first, anew = _left(store, run), _left(other, second)
    first["numbers"] = _asked_for(first["numbers"], anew["numbers"])
    for what, values in first.items():
        if part := _compared(what, values, anew[what]):
            yield part
    if "model" in run.summary:
        differs = run.summary["model"] != second.summary.get("model")
        yield Part("model", 1, int(differs), None, "its weights" if differs else None)


def _left(store: Store, run: records.Run) -> dict[str, Values]:
    """By kind, values by what they are of. Where they were held against another run, that is named by its identity: it
    may have been made again too."""
    identities = {other.id: other.identity for other in store.runs()}
    return {
        "terms of steps": {
            (f"step {row.step}", name): value for row in store.steps(run.id) for name, value in row.terms.items()
        },
        "draw orders": {(f"epoch {row.epoch}",): row.digest for row in store.orders(run.id)},
        "NLLs on the way": {(f"after {row.updates}", row.sample): row.nll for row in store.probes(run.id)},
        "scores": {(sample, "score"): row.value for sample, row in store.scores(run.id).items()},
        "results": {(f"{r.split}.{r.metric}", r.sample): r.value for r in store.results(run.id)},
        "texts": {(text.split, text.sample): digest(text.text) for text in store.generations(run.id)},
        "numbers": {(row.name, identities.get(row.reference or "", "")): row.value for row in store.aggregates(run.id)},
    }


def _asked_for(numbers: Values, anew: Values) -> Values:
    """Without those against another reference than was asked for with the run: what it is held against is no part of
    a run, so more may have come to it later."""
    references: dict[str, set[str]] = {}
    for name, reference in anew:
        references.setdefault(name, set()).add(reference)
    return {(name, of): value for (name, of), value in numbers.items() if of in references.get(name, {of})}


def _compared(what: str, first: Values, second: Values) -> Part | None:
    names = list(dict.fromkeys([*first, *second]))
    if not names:
        return None
    differing = [name for name in names if name not in first or name not in second or first[name] != second[name]]
    pairs = ((first.get(name), second.get(name)) for name in differing)
    sizes = [abs(a - b) for a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float)]
    shown = None
    if differing:
        name = differing[0]
        shown = (
            f"{' '.join(part[:40] for part in name if part)}: {_word(first.get(name))}, then {_word(second.get(name))}"
        )
    return Part(what, len(names), len(differing), max(sizes, default=None), shown)


def _word(value: float | str | None) -> str:
    return "nothing" if value is None else f"{value[:8]}…" if isinstance(value, str) else f"{value:.6g}"
