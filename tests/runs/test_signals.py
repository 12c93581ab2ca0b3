"""Asked to stop: a step is taken whole and kept, the next command is named, and nothing is different in the end."""

from __future__ import annotations

import json
import signal
import time

import pytest

from runs.conftest import Desk, Job, NewDesk, Running, Whole


def stopped(desk: Desk, command: Running) -> str:
    """The run that a command was stopped in; its message names it."""
    assert command.wait() == 130, command.stderr
    with desk.store as store:
        run = store.run("@last")
    assert (run.status, run.error_code, run.exact) == ("interrupted", "interrupted", True)
    assert command.stderr.splitlines()[-1] == f"hint: unlearnkit resume {run.id}"
    return run.id


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGINT, signal.SIGUSR1))]
)
def test_a_signal_ends_training_after_the_step(number: int, unlearning: Job, unlearned: Whole, new_desk: NewDesk):
    desk = new_desk("stopped")
    command = desk.start(*unlearning.args, pause="step 3")
    assert command.reach("step 3")
    command.signal(number)
    time.sleep(0.05)
    command.go()
    run = stopped(desk, command)
    assert "error: stopped after step 3 of 6; nothing is lost" in command.stderr
    assert command.events[-1] == "step 3"
    with desk.store as store:
        assert [mark.step for mark in store.checkpoints(run)] == [3, 2]
        assert [row.step for row in store.steps(run)] == [1, 2, 3]
    again = desk.run("resume", run)
    assert "going on from step 3 of 6" in again.stderr
    assert unlearning.result(desk) == unlearned.result


@pytest.mark.slow
def test_scoring_ends_at_once_within_training_too(unlearning: Job, unlearned: Whole, new_desk: NewDesk):
    desk = new_desk("stopped")
    command = desk.start(*unlearning.args, pause="run score")
    assert command.reach("run score")
    command.signal(signal.SIGTERM)  # it is in its pause, and need not be told to go on
    run = stopped(desk, command)
    with desk.store as store:
        assert store.run(run).kind == "unlearn", "what was typed goes on, not what it needed"
    desk.run("resume", "@last")
    assert unlearning.result(desk) == unlearned.result


@pytest.mark.slow
def test_score_ends_at_once(scoring: Job, scored: Whole, new_desk: NewDesk):
    desk = new_desk("stopped")
    command = desk.start(*scoring.args, pause="run score")
    assert command.reach("run score")
    command.signal(signal.SIGTERM)
    stopped(desk, command)
    desk.run("resume", "@last")
    assert scoring.result(desk) == scored.result


@pytest.mark.slow
def test_a_second_signal_does_not_wait_for_the_step(unlearning: Job, new_desk: NewDesk):
    desk = new_desk("stopped")
    command = desk.start(*unlearning.args, pause="step 3")
    assert command.reach("step 3")
    command.signal(signal.SIGINT)
    time.sleep(0.1)
    command.signal(signal.SIGINT)
    stopped(desk, command)


@pytest.mark.slow
def test_the_same_command_twice_at_once(unlearning: Job, unlearned: Whole, new_desk: NewDesk):
    desk = new_desk("twice")
    first = desk.start(*unlearning.args, pause="step 3")
    assert first.reach("step 3")
    second = desk.start(*unlearning.args, "--format", "json")
    assert second.wait() == 1
    error = json.loads(second.stderr.splitlines()[-1])["error"]
    assert error["code"] == "busy" and f"process {first.pid} on " in error["message"]
    assert second.events == []
    first.go()
    assert first.wait() == 0
    assert unlearning.result(desk) == unlearned.result
    third = desk.run(*unlearning.args)
    assert "is complete: nothing to do" in third.stderr and third.events == []
