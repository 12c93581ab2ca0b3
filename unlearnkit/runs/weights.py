"""What is evaluated, by what it is known, and which run made it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.models import ModelSource
from unlearnkit.runs.inputs import MODEL_KINDS
from unlearnkit.runs.workplace import Workplace

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Weights:
    """What is evaluated: weights by content, under a name, and how to get at them. Their evaluation on the way of a
    run, where they are `unwritten`, is a run of its own; what it found is known by their content all the same."""

    fingerprint: str
    label: str
    load: Callable[[], PreTrainedModel]
    unwritten: bool = False


def writer(place: Workplace, source: ModelSource) -> str | None:
    """The run that wrote a model, found by its content."""
    for run in place.store.runs(state="complete"):
        if run.kind in MODEL_KINDS and run.summary.get("model") == source.fingerprint:
            return run.id
    return None
