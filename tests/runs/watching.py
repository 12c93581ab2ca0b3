"""A plugin file for commands under test: says how far a run is, waits where it is told to, and is broken on request.

Appends a line to the file EVENTS for each run that starts ("run <kind>") and each step ("step <n>"). At the event named
by PAUSE it waits until the file EVENTS.go exists. BREAK names a mutation of the kit, as a control: what resume rests on
is taken away.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import pluggy

hookimpl = pluggy.HookimplMarker("unlearnkit")


def _event(text: str) -> None:
    events = os.environ.get("EVENTS")
    if events is None:
        return
    with Path(events).open("a") as file:
        file.write(text + "\n")
    while os.environ.get("PAUSE") == text and not Path(events + ".go").exists():
        time.sleep(0.002)


@hookimpl
def run_started(run: Any) -> None:
    _event(f"run {run.kind}")


@hookimpl
def step_finished(step: int) -> None:
    _event(f"step {step}")


def _order_by_a_counter() -> None:
    """The order of an epoch follows from how many this process has seen: as good, until a process is replaced."""
    from unlearnkit.runs import orders

    derive, count = orders.derive, itertools.count()
    orders.derive = lambda seed, purpose, epoch: derive(seed, purpose, next(count) if purpose == "order" else epoch)


def _no_optimizer() -> None:
    """Checkpoints hold weights alone."""
    from unlearnkit.training.loop import Trainer

    state = Trainer.state
    Trainer.state = lambda self: {n: t for n, t in state(self).items() if not n.startswith("optimizer.")}


def _no_memory() -> None:
    """What was known of the samples' NLL is not known any more."""
    from unlearnkit.training.probes import Probes

    Probes.restore = lambda *_: None


MUTATIONS = {
    "order": _order_by_a_counter,
    "optimizer": _no_optimizer,
    "memory": _no_memory,
}
if "BREAK" in os.environ:
    MUTATIONS[os.environ["BREAK"]]()
