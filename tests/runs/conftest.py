"""A workplace for use cases in this process, and commands in processes that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from unlearnkit.data.samples import DataSpec
from unlearnkit.progress import Progress
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings
from unlearnkit.store import Store

from .lab import Lab

HERE = Path(__file__).parent


# --------------------------------------------------------------------------------------------------- in this process


class Listening(Progress):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """A workplace with a store of its own, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    with Workplace(Settings(store=str(tmp_path / "store.db"), threads=1), Listening()) as made:
        yield made


@pytest.fixture
def lab(place: Workplace) -> Lab:
    """The workplace, to fill with made-up runs."""
    return Lab(place)


@pytest.fixture
def forget(forget_file: Path) -> DataSpec:
    return DataSpec(str(forget_file))


@pytest.fixture
def retain(retain_file: Path) -> DataSpec:
    return DataSpec(str(retain_file))


@pytest.fixture(scope="session")
def model(tiny_model_dir: Path) -> str:
    return str(tiny_model_dir)


@pytest.fixture
def indifferent(model: str, tmp_path: Path) -> str:
    """A model to whom every token is as likely as any other: its last norm multiplies by zero."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    llama = AutoModelForCausalLM.from_pretrained(model)
    llama.model.norm.weight.data.zero_()
    llama.save_pretrained(tmp_path / "indifferent")
    AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path / "indifferent")
    return str(tmp_path / "indifferent")


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no model can be loaded."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    for use_case in ("score", "unlearn", "finetune", "evaluate"):
        monkeypatch.setattr(f"unlearnkit.runs.{use_case}.load_model", refuse)


# ------------------------------------------------------------------------------------------------- in other processes


@dataclass
class Running:
    """A command in a process."""

    server: ForkServer
    pid: int
    out: Path
    code: int | None = None

    @property
    def events(self) -> list[str]:
        """What its runs have said so far; see `watching`."""
        file = Path(f"{self.out}.events")
        return file.read_text().splitlines() if file.exists() else []

    def reach(self, event: str) -> bool:
        """Wait for an event; whether it came before the end."""
        while event not in self.events:
            if not _runs(self.pid):
                return event in self.events
            time.sleep(0.002)
        return True

    @property
    def running(self) -> bool:
        return _runs(self.pid)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def go(self) -> None:
        """End its pause."""
        Path(f"{self.out}.events.go").touch()

    def wait(self) -> int:
        """The exit code, negative for a signal that killed it."""
        if self.code is None:
            self.code = self.server.ask({"wait": self.pid})["code"]
        return self.code

    @property
    def stdout(self) -> str:
        return Path(f"{self.out}.out").read_text()

    @property
    def stderr(self) -> str:
        return Path(f"{self.out}.err").read_text()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


@dataclass
class ForkServer:
    process: subprocess.Popen[str]
    _count: int = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    with subprocess.Popen(
        [sys.executable, str(HERE / "forkserver.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield ForkServer(process)
        process.kill()  # it holds nothing, and an orderly end of torch takes long


@dataclass
class Desk:
    """A folder to type commands in: a store, and what they are about."""

    server: ForkServer
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def start(self, *args: str, pause: str | None = None, **env: str) -> Running:
        self.server._count += 1
        out = self.folder / f"command-{self.server._count}"
        env = {"UNLEARNKIT_PLUGIN_FILE": str(HERE / "watching.py"), "EVENTS": f"{out}.events", **self.env, **env}
        if pause is not None:
            env["PAUSE"] = pause
        asked = {"args": list(args), "cwd": str(self.folder), "env": env, "out": str(out)}
        return Running(self.server, self.server.ask({"start": asked})["pid"], out)

    def run(self, *args: str, **env: str) -> Running:
        """A command that is to succeed."""
        done = self.start(*args, **env)
        assert done.wait() == 0, done.stderr
        return done

    @property
    def store(self) -> Store:
        return Store.open(self.folder / "unlearnkit.db")


@pytest.fixture
def new_desk(fork_server: ForkServer, tmp_path: Path) -> Any:
    """Make a desk in an empty folder."""

    def make(name: str, **env: str) -> Desk:
        folder = tmp_path / name
        folder.mkdir()
        return Desk(fork_server, folder, env)

    return make


NewDesk = Callable[..., Desk]


@dataclass(frozen=True)
class Job:
    """A command, and what it leaves."""

    args: tuple[str, ...]
    kind: str
    model: str | None = None

    def result(self, desk: Desk) -> dict[str, Any]:
        """All numbers in the store, and the model's files; what names a run or a time is left out."""
        with desk.store as store:
            found: dict[str, Any] = {}
            identities = {run.id: (run.kind, run.identity) for run in store.runs()}
            for run in store.runs():
                assert (run.state, run.exact) == ("complete", True), run
                key = identities[run.id]
                found[(*key, "scores")] = store.scores(run.id)
                found[(*key, "steps")] = store.steps(run.id)
                found[(*key, "probes")] = sorted(store.probes(run.id), key=lambda row: (row.updates, row.sample))
                orders = [store.order(run.id, epoch) for epoch in range(10)]
                found[(*key, "orders")] = [(o.epoch, identities.get(o.scores or ""), o.digest) for o in orders if o]
                if run.series:
                    blocks = store.blocks(run.series)
                    found[(*key, "draws")] = {unit: values.tobytes() for unit, values in blocks.items()}
                assert store.checkpoints(run.id) == []
            assert store.files.stored() == {}, "checkpoints go when the model is there"
            assert [f for f in store.check() if not f.harmless] == []
        if self.model:
            files = sorted(p for p in (desk.folder / self.model).iterdir() if p.name != "README.md")
            found["files"] = {file.name: file.read_bytes() for file in files}
            assert "model.safetensors" in found["files"]
        return found


@pytest.fixture(scope="session")
def scoring(model: str, forget_file: Path) -> Job:
    return Job(("score", "--model", model, "--data", str(forget_file), "-o", "draws=30", "--batch-size", "4"), "score")


@pytest.fixture(scope="session")
def unlearning(model: str, forget_file: Path, retain_file: Path) -> Job:
    return Job(
        (
            "unlearn", "--model", model, "--forget", str(forget_file), "--retain", str(retain_file), "--sampler", "mrd",
            "-s", "refresh=1", "-s", "draws=3", "--epochs", "3", "--batch-size", "2", "--grad-accum", "2",
            "--checkpoint-every", "2", "--lr", "1e-3", "--out", "model", "--probe-every", "2",
        ),
        "unlearn",
        "model",
    )  # fmt: skip


@pytest.fixture(scope="session")
def stopping(model: str, forget_file: Path, retain_file: Path) -> Job:
    """Each sample until it is forgotten, as half of them are after two epochs of four."""
    return Job(
        (
            "unlearn", "--model", model, "--forget", str(forget_file), "--retain", str(retain_file),
            "--sampler", "active", "-s", "weight=mrd", "-s", "refresh=1", "-s", "draws=3", "--epochs", "4",
            "--batch-size", "2", "--checkpoint-every", "3", "--lr", "1e-3", "--probe-every", "4", "--threshold", "6.3",
            "--out", "model",
        ),
        "unlearn",
        "model",
    )  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """What a command leaves that nobody disturbs, and the seconds that it works once it has taken its run."""

    result: dict[str, Any]
    seconds: float


def whole(job: Job, desk: Desk) -> Whole:
    command = desk.start(*job.args)
    assert command.reach(f"run {job.kind}"), command.stderr
    began = time.monotonic()
    assert command.wait() == 0, command.stderr
    seconds = time.monotonic() - began
    return Whole(job.result(desk), seconds)


@pytest.fixture(scope="session")
def scored(scoring: Job, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return whole(scoring, Desk(fork_server, tmp_path_factory.mktemp("scored")))


@pytest.fixture(scope="session")
def unlearned(unlearning: Job, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return whole(unlearning, Desk(fork_server, tmp_path_factory.mktemp("unlearned")))
