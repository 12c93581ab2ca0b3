"""What a command says to type next can be typed: it means the same store, the same data, and the same scores."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer

from unlearnkit.errors import Interrupted

Cli = Callable[..., Answer]

TEMPLATE = "{question} > {answer}{eos}"


def hinted(found: Answer) -> list[str]:
    """The command that is hinted, as a shell would split it."""
    assert found.code == 0, found.err
    (line,) = (line.removeprefix("next: ") for line in found.err.splitlines() if line.startswith("next: "))
    program, *words = shlex.split(line)
    assert program == "unlearnkit"
    return words


@pytest.fixture
def forget(forget_file: Path, tmp_path: Path) -> str:
    """A file whose name, columns and template want to be said, and quoted."""
    text = forget_file.read_text(encoding="utf-8").replace('"question"', '"the question"')
    (tmp_path / "forget; it.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "retain it.jsonl").write_text(text.replace("Ada", "Eda").replace("Bo ", "Po "), encoding="utf-8")
    (tmp_path / "a template.txt").write_text(TEMPLATE, encoding="utf-8")
    return "forget; it.jsonl"


READING = ("--question-column", "the question", "--template", "a template.txt", "--store", "my store.db")


def test_each_next_command_can_be_typed(cli: Cli, tiny_model_dir: Path, forget: str):
    shutil.copytree(tiny_model_dir, "my model")
    measured = ("-o", "draws=2", "-o", "sigma=0.02", "-o", "estimator=plain")
    scored = cli("score", "--model", "my model", "--data", forget, *measured, *READING)
    words = hinted(scored)
    assert words[:3] == ["unlearn", "--model", "my model"]
    words = ["retain it.jsonl" if word == "DATA" else word for word in words]
    unlearned = cli(*words, "--max-steps", 1, "--allow-overlap")
    assert "mrd scores of this model and these data come from the store" in unlearned.err
    evaluated = cli(*hinted(unlearned), "--max-new-tokens", 2)
    assert "16 samples measured" in evaluated.err
    reported = cli(*hinted(evaluated))
    assert "npo, mrd" in reported.out
    resumed = cli("resume", "@last", "--store", "my store.db")
    assert hinted(resumed)[:2] == ["runs", "show"]
    assert cli(*hinted(resumed)).code == 0
    taught = cli("finetune", "--model", "my model", "--data", forget, "--max-steps", 1, *READING)
    assert cli(*hinted(taught), "-o", "draws=1").code == 0
    assert not Path("unlearnkit.db").exists()


def test_options_that_the_scorer_chose_are_hinted_as_chosen(
    cli: Cli, tiny_model_dir: Path, forget_file: Path, retain_file: Path
):
    auto = ("-o", "sigma=auto", "-o", "draws=auto", "-o", "max_draws=6")
    scored = cli("score", "--model", tiny_model_dir, "--data", forget_file, *auto)
    words = hinted(scored)
    assert "draws=6" in words
    words = [str(retain_file) if word == "DATA" else word for word in words]
    unlearned = cli(*words, "--max-steps", 1)
    assert "mrd scores of this model and these data" in unlearned.err
    (run,) = [run for run in cli("runs", "list", "--format", "json").json["runs"] if run["kind"] == "unlearn"]
    assert run["state"] == "complete"
    rescored = cli("score", "--model", tiny_model_dir, "--data", forget_file, *auto, "-o", "estimator=plain")
    assert "everything was in the store" in rescored.err


def test_the_other_set_is_hinted_too(cli: Cli, tiny_model_dir: Path, forget_file: Path, retain_file: Path):
    words = ("--model", tiny_model_dir, "--data", forget_file, "--retain", retain_file)
    scored = cli("score", *words, "--scorer", "ngram-overlap")
    assert hinted(scored)[-2:] == ["--retain", str(retain_file)]
    resumed = cli("resume", "@last", "--format", "json")
    assert (resumed.code, resumed.json["computed"]) == (0, 0)


def test_what_was_not_said_is_not_hinted(cli: Cli, tiny_model_dir: Path, forget_file: Path):
    shutil.copy(forget_file, "forget.jsonl")
    shutil.copytree(tiny_model_dir, "model")
    scored = cli("score", "--model", "model", "--data", "forget.jsonl")
    assert "next: unlearnkit unlearn --model model --forget forget.jsonl --retain DATA --sampler mrd\n" in scored.err


def test_scores_of_a_split_are_looked_into(cli: Cli, tiny_model_dir: Path, forget_file: Path):
    """`unlearn` takes no split."""
    Path("sets").mkdir()
    shutil.copy(forget_file, "sets/forget.jsonl")
    words = ("--data", "sets", "--split", "forget", "-o", "draws=3")
    scored = cli("score", "--model", tiny_model_dir, *words, "--store", "my store.db")
    looked = cli(*hinted(scored))
    assert looked.code == 0, looked.err
    assert "everything was in the store" not in cli(*hinted(looked)).err
    assert "loss" in cli(*hinted(scored)).out


def test_an_interrupted_run_is_resumed_in_its_store(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object, **__: object) -> None:
        raise Interrupted("stopped", hint="unlearnkit resume 01AB")

    monkeypatch.setattr("unlearnkit.runs.score.prepared", stop)
    words = ("score", "--model", "model", "--data", "forget.jsonl")
    assert cli(*words).err.endswith("hint: unlearnkit resume 01AB\n")
    found = cli(*words, "--store", "my store.db", "--format", "json")
    assert (found.code, found.error["hint"]) == (130, "unlearnkit resume 01AB --store 'my store.db'")


def test_an_empty_report_keeps_to_its_store(cli: Cli):
    from unlearnkit.store import Store

    Store.open("my store.db").close()
    said = cli("report", "--store", "my store.db").err
    assert said.count("--store 'my store.db'") == 2
