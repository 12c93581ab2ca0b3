"""What runs are about, in names: the model, and the data by role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearnkit.store import Store, records


@dataclass(frozen=True)
class About:
    """A run's model and its data by role, as people call them."""

    model: str
    data: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.model}: {', '.join(dict.fromkeys(self.data.values()))}" if self.data else self.model


def about(store: Store, runs: Iterable[records.Run]) -> dict[str, About]:
    """What each of some runs is about, by its id."""
    models, datasets = store.models(), store.datasets()
    writers = {run.id: run for run in store.runs(kind="unlearn")}

    def model(run: records.Run) -> str:
        if run.kind in ("eval", "attack"):
            return label(run, writers.get(run.parent or ""))
        return last(models[run.model].source) if run.model in models else run.model[:8]

    return {
        run.id: About(model(run), {role: last(datasets[data].label) for role, data in run.datasets.items()})
        for run in runs
    }


def label(run: records.Run, writer: records.Run | None) -> str:
    """What the model of an evaluation or an attack is called; `writer` is the run that made it, where one did."""
    if writer is not None and writer.kind == "unlearn":
        return f"{writer.method}, {writer.config['sampler']}"
    return last(str(run.summary.get("label", run.model[:8])))


def last(source: str) -> str:
    """A file's or folder's name without the folders around it; what else a source is called as it is."""
    return source.rstrip("/").rsplit("/", 1)[-1]
