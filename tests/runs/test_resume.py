"""Killed at any moment, started again, and in the end not a bit is different.

Commands run in processes of their own and are killed with SIGKILL after they have taken their run: while they load,
score, train, write a checkpoint or write the model. What they leave at the end is compared with what an undisturbed
process leaves in another store.
"""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from runs.conftest import Job, NewDesk, Whole, whole
from unlearnkit.store import Store


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "undisturbed"),
    [pytest.param("scoring", "scored", marks=pytest.mark.slow), ("unlearning", "unlearned")],
)
def test_killed_at_random_moments(
    name: str, undisturbed: str, kills: int, new_desk: NewDesk, request: pytest.FixtureRequest
):
    """Each kill hits a process that works; a store is killed in until its run is complete, then the next begins."""
    job: Job = request.getfixturevalue(name)
    expected: Whole = request.getfixturevalue(undisturbed)
    rng = random.Random(f"{name} {kills}")
    hit = 0
    for store in range(kills):
        desk, worked = new_desk(f"killed-{store}"), 0.0
        code = -signal.SIGKILL
        while code:
            command = desk.start(*job.args)
            works = command.reach(f"run {job.kind}")
            if works and hit < kills:
                delay = rng.uniform(0, max(expected.seconds - worked, expected.seconds / 5))
                time.sleep(delay)
                command.signal(signal.SIGKILL)
                worked += delay
            code = command.wait()
            assert code in (0, -signal.SIGKILL), command.stderr
            hit += code != 0
            assert works or code == 0, "only a run that is complete is not taken up again"
        assert job.result(desk) == expected.result
        if hit == kills:
            break
    assert hit == kills


@pytest.mark.slow
def test_workers_end_with_a_killed_parent_and_others_go_on(scoring: Job, scored: Whole, new_desk: NewDesk):
    """Killed outright, a parent cannot dismiss its workers; what they had measured is there, in the same bits."""
    desk = new_desk("killed")
    command = desk.start(*scoring.args, "--workers", "2")
    assert command.reach("run score")
    workers: set[int] = set()
    done = 0
    while not done:
        workers |= children(command.pid)
        assert command.running, command.stderr
        with desk.store as store:
            done = len(store.blocks(store.run("@last").series))
        time.sleep(0.05)
    command.signal(signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    assert len(workers) >= 2
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < until, "a worker outlives its parent"
        time.sleep(0.05)
    desk.run(*scoring.args, "--workers", "2")
    assert scoring.result(desk) == scored.result


def children(pid: int) -> set[int]:
    """Processes that a process has started."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@pytest.mark.parametrize("event", ["run score", "step 3"])
def test_resume_goes_on_as_the_command_would(event: str, unlearning: Job, unlearned: Whole, new_desk: NewDesk):
    desk = new_desk("killed")
    command = desk.start(*unlearning.args, pause=event)
    assert command.reach(event)
    command.signal(signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    with desk.store as store:
        run = store.run("@last")
        assert (run.kind, run.status) == ("unlearn", "interrupted")
    desk.run("resume", run.id)
    assert unlearning.result(desk) == unlearned.result


@pytest.mark.slow
@pytest.mark.parametrize("mutation", ["order", "optimizer"])
def test_the_control_without_what_resume_rests_on(mutation: str, unlearning: Job, unlearned: Whole, new_desk: NewDesk):
    """A run without the one property is no different while nobody kills it, and different when somebody does."""
    assert whole(unlearning, new_desk("mutant", BREAK=mutation)).result == unlearned.result
    desk = new_desk("killed", BREAK=mutation)
    command = desk.start(*unlearning.args, pause="step 5")
    assert command.reach("step 5")
    command.signal(signal.SIGKILL)
    command.wait()
    desk.run(*unlearning.args)
    model = (desk.folder / "model" / "model.safetensors").read_bytes()
    assert model != unlearned.result["files"]["model.safetensors"]


@pytest.mark.slow
def test_what_is_forgotten_is_known_after_a_kill(stopping: Job, new_desk: NewDesk):
    """A sampler that draws what is not forgotten draws the same, but for the control, which has to find out anew."""
    undisturbed = whole(stopping, new_desk("undisturbed")).result
    for desk, same in ((new_desk("killed"), True), (new_desk("mutant", BREAK="memory"), False)):
        command = desk.start(*stopping.args, pause="step 11")
        assert command.reach("step 11")
        command.signal(signal.SIGKILL)
        command.wait()
        with desk.store as store:
            run = store.run("@last")
            assert [mark.step for mark in store.checkpoints(run.id)] == [9, 8]
            swept = [row.nll > 6.3 for row in store.probes(run.id) if row.updates == 8]
            assert len(swept) == 8 and any(swept) and not all(swept), "some samples have left"
        desk.run("resume", run.id)
        assert (stopping.result(desk) == undisturbed) == same


def test_a_damaged_checkpoint_is_left_out_and_the_bits_are_the_same(
    unlearning: Job, unlearned: Whole, new_desk: NewDesk
):
    desk = new_desk("damaged")
    command = desk.start(*unlearning.args, pause="step 5")
    assert command.reach("step 5")
    command.signal(signal.SIGKILL)
    command.wait()
    with desk.store as store:
        newest, older = store.checkpoints(store.run("@last").id)
        assert (newest.step, older.step) == (4, 3)
        spoil(store, newest.file)
    done = desk.run(*unlearning.args)
    assert "warning: checkpoint of step 4 left out" in done.stderr
    assert "going on from step 3 of 6" in done.stderr
    assert unlearning.result(desk) == unlearned.result


def spoil(store: Store, sha: str) -> None:
    (file,) = store.files.root.rglob(f"{sha}.safetensors")
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
