"""What a field of `--where` is of a run.

A run's own come first. What it has not itself (an evaluation has no algorithm, no rate) is that of the run it was made
for; and a training run has the numbers of its model's newest evaluation that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from unlearnkit.runs.about import about

if TYPE_CHECKING:
    from unlearnkit.runs.about import About
    from unlearnkit.store import Store, records

Value = str | int | float
Numbers = Mapping[str, Mapping[str, float | None]]
"""By run and name."""

DATES = ("created", "finished")
FIELDS = (
    "id", "kind", "method", "algorithm", "sampler", "wrapper", "adapter", "scorer", "suite", "attack", "state", "exact",
    "seed", "model", "data", "tag", "note", "parent", *DATES,
)  # fmt: skip
"""Those that every store knows; besides there are options, what training was planned with and came to, and numbers."""
_METHODS = {"algorithm": ("unlearn", "finetune"), "scorer": ("score",), "suite": ("eval",), "attack": ("attack",)}
_CHOSEN = ("sampler", "wrapper", "adapter")
_MADE = ("unlearn", "finetune")


class Fields:
    """The fields of some runs. `runs` are all of a store; `numbers` those of evaluations and attacks."""

    def __init__(self, store: Store, runs: Sequence[records.Run], numbers: Numbers) -> None:
        self._store = store
        self._runs = {run.id: run for run in runs}
        self._numbers = numbers
        self._options: dict[str, dict[str, tuple[Value, ...]]] = {}

    def of(self, name: str, run: records.Run) -> tuple[Value, ...]:
        """The values of a field, none where a run has no such thing, several where it has several."""
        if name in FIELDS:
            return self._fixed(name, run) or self._fixed_elsewhere(name, run)
        return self._further(name, run)

    def options(self) -> set[str]:
        """All fields besides `FIELDS` that are no numbers."""
        return set(chain.from_iterable(map(self._configured, self._runs.values())))

    def numbers(self) -> set[str]:
        return set(chain.from_iterable(self._numbers.values()))

    # ------------------------------------------------------------------------------------------------ what all have

    def _fixed(self, name: str, run: records.Run) -> tuple[Value, ...]:
        if name in _METHODS:
            return (run.method,) if run.kind in _METHODS[name] else ()
        if name in _CHOSEN:
            return _values(run.config.get(name))
        special: dict[str, Callable[[], Iterable[Any]]] = {
            "state": lambda: [run.status],
            "tag": lambda: run.tags,
            "model": lambda: [self._about[run.id].model, self._sources.get(run.model), run.model],
            "data": lambda: [*self._about[run.id].data.values(), *run.datasets.values()],
        }
        found = special[name]() if name in special else [getattr(run, name)]
        return tuple(chain.from_iterable(map(_values, found)))

    def _fixed_elsewhere(self, name: str, run: records.Run) -> tuple[Value, ...]:
        parent = self._runs.get(run.parent or "")
        return self._fixed(name, parent) if parent and name in ("algorithm", *_CHOSEN) else ()

    @cached_property
    def _about(self) -> dict[str, About]:
        return about(self._store, self._runs.values())

    @cached_property
    def _sources(self) -> dict[str, str]:
        return {fingerprint: model.source for fingerprint, model in self._store.models().items()}

    # -------------------------------------------------------------------------------------------------- what some have

    def _further(self, name: str, run: records.Run) -> tuple[Value, ...]:
        for source in (run, self._runs.get(run.parent or "")):
            if source is not None and (found := self._configured(source).get(name)):
                return found
        value = self._numbers.get(run.id, {}).get(name)
        if value is None and run.kind in _MADE:
            made = (self._numbers.get(e.id, {}).get(name) for e in self._evaluations.get(run.summary.get("model"), ()))
            value = next((of for of in made if of is not None), None)
        return _values(value)

    def _configured(self, run: records.Run) -> dict[str, tuple[Value, ...]]:
        """Options as "PLUGIN.NAME" and "option.NAME"; what a run was planned with and what it came to by name."""
        if run.id not in self._options:
            config, asked = run.config, run.config.get("request") or {}
            found: dict[str, Any] = {**config.get("plan", {}), **run.summary}
            for plugin, options in (
                (run.method, config.get("options")),
                (config.get("sampler"), asked.get("sampler_options")),
                (config.get("wrapper"), config.get("wrapper_options")),
                (config.get("adapter"), config.get("adapter_options")),
            ):
                for key, value in (options or {}).items():
                    found[f"{plugin}.{key}"] = value
                    found.setdefault(f"option.{key}", value)
            self._options[run.id] = {name: values for name, value in found.items() if (values := _values(value))}
        return self._options[run.id]

    @cached_property
    def _evaluations(self) -> dict[Any, list[records.Run]]:
        """Complete ones by model, newest first."""
        found: dict[Any, list[records.Run]] = {}
        for run in self._runs.values():
            if run.kind == "eval" and run.state == "complete":
                found.setdefault(run.model, []).append(run)
        return found


def _values(value: Any) -> tuple[Value, ...]:
    """What can be compared of a value: a truth value as a word, each member of a list, nothing of a mapping."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, (list, tuple)):
        return tuple(chain.from_iterable(map(_values, value)))
    return (value,) if isinstance(value, (str, int, float)) else ()
