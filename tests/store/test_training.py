"""What a resumed training finds, and in which order it got onto the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import Store
from unlearnkit.store.records import Checkpoint, OrderRow, ProbeRow, StepRow

from .making import a_run


def tensors(n: int) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3, 2), float(n)), "step": torch.tensor(n)}


def checkpoint(store: Store, n: int, **state: object) -> Checkpoint:
    return Checkpoint(n, store.files.save(tensors(n)), state)


def test_a_step_that_turns_out_otherwise_is_reported_and_left(store: Store):
    run = a_run(store).id
    steps = [StepRow(n, {"loss": n / 3, "lr": 1e-5}) for n in range(1, 2500)]
    assert store.put_steps(run, steps) == []
    assert store.put_steps(run, steps) == []
    changed = [StepRow(7, {"loss": 7 / 3 + 1e-15, "lr": 1e-5}), StepRow(8, {"loss": 8 / 3}), *steps[8:]]
    assert store.put_steps(run, changed) == [7, 8]
    assert store.steps(run) == steps
    assert store.put_steps(run, []) == []


def test_a_run_is_probed_from_its_first_nll_on(store: Store):
    run, other = a_run(store).id, a_run(store, "other").id
    assert not store.probed(run)
    store.put_probes(run, [ProbeRow(0, "a", None, True)])
    assert store.probed(run) and not store.probed(other)


def test_orders(store: Store):
    run = a_run(store).id
    store.put_order(run, OrderRow(0, None, "aa"))
    store.put_order(run, OrderRow(1, "scores", "bb"))
    assert [store.order(run, n) for n in range(3)] == [OrderRow(0, None, "aa"), OrderRow(1, "scores", "bb"), None]


def test_checkpoints_come_with_their_steps_and_old_ones_go(store: Store):
    run, other = a_run(store, "1").id, a_run(store, "2").id
    store.claim(run)  # else nobody is there to record a file that has no row yet
    shared = checkpoint(store, 1)
    store.put_checkpoint(other, shared)
    marks = [checkpoint(store, n, epoch=n, at=[n, None]) for n in range(1, 6)]
    for mark in marks:
        assert store.put_checkpoint(run, mark, [StepRow(mark.step, {"loss": 1.0})]) == []
    assert store.checkpoints(run) == [marks[4], marks[3]]
    assert [step.step for step in store.steps(run)] == [1, 2, 3, 4, 5]
    # The first one's file is also the other run's.
    assert set(store.files.stored()) == {shared.file, marks[3].file, marks[4].file}
    assert store.put_checkpoint(run, marks[4], [StepRow(5, {"loss": 2.0})]) == [5]
    store.finish(run, "complete")
    assert store.checkpoints(run) == []
    assert set(store.files.stored()) == {shared.file}
    assert (store.files.load(shared.file)["w"] == 1).all()


def test_a_refused_step_takes_its_checkpoint_along(store: Store):
    run = a_run(store).id
    with pytest.raises(ValueError):
        store.put_checkpoint(run, checkpoint(store, 1), [StepRow(1, {"loss": float("nan")})])
    assert store.checkpoints(run) == []


@pytest.mark.parametrize("sha", ["0" * 64, "../../etc/passwd", "/etc/passwd"])
def test_no_row_without_its_file(store: Store, sha: str):
    run = a_run(store).id
    with pytest.raises(UnlearnkitError) as caught:
        store.put_checkpoint(run, Checkpoint(1, sha, {}))
    assert caught.value.code == "checkpoint"
    assert store.checkpoints(run) == []


def test_each_call_in_its_order(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Write, flush the file, rename, flush the folder; the row last. Stands in for cutting the power."""
    run = a_run(store).id
    calls: list[str] = []

    def traced(name: str, describe) -> None:
        real = getattr(os, name)

        def call(*args, **more):
            calls.append(describe(*args))
            return real(*args, **more)

        monkeypatch.setattr(os, name, call)

    def kind(handle: int) -> str:
        return "folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file"

    traced("write", lambda *_: "write")
    traced("fsync", lambda handle: f"fsync {kind(handle)}")
    traced("replace", lambda source, target: f"rename {Path(source).name[:5]} {Path(target).parent.name}")
    store.files.root.mkdir()
    sha = store.files.save(tensors(1))
    saved = list(calls)
    has = store.files.has
    monkeypatch.setattr(store.files, "has", lambda found: calls.append("row") or has(found))
    store.put_checkpoint(run, Checkpoint(1, sha, {}))

    assert set(saved[:3]) == {"write"}
    assert saved[3:] == ["fsync file", "fsync folder", f"rename .tmp- {sha[:2]}", "fsync folder"]
    assert calls[len(saved) :] == ["row"]
