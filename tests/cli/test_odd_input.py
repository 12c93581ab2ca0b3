"""Input that is odd and yet can be meant, and what a run says when it cannot go on: the catalogue's other half."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer, write_jsonl

Cli = Callable[..., Answer]


@pytest.fixture
def score(cli: Cli, tiny_model_dir: Path, forget_file: Path) -> Cli:
    """`unlearnkit score` of the tiny model, two draws unless said otherwise."""

    def run(*words: object, model: Path = tiny_model_dir, data: Path = forget_file, draws: int = 2) -> Answer:
        return cli("score", "--model", model, "--data", data, "-o", f"draws={draws}", *words)

    return run


@pytest.fixture
def unlearn(cli: Cli, tiny_model_dir: Path, forget_file: Path) -> Cli:
    """`unlearnkit unlearn` of the tiny model by gradient ascent, two steps unless said otherwise."""

    def run(*words: object, model: Path = tiny_model_dir, data: Path = forget_file, steps: int = 2) -> Answer:
        fixed = ("--plugin", "ga") if "--plugin" not in words else ()
        return cli("unlearn", "--model", model, "--forget", data, "--max-steps", steps, *fixed, *words)

    return run


def done(answer: Answer) -> Answer:
    assert answer.code == 0, answer.err
    return answer


# --------------------------------------------------------------------------------------------------- numbers and counts


def test_one_draw_has_no_standard_error_and_says_so(score: Cli):  # row 5
    for found in (score("--format", "json", draws=1), score("--format", "json", draws=1)):  # measured, then stored
        assert found.err.count("warning: a single draw tells nothing of its spread") == 1
        assert {sample["stderr"] for sample in done(found).json["samples"]} == {None}
    assert "single draw" not in done(score(draws=2)).err


def test_a_batch_larger_than_the_data_is_the_data(score: Cli, unlearn: Cli):  # row 11
    def values(answer: Answer) -> list[Any]:
        return [sample["value"] for sample in done(answer).json["samples"]]

    assert values(score("--batch-size", 500, "--format", "json")) == values(score("--format", "json"))
    assert done(unlearn("--batch-size", 500, "--format", "json")).json["steps"] == 2


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_ends_of_the_seeds(score: Cli, unlearn: Cli, seed: int):  # row 11
    done(score("--seed", seed))
    done(unlearn("--seed", seed))


# --------------------------------------------------------------------------------------------------------- mrd's scores


def test_missing_scores_are_computed_and_that_is_said(score: Cli, unlearn: Cli):  # rows 8 and 9
    sampled = ("--sampler", "mrd", "-s", "draws=2")
    said = "mrd scores of this model and these data were not in the store: computed"
    assert said in done(unlearn(*sampled)).err
    done(score("-o", "sigma=0.01", "-o", "estimator=plain"))
    assert said in done(unlearn(*sampled, "-s", "sigma=0.02")).err
    found = done(unlearn(*sampled, "-s", "sigma=0.01", "-s", "estimator=plain")).err
    assert said not in found and "come from the store" in found


def test_an_edited_model_is_another_model(score: Cli, tiny_model_dir: Path, tmp_path: Path):  # rows 9 and 50
    from safetensors.torch import load_file, save_file

    mine = Path(shutil.copytree(tiny_model_dir, tmp_path / "mine"))
    done(score())
    assert done(score("--format", "json", model=mine)).json["computed"] == 0
    tensors = load_file(mine / "model.safetensors")
    tensors["model.norm.weight"][0] += 0.5
    save_file(tensors, mine / "model.safetensors", {"format": "pt"})
    assert done(score("--format", "json", model=mine)).json["from_store"] == 0


# ----------------------------------------------------------------------------------------------------------------- data


def test_bad_rows_left_out_stand_in_the_result(score: Cli, tmp_path: Path):  # rows 18 and 19
    rows = [{"question": "q", "answer": answer} for answer in ("a", None, "  ", "b")]
    found = done(score("--on-bad-row", "skip", "--format", "json", data=write_jsonl(tmp_path / "a.jsonl", rows)))
    assert [(s["position"], s["status"]) for s in found.json["samples"]] == [
        (0, "ok"),
        (1, "type"),
        (2, "no_target"),
        (3, "ok"),
    ]
    assert [s["value"] is None for s in found.json["samples"]] == [False, True, True, False]
    assert found.json["n"] == 2
    assert "warning: " in found.err and "2 bad rows left out" in found.err


# --------------------------------------------------------------------------------------------------------------- models


def test_a_model_without_a_pad_token_gives_the_same_numbers(score: Cli, tiny_model_dir: Path, tmp_path: Path):  # row 41
    mine = Path(shutil.copytree(tiny_model_dir, tmp_path / "mine"))
    config = json.loads((mine / "tokenizer_config.json").read_text())
    config.pop("pad_token")
    (mine / "tokenizer_config.json").write_text(json.dumps(config))
    found = done(score("--format", "json", "--store", "other.db", model=mine))
    assert found.err.count("has no pad token; its end token pads") == 1
    assert found.json["samples"] == done(score("--format", "json")).json["samples"]


# --------------------------------------------------------------------------------------------------------------- stores


def test_an_empty_file_becomes_a_store(score: Cli, tmp_path: Path):  # row 54
    (tmp_path / "unlearnkit.db").touch()
    done(score())


def test_an_older_store_is_upgraded_beside_a_copy_or_refused(  # row 52
    score: Cli, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from store.schema_text import made

    from unlearnkit.store import schema

    done(score())
    shutil.copytree(schema.MIGRATIONS, tmp_path / "migrations")
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path / "migrations")
    last = schema.revisions()[-1]
    following = f"{int(last) + 1:04}"
    newer = f'revision = "{following}"\ndown_revision = "{last}"\n\n\ndef upgrade():\n'
    newer += '    from alembic import op\n\n    op.execute("CREATE TABLE more (x TEXT NOT NULL PRIMARY KEY)")\n'
    (tmp_path / "migrations" / "versions" / f"{following}_more.py").write_text(newer)
    name, text = made()
    (tmp_path / "migrations" / "schema" / f"{name}.sql").write_text(text)

    before = (tmp_path / "unlearnkit.db").read_bytes()
    refused = cli("runs", "list", "--no-upgrade", "--format", "json")
    assert (refused.code, refused.error["code"]) == (1, "store-older")
    assert f"schema {last}" in refused.error["message"] and following in refused.error["message"]
    assert (tmp_path / "unlearnkit.db").read_bytes() == before

    found = done(cli("runs", "list", "--format", "json"))
    assert "warning: " in found.err and f"a copy is unlearnkit.bak-{last}.db" in found.err
    assert (tmp_path / f"unlearnkit.bak-{last}.db").exists()
    assert [run["kind"] for run in found.json["runs"]] == ["score"]


# ----------------------------------------------------------------------------------------------------------------- runs


def test_which_run(score: Cli, unlearn: Cli, cli: Cli, monkeypatch: pytest.MonkeyPatch):  # row 61
    from unlearnkit.runs import score as scoring
    from unlearnkit.runs import unlearn as unlearning

    monkeypatch.setattr(scoring, "new_id", lambda: "01AAAA" + "0" * 20)
    monkeypatch.setattr(unlearning, "new_id", lambda: "01AAAA" + "1" * 20)
    done(score())
    done(unlearn())

    unknown = cli("resume", "01ZZZZ", "--format", "json")
    assert (unknown.code, unknown.error["code"], unknown.error["message"]) == (3, "run", 'no run "01ZZZZ"')
    ambiguous = cli("resume", "01aaaa", "--format", "json")
    assert (ambiguous.code, ambiguous.error["code"]) == (2, "run")
    assert "01AAAA0 (score" in ambiguous.error["hint"] and "01AAAA1 (unlearn" in ambiguous.error["hint"]
    short = cli("resume", "01", "--format", "json")
    assert (short.code, "too short" in short.error["message"]) == (3, True)
    for kind in ("0", "1"):
        complete = done(cli("resume", f"01AAAA{kind}", "--format", "json"))
        assert "is complete: nothing to do" in complete.err
        assert complete.json["run"] == "01AAAA" + kind * 20
    assert "is complete: nothing to do" in done(unlearn()).err


# ------------------------------------------------------------------------------------------------------------- numerics


@pytest.fixture(scope="session")
def certain_model(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with an output that is sure beyond doubt: "A" follows the question, the end follows "A"."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("certain") / "model"
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    model.config.tie_word_embeddings = False
    embedding = model.get_input_embeddings().weight
    (letter,) = tokenizer("A").input_ids
    ask, end = tokenizer.convert_tokens_to_ids(["<|assistant|>", "<|end|>"])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        embedding.copy_(torch.randn(embedding.shape, generator=generator))
        head = torch.randn(embedding.shape, generator=generator) * 0.02
        head[letter], head[end] = 1000 * embedding[ask], 1000 * embedding[letter]
    model.lm_head.weight = torch.nn.Parameter(head)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


CERTAIN = {"question": "Which letter?", "answer": "A"}


def test_a_likelihood_of_one_has_no_difficulty(  # row 71
    score: Cli, unlearn: Cli, certain_model: Path, tmp_path: Path
):
    rows = [CERTAIN, {"question": "Which letter?", "answer": "B"}]
    data = write_jsonl(tmp_path / "a.jsonl", rows)
    certain, doubtful = done(score("--format", "json", model=certain_model, data=data)).json["samples"]
    assert (certain["value"], certain["stderr"], certain["status"]) == (None, None, "zero_denominator")
    assert doubtful["value"] > 0
    done(unlearn("--sampler", "mrd", "-s", "draws=2", model=certain_model, data=data))


def test_scores_that_are_all_equal_or_all_undefined(  # row 75
    unlearn: Cli, certain_model: Path, tmp_path: Path
):
    sampled = ("--sampler", "mrd", "-s", "draws=2", "--format", "json")
    one = write_jsonl(tmp_path / "one.jsonl", [{"question": "Who?", "answer": "Nobody."}])
    found = done(unlearn(*sampled, data=one, steps=3))
    assert found.err.count("warning: all scores are equal: forget samples are drawn uniformly") == 1
    refused = unlearn(*sampled, model=certain_model, data=write_jsonl(tmp_path / "certain.jsonl", [CERTAIN]))
    assert (refused.code, refused.error["code"]) == (1, "scores")
    assert "no forget sample has a score" in refused.error["message"]


# --------------------------------------------------------------------------------------------------------- the terminal

MAIN = [sys.executable, "-m", "unlearnkit"]


@pytest.mark.parametrize("command", ["plugins list", "plugins list --format json", "--help", "--version", "score -h"])
def test_a_reader_that_has_seen_enough(tmp_path: Path, command: str):  # row 15
    reading, writing = os.pipe()
    os.close(reading)
    words = [*MAIN, *command.split()]
    with os.fdopen(writing, "wb") as closed:
        ended = subprocess.run(words, stdout=closed, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_no_colour_where_nobody_looks_or_wants_it(tmp_path: Path, variables: dict[str, str]):  # row 15
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    ended = subprocess.run(
        [*MAIN, "plugins", "list"], capture_output=True, text=True, check=True, cwd=tmp_path,
        env=environment | variables,
    )  # fmt: skip
    assert "npo" in ended.stdout
    assert not re.search(r"\x1b\[[0-9;]*[34][0-9]m", ended.stdout + ended.stderr)
