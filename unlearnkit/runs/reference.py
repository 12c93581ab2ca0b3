"""Whether what a model is held against can be a reference: one that never saw the forget set, as far as the store
knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from unlearnkit.contracts import to_be_forgotten
from unlearnkit.errors import BadInput, NotFound
from unlearnkit.runs.inputs import MODEL_KINDS

if TYPE_CHECKING:
    from unlearnkit.data.samples import SampleSet
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import Run


def check_other(reference: str, theirs: str, own: str) -> None:
    """See that a model is not held against itself, where all numbers would be perfect.

    Args:
        reference: what it was called by.
        theirs, own: fingerprints of the reference and of the model that is held against it.

    Raises:
        BadInput: code `reference`.
    """
    if theirs == own:
        raise BadInput(
            f"--reference {reference} is of the very weights that are held against it",
            hint="a model that never saw the forget set: unlearnkit finetune --model BASE --data RETAIN",
            code="reference",
        )


def warn_if_seen(
    place: Workplace, reference: str, theirs: str, own: str, sets: Mapping[str, SampleSet], *, begins: bool = False
) -> None:
    """Tell of a reference that is what was unlearned, or that runs in the store trained on what is to be forgotten. A
    model from elsewhere may have seen it as well: of that the store knows nothing.

    Args:
        reference, theirs, own: as in `check_other`.
        sets: by split or role; those count that are to be forgotten.
        begins: whether the model is one that unlearning begins with, and so no reference either.
    """
    samples = {sample.id for split, chosen in sets.items() if to_be_forgotten(split) for sample in chosen.samples}
    begun = {own} if begins else set()
    begun |= {
        run.model
        for run in lineage(place, own)
        if run.kind == "unlearn" and _shared(place, run.datasets["forget"], samples)
    }
    if theirs in begun:
        place.progress.warn(f"--reference {reference} is the model that was unlearned: it is no retain-only model")
        return
    taught = {data for run in lineage(place, theirs) for role, data in run.datasets.items() if role != "forget"}
    if seen := {sample for data in taught for sample in _shared(place, data, samples)}:
        place.progress.warn(
            f"--reference {reference} was trained on {len(seen)} of the {len(samples)} forget samples: "
            "it is no retain-only model"
        )


def lineage(place: Workplace, model: str) -> list[Run]:
    """The runs that wrote a model, by its fingerprint, and those that wrote what they began with, and so on."""
    try:
        runs = [run for kind in MODEL_KINDS for run in place.reading().runs(kind=kind, state="complete")]
    except NotFound:  # there is no store yet
        return []
    found: list[Run] = []
    known, ahead = {model}, [model]
    while ahead:
        now = ahead.pop()
        wrote = [run for run in runs if run.summary.get("model") == now]
        found += wrote
        ahead += {run.model for run in wrote} - known
        known.update(ahead)
    return found


def _shared(place: Workplace, data: str, samples: Collection[str]) -> set[str]:
    """Which of some samples a data set of the store has."""
    return {row.sample for row in place.reading().rows(data) if row.sample is not None and row.sample in samples}
