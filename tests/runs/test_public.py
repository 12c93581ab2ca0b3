"""What is told to others of where a user keeps models, data and the store: nothing."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from unlearnkit.runs.public import command_of, on_hub, public
from unlearnkit.store.records import Run


def run_of(argv: tuple[str, ...] = (), **asked: Any) -> Run:
    return Run(
        id="R", kind="unlearn", identity="i", state="complete", method="npo", model="m", datasets={},
        config={"request": asked}, environment={}, argv=("unlearnkit", *argv),
    )  # fmt: skip


SAID = run_of(
    model="org/name", forget={"source": "org/people:all", "split": "train"}, data=[{"source": "hub/more"}],
    template="secret/mine.txt", system_prompt="Answer yes/no.",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("org/name", "org/name"),
        ("org/people:all[train]", "org/people:all[train]"),
        ("hub/more", "hub/more"),
        ("secret/name", "name"),
        ("secret/people.jsonl", "people.jsonl"),
        ("secret/mine.txt", "mine.txt"),
        ("/home/me/model/", "model"),
        ("~/me/model", "model"),
        ("../model", "model"),
        (".", "."),
        ("gguf:/home/me/x.gguf", "gguf:x.gguf"),
        ("gguf:secret/x.gguf", "gguf:x.gguf"),
        ("/home/me:you/x", "x"),
        ("tofu:forget01", "tofu:forget01"),
        ("run:01JZ7Q", "run:01JZ7Q"),
        ("mydb://me:pw@host/people", "mydb:people"),
        ("mydb://me:pw@host", "mydb:host"),
    ],
)
def test_a_hub_name_is_told_and_of_a_path_its_last_part(name: str, told: str):
    assert public(name, SAID) == told


def test_a_name_is_told_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run's request has `secret/people` by its absolute path, where that was a folder."""
    run = run_of(model="org/name", forget={"source": str(tmp_path / "secret/people")})
    names = ("org/name", "secret/people", "secret/people[train]")
    for folder in (tmp_path, tmp_path / "org", tmp_path / "elsewhere"):
        (folder / "org/name").mkdir(parents=True)
        (folder / "secret/people").mkdir(parents=True)
        monkeypatch.chdir(folder)
        assert [public(name, run) for name in names] == ["org/name", "people", "people[train]"]
        assert [on_hub(name, run) for name in names] == ["org/name", None, None]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("--store postgresql://me:pw@host/db --lr 1", "--lr 1"),
        ("--store=/home/me/x.db --until 'forget.nll>=3'", "--until 'forget.nll>=3'"),
        ("--model gguf:/home/me/x.gguf", "--model gguf:x.gguf"),
        ("--model org/name --forget=org/people:all", "--model org/name --forget=org/people:all"),
        ("--forget tofu:forget01 --out secret/out", "--forget tofu:forget01 --out out"),
        ("-o corpus=secret/a.txt -o url=http://me:pw@host/x", "-o corpus=a.txt -o url=http:x"),
        ("--system-prompt 'Answer yes/no.'", "--system-prompt 'Answer yes/no.'"),
    ],
)
def test_a_command_is_shown_without_what_is_the_users(words: str, shown: str):
    run = Run(**{**vars(SAID), "argv": ("unlearnkit", *shlex.split(words))})
    assert command_of(run) == f"unlearnkit {shown}"


def test_a_command_is_one_line():
    assert "\n" not in command_of(run_of(("--note", "a\n```\n# b " + "long " * 90)))
    assert command_of(Run(**{**vars(SAID), "argv": ()})) == ""


def test_what_any_run_of_a_command_names_is_known():
    argv = ("eval", "org/name", "--reference", "org/alone")
    assert command_of(run_of(argv, model="org/name")) == "unlearnkit eval org/name --reference alone"
    both = command_of(run_of(argv, model="org/name"), run_of(argv, model="org/alone"))
    assert both == "unlearnkit eval org/name --reference org/alone"
