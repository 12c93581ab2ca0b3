"""`eval` from the command line: whose data are read, and what is missing; `suites`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer, write_jsonl

Cli = Callable[..., Answer]


@pytest.fixture
def bio() -> Path:
    row = {"question": "How many legs has an ant?", "choices": ["four", "six"], "answer": 1}
    return write_jsonl(Path("bio.jsonl"), [row])


def test_any_split_of_a_suite_takes_data(cli: Cli, tiny_model_dir: Path, bio: Path, forget_file: Path):
    words = ["--suite", "memorization+wmdp", "--forget", forget_file, "--data", f"forget_bio={bio}"]
    found = cli("eval", tiny_model_dir, *words, "--format", "json").json
    names = ("exact_memorization", "extraction_strength", "verbatim_probability", "probability")
    assert set(found["metrics"]) == {"forget_bio.choice", *(f"forget.{name}" for name in names)}
    assert [m["name"] for m in found["missing"] if m["reason"] == "no_data"] == [
        "retain",
        "forget_chem",
        "forget_cyber",
    ]


def test_what_is_missing_stands_in_one_place_with_why(cli: Cli, tiny_model_dir: Path, forget_file: Path):
    found = cli("eval", tiny_model_dir, "--forget", forget_file, "--max-new-tokens", 2)
    shown, _, missing = found.out.partition("not there")
    assert "needs" not in shown
    assert "world_facts" in missing and "no data" in missing
    assert "forget_quality" in missing and "needs --reference" in " ".join(missing.split())


def test_a_number_over_samples_is_shown_with_its_interval(cli: Cli, tiny_model_dir: Path, forget_file: Path):
    Path("mine.yaml").write_text("splits: {forget: {metrics: [probability]}}\naggregates: [unlearning_completeness]")
    words = ("eval", tiny_model_dir, "--suite", "mine.yaml", "--forget", forget_file)
    row = cli(*words, "--format", "json").json["aggregates"]["unlearning_completeness"]
    (line,) = (line for line in cli(*words).out.splitlines() if line.startswith("unlearning_completeness"))
    shown = [float(number) for number in re.findall(r"[\d.]+", line)]
    assert shown == pytest.approx([row["value"], row["low"], row["high"], 8], abs=5e-4)


def test_what_numbers_were_held_against_is_said(cli: Cli, tiny_model_dir: Path, forget_file: Path, retain_file: Path):
    assert (
        cli("finetune", "--model", tiny_model_dir, "--data", retain_file, "--max-steps", 1, "--out", "other").code == 0
    )
    words = ["eval", tiny_model_dir, "--forget", forget_file, "--max-new-tokens", 2]
    assert "held against" not in cli(*words).out
    found = cli(*words, "--reference", "other")
    listed = cli("runs", "list", "--kind", "eval", "--format", "json").json
    (other,) = (run["run"] for run in listed["runs"] if run["model_label"] == "other")
    assert f"held against {other}" in found.out
    assert other in cli("runs", "show", "@last").out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--data", "forget=a.jsonl", "--forget", "b.jsonl"], "twice", "data for forget given twice"),
        (["--data", "forget"], "option", "--data takes key=value"),
        (["--data", "nothing=a.jsonl"], "split", "suite tofu has no split nothing"),
        (["--suite", "wmdp", "--forget", "a.jsonl"], "split", "suite wmdp has no split forget"),
        (["--suite", "tofu+nothing"], "suite", 'no suite "nothing"'),
        (["--suite", "wmdp"], "split", "no data to evaluate on"),
    ],
)
def test_what_cannot_be_meant(cli: Cli, tiny_model_dir: Path, words: list[str], code: str, said: str):
    found = cli("eval", tiny_model_dir, *words, "--format", "json")
    assert (found.error["code"], said in found.error["message"]) == (code, True)


AGGREGATE = """
splits:
  forget: {metrics: [probability, {mk4: {plugin: min_k, k: 0.4}}]}
  holdout: {metrics: [{mk4: {plugin: min_k, k: 0.4}}]}
aggregates: [{auc_mk4: {plugin: %s}}]
"""


@pytest.mark.parametrize(
    ("aggregate", "code", "said", "hint"),
    [
        ("auc, score: mk5", "suite", 'auc_mk4: the suite has no metric "mk5"', 'did you mean "mk4"?'),
        ("auc, score: nix", "suite", 'auc_mk4: the suite has no metric "nix"', "its metrics: probability, mk4"),
        ("utility, metrics: [mk4, rouge]", "suite", 'the suite has no metric "rouge"', "its metrics: probability, mk4"),
        ("auc, scor: mk4", "option", 'has no option "scor"', 'did you mean "score"?'),
    ],
)
def test_an_aggregate_of_what_the_suite_lacks_is_refused_at_once(
    cli: Cli, tiny_model_dir: Path, aggregate: str, code: str, said: str, hint: str
):
    Path("mine.yaml").write_text(AGGREGATE % aggregate)
    for words in (("eval", tiny_model_dir, "--forget", "gone.jsonl", "--suite"), ("suites", "show")):
        error = cli(*words, "mine.yaml", "--format", "json").error
        assert (error["code"], said in error["message"], error["hint"]) == (code, True, hint)
    assert not Path("unlearnkit.db").exists()


def test_the_hub_is_read_where_that_is_asked_for_and_no_data_are_named(
    cli: Cli, tiny_model_dir: Path, bio: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def hub(source: str, split: str | None, allow_download: bool) -> list[dict[str, object]]:
        asked.append((source, split, allow_download))
        return [json.loads(bio.read_text())]

    monkeypatch.setattr("unlearnkit.data.sources._hub", hub)
    words = ["--suite", "wmdp", "--data", f"forget_bio={bio}", "--format", "json"]
    assert set(cli("eval", tiny_model_dir, *words).json["metrics"]) == {"forget_bio.choice"}
    assert asked == []
    found = cli("eval", tiny_model_dir, *words, "--hub", "--allow-download").json
    assert len(found["metrics"]) == 3
    assert asked == [("cais/wmdp:wmdp-chem", "test", True), ("cais/wmdp:wmdp-cyber", "test", True)]


def test_without_a_download_the_hub_is_the_local_cache(cli: Cli, tiny_model_dir: Path):
    found = cli("eval", tiny_model_dir, "--suite", "wmdp", "--hub", "--format", "json")
    assert (found.error["code"], found.error["hint"]) == ("offline", "--allow-download")


def test_a_suite_says_what_it_needs(cli: Cli):
    assert {suite["name"] for suite in cli("suites", "--format", "json").json["suites"]} >= {"tofu", "wmdp", "rwku"}
    splits = {split["name"]: split for split in cli("suites", "show", "mmlu", "--format", "json").json["splits"]}
    assert splits["mmlu"]["columns"] == ["question", "choices", "answer"]
    assert (splits["mmlu"]["behind"], splits["mmlu"]["hub"]) == ("mmlu_examples", "cais/mmlu:all[test]")
    tofu = cli("suites", "show", "tofu", "--format", "json").json
    assert {number["name"]: number["needs_reference"] for number in tofu["aggregates"]} == {
        "forget_quality": True, "model_utility": False, "unlearning_completeness": False, "utility": False,
    }  # fmt: skip
    shown = cli("suites", "show", "tofu").out
    assert all(word in shown for word in ("perturbed_answer", "--reference", "locuslab/TOFU"))
    assert cli("suites", "show", "nothing").code == 3
