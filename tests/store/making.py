"""Short ways to fill a store, and to do something in another process."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

from unlearnkit.store import Store, new_id
from unlearnkit.store.records import Dataset, Model, Row, Run

FORK = multiprocessing.get_context("fork")

MODEL = Model("f" * 64, "tiny", "llama", 10)
DATA = Dataset("d" * 64, "people", 3)


def draft(identity: str = "i", **changes: Any) -> Run:
    values: dict[str, Any] = {
        "id": new_id(), "kind": "score", "identity": identity, "state": "created", "method": "mrd",
        "model": MODEL.fingerprint, "datasets": {"data": DATA.fingerprint}, "config": {"sigma": 1e-3},
        "environment": {"torch": "2"}, "argv": ("score", "--seed", "1"), "seed": 2**62, "series": "s" + identity,
    }  # fmt: skip
    return Run(**{**values, **changes})


def a_run(store: Store, identity: str = "i", **changes: Any) -> Run:
    store.put_model(MODEL)
    rows = [Row(i, f"{i:064x}", tokens=i) for i in range(DATA.n)]
    store.put_dataset(DATA, rows)
    return store.begin(draft(identity, **changes))[0]


def fork(action: Callable[[], None]) -> multiprocessing.Process:
    """A child that runs `action`, started; exits with 0 unless it raises."""
    child = FORK.Process(target=action)
    child.start()
    return child


def all_succeed(children: list[Any], seconds: float = 60) -> None:
    for child in children:
        child.join(seconds)
    assert [child.exitcode for child in children] == [0] * len(children)


def as_nobody(action: Callable[[], None]) -> int:
    """Exit code of `action` run in a child without root's power to write everywhere."""

    def powerless() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        action()

    child = fork(powerless)
    child.join(30)
    assert child.exitcode is not None
    return child.exitcode
