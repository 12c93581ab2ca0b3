"""`runs` lists, shows and removes; a run is named by id, unique prefix or @last."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer

Cli = Callable[..., Answer]


@pytest.fixture
def made(cli: Cli, tiny_model_dir: Path, forget_file: Path, retain_file: Path) -> dict[str, Any]:
    """A score run and an unlearning run, as `--format json` gave them."""
    form = ("--format", "json")
    scored = cli("score", "--model", tiny_model_dir, "--data", forget_file, "-o", "draws=2", *form).json
    words = ("--model", tiny_model_dir, "--forget", forget_file, "--retain", retain_file, "--plugin", "graddiff")
    return {"score": scored, "unlearn": cli("unlearn", *words, "--max-steps", 3, *form).json}


def test_list_is_newest_first_and_can_be_narrowed(cli: Cli, made: dict[str, Any]):
    def listed(*words: object) -> list[str]:
        return [row["run"] for row in cli("runs", "list", *words, "--format", "json").json["runs"]]

    scored, unlearned = made["score"]["run"], made["unlearn"]["run"]
    assert listed() == [unlearned, scored]
    assert listed("--kind", "score") == [scored]
    assert listed("--limit", 1) == [unlearned]
    assert listed("--where", "mrd.draws=2") == listed("--where", "kind=score") == [scored]
    assert listed("--where", "kind=score or sampler=uniform", "--limit", 1) == [unlearned]
    assert cli("runs", "list", "--format", "csv").out.splitlines()[0].startswith("run,kind,method,sampler,state")
    table = cli("runs", "list").out
    assert [word for word in (scored, unlearned, "graddiff, uniform", "complete") if word not in table] == []


def test_a_list_says_what_runs_are_about(
    cli: Cli, made: dict[str, Any], tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    scored, unlearned = made["score"]["run"], made["unlearn"]["run"]
    cli("runs", "tag", unlearned, "paper", "table-2")
    cli("runs", "note", unlearned, "the one\nin \x1b[31mfigure 3")
    rows = {row["run"]: row for row in cli("runs", "list", "--format", "json").json["runs"]}
    assert rows[unlearned]["data"] == {"forget": "forget.jsonl", "retain": "retain.jsonl"}
    assert [rows[run]["model_label"] for run in (scored, unlearned)] == [tiny_model_dir.name] * 2
    assert (rows[scored]["tags"], rows[scored]["note"]) == ([], None)
    assert (rows[unlearned]["tags"], rows[unlearned]["note"]) == (["paper", "table-2"], "the one\nin \x1b[31mfigure 3")
    table = cli("runs", "list").out
    assert max(map(len, table.splitlines())) <= 80
    assert f"{tiny_model_dir.name}: forget.jsonl, retain.jsonl"[:25] in table
    assert "#paper #table-2 the one" in table and "\x1b" not in table


def test_tags_are_taken_away_again(cli: Cli, made: dict[str, Any]):
    run = made["unlearn"]["run"]
    form = ("--format", "json")
    assert cli("runs", "tag", "@last", "a", "b", *form).json == {"run": run, "tags": ["a", "b"], "note": None}
    assert cli("runs", "tag", "@last", "a", "--remove", *form).json["tags"] == ["b"]
    assert cli("runs", "note", "@last", "x", *form).json["note"] == "x"
    assert "tags" in cli("runs", "show", run).out
    assert cli("runs", "note", "@last", "", *form).json["note"] is None
    refused = cli("runs", "tag", "@last", "two words", *form)
    assert (refused.code, refused.error["code"]) == (2, "tag")
    assert cli("runs", "tag", "0000", "a").code == 3


def test_show_tells_all_of_a_run(cli: Cli, made: dict[str, Any]):
    run = made["unlearn"]["run"]
    found = cli("runs", "show", run, "--format", "json").json
    assert (found["run"], found["kind"], found["method"], found["state"]) == (run, "unlearn", "graddiff", "complete")
    assert [step["step"] for step in found["steps"]] == [1, 2, 3]
    assert {**found["steps"][-1], "step": None} == {**made["unlearn"]["terms"], "step": None}
    assert found["argv"][0] == "unlearnkit"
    assert set(found["datasets"]) == {"forget", "retain"}
    table = cli("runs", "show", run).out
    assert made["unlearn"]["model_dir"] in table.replace("\n", "").replace(" ", "")


def test_a_complete_run_is_resumed_in_one_word(cli: Cli, made: dict[str, Any]):
    run, folder = made["unlearn"]["run"], Path(made["unlearn"]["model_dir"])
    assert folder.is_absolute()
    talk = cli("resume", run).err
    assert talk.count("complete: nothing to do") == 1
    assert f"model in {folder.relative_to(Path.cwd())} (run {run})" in talk  # no more of the machine than is needed
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    os.chdir(elsewhere)
    assert f"model in {folder} (run {run})" in cli("resume", run, "--store", "../unlearnkit.db").err


def test_a_model_tells_all_that_made_it(cli: Cli, tiny_model_dir: Path, forget_file: Path, retain_file: Path):
    Path("odd.txt").write_text("{question} > {answer}{eos}")
    words = ("unlearn", "--model", tiny_model_dir, "--forget", forget_file, "--retain", retain_file, "--max-steps", 1)
    drawn = ("--sampler", "mrd", "-s", "draws=2", "-s", "sigma=0.02")
    chat = cli(*words, *drawn, "--system-prompt", "Be | brief", "--format", "json").json
    card = (Path(chat["model_dir"]) / "README.md").read_text()
    rows = (
        "sampler | mrd",
        "sampler draws | 2",
        "sampler sigma | 0.02",
        "template | chat",
        "system prompt | Be \\| brief",
    )
    assert [row for row in rows if f"| {row} |" not in card] == []
    shown = " ".join(cli("runs", "show", chat["run"]).out.split())
    assert [row for row in ("sampler mrd", "sampler draws 2", "sampler sigma 0.02") if row not in shown] == []
    file = cli(*words, "--template", Path("odd.txt").absolute(), "--format", "json").json
    card = (Path(file["model_dir"]) / "README.md").read_text()
    assert "| template | file odd.txt |" in card
    assert "system prompt" not in card


def test_what_came_of_doing_it_again_is_said_and_kept(cli: Cli, made: dict[str, Any]):
    run = made["score"]["run"]
    found = cli("runs", "rerun", run)
    assert (found.code, found.err.splitlines()[-1]) == (0, f"run {run} came out the same: 8 scores")
    with sqlite3.connect("unlearnkit.db") as raw:
        raw.execute("UPDATE score SET value = value + 1 WHERE sample = (SELECT min(sample) FROM score)")
    found = cli("runs", "rerun", run, "--format", "json")
    assert (found.code, found.json["same"]) == (4, False)
    assert [(part["differing"], part["most"]) for part in found.json["parts"]] == [(1, pytest.approx(1))]
    shown = " ".join(cli("runs", "show", run).out.split())
    assert "again came out otherwise: 1 of 8 scores, first" in shown


def test_in_what_runs_differ(cli: Cli, made: dict[str, Any]):
    scored, unlearned = made["score"]["run"], made["unlearn"]["run"]
    table = cli("runs", "diff", scored, unlearned).out
    assert "graddiff" in table and "mrd" in table
    found = cli("runs", "diff", scored, unlearned, "--format", "json").json
    assert {(e["name"], e["a"], e["b"]) for e in found["entries"] if e["part"] == "run"} == {
        ("kind", "score", "unlearn"), ("method", "mrd", "graddiff"),
    }  # fmt: skip
    nothing = cli("runs", "diff", scored, scored)
    assert (nothing.code, nothing.out, nothing.err.strip()) == (0, "", "nothing differs")


def test_a_run_goes_by_prefix_and_last(cli: Cli, made: dict[str, Any]):
    run = made["unlearn"]["run"]
    for name in (run[:24], run.lower(), "@last"):
        assert cli("runs", "show", name, "--format", "json").json["run"] == run
    ambiguous = cli("runs", "show", run[:5], "--format", "json")
    assert (ambiguous.code, ambiguous.error["code"]) == (2, "run")
    named = re.findall(r"(01\w+) \((\w+),", ambiguous.error["hint"])
    assert [cli("runs", "show", name, "--format", "json").json["kind"] for name, _ in named] == [k for _, k in named]
    assert len(named) == 2
    assert cli("runs", "show", "0000").code == 3
    assert cli("runs", "show", "01").code == 3


def test_removal_wants_a_yes_and_leaves_the_model(cli: Cli, made: dict[str, Any]):
    run, folder = made["unlearn"]["run"], Path(made["unlearn"]["model_dir"])
    asked = cli("runs", "rm", run)
    assert asked.code == 2
    assert "--yes" in asked.err
    assert cli("runs", "rm", run, "--yes", "--format", "json").json == {"removed": run}
    assert cli("runs", "show", run).code == 3
    assert (folder / "model.safetensors").is_file()
    assert cli("runs", "show", "@last", "--format", "json").json["run"] == made["score"]["run"]
