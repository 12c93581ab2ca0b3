"""A command on two processes: what it says and leaves, what it refuses, and that a lost process ends it cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from unlearnkit.store import Store

PROCESSES = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "unlearnkit"]
STEPS = 12


def arguments(folder: Path, model: str, forget: Path, retain: Path) -> list[str]:
    return [
        "unlearn", "--model", model, "--forget", str(forget), "--retain", str(retain), "--plugin", "graddiff",
        "--batch-size", "4", "--max-steps", str(STEPS), "--lr", "1e-3", "--checkpoint-every", "1", "--out",
        str(folder / "model"),
    ]  # fmt: skip


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *PROCESSES, *words], cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def steps(folder: Path) -> int:
    if not (folder / "unlearnkit.db").exists():
        return 0
    with Store.open(folder / "unlearnkit.db") as store:
        runs = store.runs()
        return len(store.steps(runs[0].id)) if runs else 0


def rank(launcher: int, number: int) -> int:
    """The process of a rank, of those that a launcher started."""
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if f"RANK={number}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(f"no rank {number}")


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_it_goes_on(
    tmp_path: Path, tiny_model_dir: Path, forget_file: Path, retain_file: Path
):
    """First a follower is lost, then, as the run goes on, the leader; in the end no bit is different."""
    folders = {name: tmp_path / name for name in ("whole", "killed")}
    for folder in folders.values():
        folder.mkdir()
    words = {name: arguments(f, str(tiny_model_dir), forget_file, retain_file) for name, f in folders.items()}
    undisturbed = start(folders["whole"], *words["whole"])
    assert undisturbed.wait(200) == 0, undisturbed.communicate()[1]

    command = words["killed"]
    for lost, done in ((1, 3), (0, 7)):
        killed = start(folders["killed"], *command)
        while steps(folders["killed"]) < done:
            assert killed.poll() is None, killed.communicate()[1]
            time.sleep(0.01)
        os.kill(rank(killed.pid, lost), signal.SIGKILL)
        assert killed.wait(60) != 0
        with Store.open(folders["killed"] / "unlearnkit.db") as store:
            run = store.run("@last")
            assert run.status == "interrupted"
            assert len(store.steps(run.id)) < STEPS, "it was killed on its way"
        command = ["resume", run.id]

    resumed = start(folders["killed"], *command)
    assert resumed.wait(200) == 0, resumed.communicate()[1]
    ends = [load_file(folder / "model" / "model.safetensors") for folder in folders.values()]
    assert ends[0].keys() == ends[1].keys()
    assert all((ends[0][name] == ends[1][name]).all() for name in ends[0])


def test_a_way_to_share_is_refused_to_one_process(cli, tiny_model_dir: Path, forget_file: Path, retain_file: Path):
    """`accelerate launch --cpu --num_processes 2` starts one: it would train, but not as was asked."""
    words = arguments(Path(), str(tiny_model_dir), forget_file, retain_file)
    said = cli(*words, "--parallel", "fsdp2")
    assert said.code == 2
    assert "only one process was launched" in said.err and "torchrun" in said.err
    assert not Path("unlearnkit.db").exists()


def test_what_cannot_be_done_to_a_shared_model_is_refused(monkeypatch: pytest.MonkeyPatch):
    from unlearnkit.algorithms.graddiff import GradDiff
    from unlearnkit.algorithms.task_vector import TaskVector
    from unlearnkit.errors import BadInput
    from unlearnkit.runs.following import check_shared
    from unlearnkit.runs.training import Schedule
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.settings import Settings

    def check(parallel: str | None, method: type = GradDiff, **asked: Any) -> None:
        plan = Schedule(**asked).plan(8, lr=1e-4, epochs=1)
        check_shared(Workplace(Settings(parallel=parallel)), plan, method.whole_only, "it")

    check(None, TaskVector)
    with pytest.raises(BadInput, match="gradient-checkpointing"):
        check(None, TaskVector, gradient_checkpointing=True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    check("ddp", TaskVector, optimizer="adafactor")
    check("fsdp2")
    with pytest.raises(BadInput, match="model in pieces"):
        check("fsdp2", optimizer="adafactor")
    with pytest.raises(BadInput, match="model in pieces"):
        check("fsdp2", TaskVector)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")  # what `accelerate launch --use_fsdp` says
    with pytest.raises(BadInput, match="model in pieces"):
        check(None, optimizer="adafactor")
