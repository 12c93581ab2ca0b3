"""A command on two processes: what it says and leaves, what it refuses, and that a lost process ends it cleanly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from safetensors.torch import load_file

from unlearnkit.store import Store

PROCESSES = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "unlearnkit"]
LORA = Path(__file__).parents[2] / "plugins" / "unlearnkit-lora"
STEPS = 40  # many more than are done when a process is killed, as the others go on until that is seen


def arguments(folder: Path, model: str, forget: Path, retain: Path) -> list[str]:
    return [
        "unlearn", "--model", model, "--forget", str(forget), "--retain", str(retain), "--plugin", "graddiff",
        "--batch-size", "4", "--max-steps", str(STEPS), "--lr", "1e-3", "--checkpoint-every", "1", "--out",
        str(folder / "model"),
    ]  # fmt: skip


def start(folder: Path, *words: str, processes: int = 2) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(LORA), os.environ.get("PYTHONPATH", "")])
    here = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": path,
        "UNLEARNKIT_PLUGIN_FILE": str(LORA / "unlearnkit_lora" / "__init__.py"),
    }
    return subprocess.Popen(
        [sys.executable, *(PROCESSES if processes == 2 else ["-m", "unlearnkit"]), *words],
        cwd=folder, env={**os.environ, **here}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
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


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [None, "lora"])
@pytest.mark.parametrize("sharing", [None, "ddp", "fsdp2"])
def test_evaluations_on_the_way_are_those_of_the_model_that_is_written(
    sharing: str | None, adapter: str | None, tmp_path: Path, tiny_model_dir: Path, forget_file: Path,
    retain_file: Path,
):  # fmt: skip
    """The model of the best step, evaluated by one process that finds nothing in its store, has sample by sample the
    values of that step's evaluation; and the starting model those of the one before the first step."""
    data = ["--forget", str(forget_file), "--retain", str(retain_file), "--max-new-tokens", "2", "--format", "json"]
    words = ["--batch-size", "4", "--max-steps", "4", "--eval-every", "1", "--best", "forget.probability"]
    if sharing is not None:
        words += ["--parallel", sharing]
    if adapter is not None:
        words += ["--adapter", adapter, "-a", "rank=2"]
    run = start(tmp_path, "unlearn", "--model", str(tiny_model_dir), *data, *words, "--lr", "3e-3", "--out", "model",
                processes=1 if sharing is None else 2)  # fmt: skip
    said, log = run.communicate(timeout=300)
    assert run.returncode == 0, log
    found = json.loads(said)
    assert sorted(found["evaluations"]) == list("01234")
    with Store.open(tmp_path / "unlearnkit.db") as store:
        evaluated = {int(step): store.results(of) for step, of in found["evaluations"].items()}
    means = {
        step: fmean(row.value or 0 for row in rows if (row.split, row.metric) == ("forget", "probability"))
        for step, rows in evaluated.items()
    }
    assert found["step"] == min([1, 2, 3, 4], key=means.__getitem__)
    assert found["best"] == {"forget.probability": pytest.approx(means[found["step"]], rel=1e-12)}
    for step, model in ((found["step"], "model"), (0, str(tiny_model_dir))):
        alone = start(tmp_path, "eval", model, *data, "--store", f"{step}.db", processes=1)
        assert json.loads(alone.communicate(timeout=300)[0])["computed"] == 20
        with Store.open(tmp_path / f"{step}.db") as store:
            assert store.results(store.run("@last").id) == evaluated[step]


@pytest.mark.slow
def test_the_one_that_leads_evaluates_a_reference_before_all_train(
    tmp_path: Path, tiny_model_dir: Path, forget_file: Path, retain_file: Path
):
    words = ["--forget", str(forget_file), "--retain", str(retain_file), "--batch-size", "4", "--max-steps", "2"]
    words += ["--eval-every", "2", "--max-new-tokens", "2", "--reference", "other", "--format", "json"]
    other = shutil.copytree(tiny_model_dir, tmp_path / "other")
    config = (other / "config.json").read_text()
    (other / "config.json").write_text(config.replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    found = []
    for _ in range(2):
        run = start(tmp_path, "unlearn", "--model", str(tiny_model_dir), *words)
        said, log = run.communicate(timeout=300)
        assert run.returncode == 0, log
        found.append(json.loads(said)["run"])
        assert ("first other, which" in log) == (len(found) == 1)
    with Store.open(tmp_path / "unlearnkit.db") as store:
        (trained,) = store.runs(kind="unlearn")
        held = store.run(trained.config["reference"])
        assert [run.id for run in store.runs(model=held.model)] == [held.id]
    assert found == [trained.id] * 2 and held.model != trained.model


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
