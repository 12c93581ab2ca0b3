"""What a shell offers at TAB: asked as shells ask, and in real ones."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Answer

import unlearnkit
from unlearnkit.store import Store, new_id, records

Cli = Callable[..., Answer]
Offered = Callable[..., list[str]]
ROOT = Path(unlearnkit.__file__).parents[1]


@pytest.fixture
def offered(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Offered:
    """Values for the last of the words, which is still being typed, as zsh gets them with their descriptions."""

    def of(*words: str, described: bool = False) -> list[str]:
        monkeypatch.setenv("_UNLEARNKIT_COMPLETE", "zsh_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(("unlearnkit", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        lines = cli().out.strip("\n").splitlines()
        assert set(lines[::3]) <= {"plain", "file", "dir"}
        found = zip(lines[::3], lines[1::3], lines[2::3], strict=True)
        return [about if described else value if kind == "plain" else kind for kind, value, about in found]

    return of


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Two runs in the working folder's store, the newest last."""
    ids = []
    with Store.open(tmp_path / "unlearnkit.db") as store:
        store.put_model(records.Model("a" * 64, "m", "llama", 1))
        for kind, method in (("unlearn", "npo"), ("score", "mrd")):
            run, _ = store.begin(
                records.Run(
                    id=new_id(), kind=kind, identity=method, state="created", method=method, model="a" * 64,
                    datasets={}, config={}, environment={},
                )
            )  # fmt: skip
            ids.append(run.id)
    return ids


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("sc",), ["score"]),
        (("plugins", "ch"), ["check"]),
        (("unlearn", "--sampler-o"), ["--sampler-option"]),
        (("unlearn", "--plugin", "simn"), ["simnpo"]),
        (("unlearn", "--plugin=simn"), ["simnpo"]),
        (("unlearn", "--sampler", "stra"), ["stratified"]),
        (("unlearn", "--wrapper", "so"), ["soul"]),
        (("score", "--scorer", "hess"), ["hessian-trace"]),
        (("attack", "quan"), ["quantize"]),
        (("attack", "sample", "m", "--metrics", "rouge,extraction_s"), ["rouge,extraction_strength"]),
        (("sweep", "--plugin", "npo,simn"), ["npo,simnpo"]),
        (("unlearn", "-o", "be"), ["beta="]),
        (("unlearn", "--plugin", "simnpo", "-o", "del"), ["delta="]),
        (("unlearn", "-o", "del"), []),
        (("sweep", "--plugin", "npo,simnpo", "-o", "del"), ["delta="]),
        (("unlearn", "--sampler", "curriculum", "-s", ""), None),
        (("attack", "relearn", "m", "-o", "step"), ["steps="]),
        (("eval", "m", "--suite", "mus"), ["muse"]),
        (("eval", "m", "--suite", "tofu+memo"), ["tofu+memorization"]),
        (("suites", "show", "rw"), ["rwku"]),
        (("metrics", "show", "model_u"), ["model_utility"]),
        (("plugins", "show", "mrd-p"), ["mrd-per-token"]),
        (("plugins", "new", "np"), []),
        (("unlearn", "--forget", "for"), ["file"]),
        (("unlearn", "--model", ""), ["file"]),
        (("store", "import", ""), ["file"]),
        (("unlearn", "--out", "o"), ["dir"]),
        (("unlearn", "--plugin", "nothing-is-called-so"), []),
    ],
)
def test_values_by_what_is_asked_for(offered: Offered, words: tuple[str, ...], values: list[str] | None):
    found = offered(*words)
    assert found == values if values is not None else found and all(key.endswith("=") for key in found)


def test_runs_come_newest_first_with_a_few_words(offered: Offered, runs: list[str]):
    old, new = runs
    assert offered("runs", "show", "") == ["@last", new, old]
    assert offered("runs", "show", "", described=True)[1].startswith("score mrd ")
    assert offered("runs", "show", old.lower()[:26]) == [old]
    assert offered("report", "x") == []
    assert offered("report", "--store", "elsewhere.db", "") == []
    assert offered("eval", "") == [old]  # what has a model
    assert offered("unlearn", "--reference", "@") == ["@last"]


def test_tags_are_those_that_runs_have(offered: Offered, cli: Cli, runs: list[str]):
    assert cli("runs", "tag", runs[0], "paper", "poster").code == 0
    assert offered("runs", "tag", runs[1], "pa") == ["paper"]
    assert offered("runs", "tag", runs[1], "p") == ["paper", "poster"]


def test_no_store_is_made_and_none_is_touched(offered: Offered, runs: list[str], tmp_path: Path):
    assert offered("report", "--store", "none.db", "") == []
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.iterdir()}
    assert len(offered("runs", "show", "")) == 3
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 200])
def test_what_is_no_store_has_no_runs(offered: Offered, tmp_path: Path, content: bytes):
    (tmp_path / "unlearnkit.db").write_bytes(content)
    assert offered("runs", "show", "") == []


def test_ids_of_a_foreign_store_cannot_be_anything_else(offered: Offered, tmp_path: Path):
    import sqlite3

    with sqlite3.connect(tmp_path / "unlearnkit.db") as db:
        db.execute("CREATE TABLE run (id TEXT, kind TEXT, method TEXT, created TEXT)")
        db.execute("INSERT INTO run VALUES ('$(touch pwned)', 'eval', 'x', ''), (?, 'e\x1b[2J', 'y', 'z')", ("0" * 26,))
    assert offered("runs", "show", "") == ["@last", "0" * 26]
    assert "\x1b" not in "".join(offered("runs", "show", "", described=True))


# ------------------------------------------------------------------------------------------------------ real shells


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with the command on the path and the scripts of all shells in files."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "unlearnkit"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m unlearnkit "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    for shell in ("bash", "zsh", "fish"):
        script = subprocess.run(["unlearnkit", "completion", shell], env=env, capture_output=True, check=True).stdout
        (tmp_path / f"script.{shell}").write_bytes(script)
    return env


BASH = """
source script.bash
complete -p unlearnkit >&2
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ local IFS=' '; echo "compopt $*"; }}
_unlearnkit_completion unlearnkit
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash(home: dict[str, str], tmp_path: Path, words: str) -> list[str]:
    code = BASH.format(words=words)
    ran = subprocess.run(
        ["bash", "--norc", "-c", code], env=home, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "-F _unlearnkit_completion unlearnkit" in ran.stderr
    return ran.stdout.split("\n")[:-1]


def test_bash(home: dict[str, str], runs: list[str], tmp_path: Path):
    assert bash(home, tmp_path, "unlearnkit unlearn --plugin simn") == ["simnpo"]
    assert bash(home, tmp_path, "unlearnkit unlearn -o be") == ["compopt -o nospace", "beta="]
    assert bash(home, tmp_path, "unlearnkit runs show 0") == runs[::-1]
    assert bash(home, tmp_path, "unlearnkit unlearn --forget x") == ["compopt -o default", ""]


def test_fish(home: dict[str, str], runs: list[str], tmp_path: Path):
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")

    def offers(line: str) -> list[str]:
        code = f"source script.fish; complete --do-complete '{line}'"
        ran = subprocess.run(
            ["fish", "--no-config", "-c", code], env=home, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return ran.stdout.splitlines()

    assert offers("unlearnkit unlearn --plugin simn") == ["simnpo"]
    assert [line.split("\t")[0] for line in offers("unlearnkit unlearn -o be")] == ["beta="]
    new, old = (line.split("\t") for line in offers("unlearnkit runs show 0"))
    assert (new[0], old[0]) == (runs[1], runs[0]) and new[1].startswith("score mrd ")


def test_zsh(home: dict[str, str], runs: list[str], tmp_path: Path):
    """Typed into an interactive shell in a terminal of its own, as zsh completes nowhere else."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    (tmp_path / ".zshrc").write_text(
        "PS1='> '; autoload -Uz compinit; compinit -u -D; source script.zsh\n"
        "say() { print -r -- $BUFFER > typed; exit }; zle -N say; bindkey '^X' say\n"
    )

    def becomes(line: str) -> str:
        shell, terminal = pty.fork()
        if shell == 0:
            os.chdir(tmp_path)
            os.execvpe("zsh", ["zsh", "-i"], home)
        with suppress(OSError):  # which is how a terminal ends
            os.write(terminal, line.encode() + b"\t\x18")
            while os.read(terminal, 4096):
                pass
        os.close(terminal)
        os.waitpid(shell, 0)
        return (tmp_path / "typed").read_text()

    assert becomes("unlearnkit unlearn -o be") == "unlearnkit unlearn -o beta=\n"
    assert becomes("unlearnkit unlearn --plugin simn") == "unlearnkit unlearn --plugin simnpo \n"
    assert becomes(f"unlearnkit runs show {runs[0]}") == f"unlearnkit runs show {runs[0]} \n"
