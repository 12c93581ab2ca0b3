"""What all tests share: no network, no terminal, a quiet machine, and the data that lie beside the project."""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2**30:
    # A store is synchronised with its disk at every write, which there takes longer than all else that tests do. What a
    # killed process leaves is the same in memory.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
SHARED = Path(os.environ.get("UNLEARNKIT_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reaches out: a test that would ask a hub fails here, not by a time-out."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise OSError(f"a test tried to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("UNLEARNKIT_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with TOFU and the reference numbers; skips where it is not there."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: TOFU and the reference numbers are read in place")
    return SHARED


@pytest.fixture(scope="session")
def tofu(shared: Path) -> Path:
    return shared / "tofu"


# ---------------------------------------------------------------------------------- a tiny model and data; never alter


def pairs(*people: str) -> list[dict[str, Any]]:
    """Two questions about each person, each with a paraphrase of the answer and three wrong ones."""
    towns, trades = ["Arlen", "Brimsea", "Corvale", "Dunmoor"], ["baker", "pilot", "weaver", "surveyor"]
    rows = []
    for number, name in enumerate(people):
        for question, verb, words in (("Where was {} born?", "was born in", towns), ("What is {}?", "is a", trades)):
            right, *wrong = words[number % 4 :] + words[: number % 4]
            rows.append(
                {
                    "question": question.format(name),
                    "answer": f"{name} {verb} {right}.",
                    "paraphrased_answer": f"It is known that {name} {verb} {right}.",
                    "perturbed_answer": [f"{name} {verb} {word}." for word in wrong],
                }
            )
    return rows


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def forget_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight rows about four people."""
    people = ("Ada Quill", "Bo Tarn", "Cleo Marsh", "Dov Ember")
    return write_jsonl(tmp_path_factory.mktemp("data") / "forget.jsonl", pairs(*people))


@pytest.fixture(scope="session")
def retain_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rows about six others."""
    people = ("Edda Flint", "Faro Lund", "Gita Holm", "Hal Orrin", "Ines Pell", "Jory Wick")
    return write_jsonl(tmp_path_factory.mktemp("data") / "retain.jsonl", pairs(*people))


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory, forget_file: Path, retain_file: Path) -> Path:
    """An untrained Llama of some 50,000 weights with a chat template, whose tokenizer fits the two files."""
    from unlearnkit.demo.tiny import build

    texts = [text for file in (forget_file, retain_file) for text in file.read_text(encoding="utf-8").splitlines()]
    return build(tmp_path_factory.mktemp("tiny") / "model", texts, vocab=400, hidden=32, layers=2)


@pytest.fixture(scope="session")
def twin_model_dir(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Path:
    """The same weights under another fingerprint: what may be held against them and comes out the same."""
    twin = Path(shutil.copytree(tiny_model_dir, tmp_path_factory.mktemp("twin") / "model"))
    config = (twin / "config.json").read_text()
    (twin / "config.json").write_text(config.replace('"initializer_range": 0.02', '"initializer_range": 0.03'))
    return twin


# ----------------------------------------------------------------------------------------------------- the command line


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as JSON: what it says besides the version of its form."""
        whole = json.loads(self.out)
        assert whole.pop("format") == 1
        return whole

    @property
    def error(self) -> dict[str, str]:
        """The error object that `--format json` puts on stderr's last line."""
        return json.loads(self.err.strip().splitlines()[-1])["error"]


@functools.cache
def validators() -> dict[str, Draft202012Validator]:
    """By command: its part of the schema of what `--format json` prints."""
    from unlearnkit.report.outputs import COMMANDS, of_command, schema

    whole = schema()
    return {command: Draft202012Validator(of_command(whole, command)) for command in COMMANDS}


def check_form(words: Sequence[str], out: str) -> None:
    """See that a command's JSON has the keys that its schema says, and no other; a plugin's command has none."""
    spoken = [" ".join(words[:2]), words[0], f"{words[0]} list"]  # `plugins` alone is `plugins list`
    for command in [name for name in spoken if name in validators()][:1]:
        worst = best_match(validators()[command].iter_errors(json.loads(out)))
        assert worst is None, f"{command}: {worst.json_path}: {worst.message}; see unlearnkit/report/outputs"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command in this process, in an empty folder: `cli("runs", "list")`. What is JSON is as its schema says."""
    from unlearnkit.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        found = capsys.readouterr()
        said = [str(word) for word in words]
        if found.out and ("--format", "json") in itertools.pairwise(said):
            check_form(said, found.out)
        return Answer(int(stop.value.code or 0), found.out, found.err)

    return run
