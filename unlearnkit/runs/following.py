"""Training by several processes, from both sides: the one that leads runs the command as it would alone; the others
are told what they train and follow its steps.

They share no store and no data files: what a trainer is made of is sent to them, and each reads the model's folder.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput, Interrupted
from unlearnkit.models import load_model
from unlearnkit.runs.stopping import SIGNALS
from unlearnkit.runs.workplace import Workplace
from unlearnkit.training.words import sharing

if TYPE_CHECKING:
    from unlearnkit.models import ModelSource
    from unlearnkit.training.plan import TrainingPlan


@contextmanager
def leading(place: Workplace) -> Iterator[None]:
    """Work with the others waiting for orders; they are let go at the end, however that comes."""
    place.progress.say(f"{place.environment()['processes'].replace(' ', ' processes, ')}")
    try:
        yield
    finally:
        with suppress(Interrupted):  # they have gone already
            place.team.tell(("end",))
            place.team.leave()


def check_shared(place: Workplace, plan: TrainingPlan, whole_only: bool, name: str) -> None:
    """See that a model which is shared as this one is can be trained so, by a method that may need it whole.

    Raises:
        BadInput: code `processes`, or `usage` for a method that cannot have activations computed again.
    """
    in_pieces = sharing(place.settings.parallel) == "fsdp2"
    if whole_only and in_pieces:
        raise BadInput(f"{name} cannot train a model in pieces", hint="--parallel ddp", code="processes")
    if whole_only and plan.recompute:
        raise BadInput(f"{name} cannot train with --gradient-checkpointing", hint="leave it out", code="usage")
    if plan.optimizer == "adafactor" and in_pieces:
        raise BadInput(
            "torch's adafactor cannot update a model in pieces",
            hint="--parallel ddp, or --optimizer adamw",
            code="processes",
        )


def call_in(place: Workplace, source: ModelSource, parts: Mapping[str, Any]) -> None:
    """Have the others make the trainer that this process makes: `parts` are its arguments, less those of the one that
    leads."""
    place.team.tell(("train", source, dict(parts)))


def follow(place: Workplace) -> None:
    """Train as one of those that do not lead, until that one is done.

    What asks a command to stop is left to the one that leads: it ends a step that all have begun.

    Raises:
        Interrupted: it has gone.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    place.environment()  # sets what bits depend on
    order = place.team.hear()
    while order[0] == "train":
        from unlearnkit.training.loop import Trainer

        _, source, parts = order
        # Held by no name: with it goes its hold on the group that is left below.
        order = Trainer(model=load_model(source), team=place.team, draw=_leader_draws, **parts).follow()

    place.team.leave()


def _leader_draws(step: int) -> list[int]:
    raise AssertionError(f"the process that leads draws step {step}")
