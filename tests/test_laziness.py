"""What answers at once must not import what takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filled import fill

from unlearnkit.store import Store

HEAVY = {"torch", "transformers", "datasets", "accelerate", "sqlalchemy", "alembic"}

WATCH = """
import atexit, os, sys
atexit.register(lambda: print("heavy:", *sorted(HEAVY & set(sys.modules)), file=sys.stderr))
sys.argv = ["unlearnkit", *WORDS]
from unlearnkit.cli import main
main()
"""


def imported(code: str, folder: Path, **variables: str) -> tuple[str, list[str]]:
    """Stdout of some code, and which heavy modules were there when it ended."""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, **variables},
    )  # fmt: skip
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("heavy:"), ended.stderr
    return ended.stdout, last.removeprefix("heavy:").split()


def command(*words: str) -> str:
    return f"HEAVY, WORDS = {HEAVY!r}, {list(words)!r}\n{WATCH}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Difficulty-aware unlearning"),
        (("--help",), "Difficulty-aware unlearning"),
        (("--version",), "unlearnkit 0."),
        (("score", "--help"), "unlearnkit score --model my-model --data forget.jsonl"),
        (("unlearn", "--help"), "--sampler"),
        (("plugins", "list"), "simnpo"),
        (("suites", "list"), "WMDP"),
        (("plugins", "list", "--format", "json"), '"simnpo"'),
    ],
)
def test_commands(words: tuple[str, ...], said: str, tmp_path: Path):
    out, heavy = imported(command(*words).replace("main()", "main(WORDS or ['--help'])"), tmp_path)
    assert said in out
    assert heavy == []


@pytest.mark.parametrize(
    ("typed", "at", "offered"),
    [
        ("unlearnkit ", 1, "unlearn"),
        ("unlearnkit sc", 1, "score"),
        ("unlearnkit score --f", 2, "--format"),
        ("unlearnkit runs ", 2, "show"),
        ("unlearnkit unlearn --plugin simn", 3, "simnpo"),
        ("unlearnkit unlearn --plugin rmu -o lay", 5, "layer="),
        ("unlearnkit score --scorer mrd -o si", 5, "sigma="),
        ("unlearnkit eval m --suite mu", 4, "muse"),
    ],
)
def test_completion(typed: str, at: int, offered: str, tmp_path: Path):
    shell = {"_UNLEARNKIT_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(at)}
    out, heavy = imported(command(), tmp_path, **shell)
    assert f"plain,{offered}" in out.splitlines()
    assert heavy == []


def test_the_package_itself(tmp_path: Path):
    code = "import sys, unlearnkit, unlearnkit.contracts\n"
    code += f"print('heavy:', *({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    assert imported(code, tmp_path) == ("", [])


@pytest.mark.parametrize(
    "words",
    [
        ("eval", "model", "--forget", "f.jsonl", "--reference", "01ZZZ"),
        ("unlearn", "--model", "model", "--forget", "f.jsonl", "--retain", "r.jsonl", "--reference", "01ZZZ"),
    ],
)
def test_a_slip_in_a_reference_costs_no_import_of_models(words: tuple[str, ...], tmp_path: Path):
    Store.open(tmp_path / "lab.db").close()
    _, heavy = imported(command(*words, "--store", "lab.db"), tmp_path)
    assert "transformers" not in heavy and "sqlalchemy" in heavy


TRAIN = ("unlearn", "--model", "MODEL", "--forget", "FORGET", "--retain", "RETAIN")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*TRAIN, "--plugin", "nono"), 'no algorithm "nono"'),
        ((*TRAIN, "--sampler", "nono"), 'no sampler "nono"'),
        (("unlearn", "--model", "none", *TRAIN[3:]), "no model at none"),
        (("finetune", "--model", "none", "--data", "FORGET"), "no model at none"),
        (("score", "--model", "none", "--data", "FORGET"), "no model at none"),
        (("score", "--model", "MODEL", "--data", "FORGET", "--scorer", "nono"), 'no scorer "nono"'),
        ((*TRAIN, "--store", "none/lab.db"), "to keep lab.db in"),
        (("score", "--model", "MODEL", "--data", "FORGET", "--store", "none/lab.db"), "to keep lab.db in"),
        (("eval", "MODEL", "--forget", "FORGET", "--store", "none/lab.db"), "to keep lab.db in"),
    ],
)
def test_a_slip_is_told_before_a_models_library_is_there(
    words: tuple[str, ...], told: str, tmp_path: Path, tiny_model_dir: Path, forget_file: Path, retain_file: Path
):
    paths = {"MODEL": str(tiny_model_dir), "FORGET": str(forget_file), "RETAIN": str(retain_file)}
    aloud = "import contextlib\nwith contextlib.redirect_stderr(sys.stdout): main()"
    out, heavy = imported(command(*(paths.get(w, w) for w in words)).replace("main()", aloud), tmp_path)
    assert told in out
    assert not {"torch", "transformers", "datasets"} & set(heavy)


@pytest.mark.parametrize(
    "words",
    [
        ("report",),
        ("runs", "list", "--where", "forget.probability<0.5"),
        ("runs", "compare", "npo-eval", "mrd-eval"),
        ("export", "results", "--to", "rows.csv"),
    ],
)
def test_what_is_in_the_store_is_read_without_a_models_library(words: tuple[str, ...], tmp_path: Path):
    runs = fill(tmp_path / "lab.db").runs
    _, heavy = imported(command(*(runs.get(word, word) for word in words), "--store", "lab.db"), tmp_path)
    assert heavy == ["sqlalchemy"]


def test_the_watch_sees_what_is_imported(tmp_path: Path):
    assert imported(command("runs", "list", "--store", "new.db"), tmp_path)[1] == ["sqlalchemy"]
