"""What is evaluated, by what it is known, and which run made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.errors import NotFound
from unlearnkit.models import ModelSource
from unlearnkit.runs.inputs import MODEL_KINDS
from unlearnkit.runs.workplace import Workplace

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from unlearnkit.store import Store
    from unlearnkit.store.records import Run


@dataclass(frozen=True)
class Weights:
    """What is evaluated: weights by content, under a name, and how to get at them."""

    fingerprint: str
    label: str
    load: Callable[[], PreTrainedModel]


def writer(place: Workplace, source: ModelSource) -> str | None:
    """The run that wrote a model, found by its content."""
    return next((run.id for run in _writers(place.store, source.fingerprint)), None)


def evaluated_as(place: Workplace, fingerprint: str) -> str:
    """What a model's weights were known by before they lay in a folder, where the run that wrote them had evaluated
    them: what was found then holds of them. Not where the folder is read in another precision than they had, or has
    but a part of them."""
    try:
        store = place.reading()
    except NotFound:
        return fingerprint
    for run in _writers(store, fingerprint):
        kept, plan = run.summary, run.config["plan"]
        looked = kept.get("evaluations", {}).get(str(kept.get("step")))
        if looked is None or plan["precision"] == "bf16" or not run.config.get("merged", True):
            continue
        try:
            return store.run(looked, ("eval",)).model
        except NotFound:  # it was removed
            continue
    return fingerprint


def _writers(store: Store, fingerprint: str) -> Iterator[Run]:
    for run in store.runs(state="complete"):
        if run.kind in MODEL_KINDS and run.summary.get("model") == fingerprint:
            yield run
