"""Benchmarks on small files of the form that their own have, against what their numbers are by definition."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import pairs, write_jsonl
from rouge_score.rouge_scorer import RougeScorer
from transformers import AutoModelForCausalLM, AutoTokenizer

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.progress import Progress
from unlearnkit.runs.evaluate import EvalReport, evaluate, read_sets
from unlearnkit.runs.resume import resume
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.unlearn import unlearn
from unlearnkit.runs.workplace import Workplace

ANTS = [
    {"question": "How many legs has an ant?", "choices": ["four", "six", "eight", "ten"], "answer": 1},
    {"question": "What do ants follow?", "choices": ["maps", "stars", "scents", "bees"], "answer": 2},
    {"question": "Who lays the eggs?", "choices": ["queen", "worker", "drone", "aphid"], "answer": 0},
]
HEAD = "The following are multiple choice questions (with answers) about biology.\n\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, list[Any]], DataSpec]:
    """A file of rows, JSON lines or one list, as its name says."""

    def of(name: str, rows: list[Any]) -> DataSpec:
        if name.endswith(".json"):
            (tmp_path / name).write_text(json.dumps(rows), encoding="utf-8")
        else:
            write_jsonl(tmp_path / name, rows)
        return DataSpec(str(tmp_path / name))

    return of


class Alone:
    """The same model by transformers alone: one text at a time, no cache of ours, no batch."""

    def __init__(self, folder: str) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def logprob(self, context: str, continuation: str) -> float:
        """As lm-eval has it: the whole is tokenised, and the tokens behind the context's own count."""
        whole, n = self.tokenizer(context + continuation).input_ids, len(self.tokenizer(context).input_ids)
        with torch.inference_mode():
            logits = self.model(torch.tensor([whole])).logits[0].log_softmax(-1)
        return float(sum(logits[i - 1, whole[i]] for i in range(n, len(whole))))

    def lowest(self, text: str, share: float) -> float:
        """Mean log-probability of the least likely tokens of a text, the first of all and its end left out."""
        ids = self.tokenizer(text).input_ids
        with torch.inference_mode():
            logits = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        found = sorted(float(logits[i - 1, ids[i]]) for i in range(1, len(ids)))
        most = max(1, int(share * len(found)))
        return sum(found[:most]) / most

    def says(self, prompt: str, tokens: int) -> str:
        ids = self.tokenizer(prompt, return_tensors="pt").input_ids
        with torch.inference_mode():
            whole = self.model.generate(ids, max_new_tokens=tokens, do_sample=False, pad_token_id=0)
        return str(self.tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)).strip()


@pytest.fixture(scope="module")
def alone(tiny_model_dir: Path) -> Alone:
    return Alone(str(tiny_model_dir))


@pytest.fixture(scope="module")
def other_model(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with other weights in its head's norm."""
    folder = tmp_path_factory.mktemp("other") / "model"
    llama = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    llama.model.norm.weight.data.mul_(3)
    llama.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(folder)
    return str(folder)


def values(place: Workplace, found: EvalReport, split: str, metric: str) -> dict[str, float | None]:
    rows = place.store.results(found.run)
    return {row.sample: row.value for row in rows if (row.split, row.metric) == (split, metric)}


def test_multiple_choice_is_lm_evals(place: Workplace, model: str, alone: Alone, write: Callable[..., DataSpec]):
    data = {"forget_bio": write("bio.jsonl", ANTS)}
    found = evaluate(place, model=model, data=data, suite_name="wmdp")
    expected = []
    for row in ANTS:
        listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", row["choices"], strict=True))
        context = f"{HEAD}{row['question']}\n{listed}\nAnswer:"
        scores = [alone.logprob(context, f" {letter}") for letter in "ABCD"]
        expected.append(float(scores.index(max(scores)) == row["answer"]))
    sets = read_sets(place, place.suite("wmdp").only("forget_bio"), data)
    stored = values(place, found, "forget_bio", "choice")
    assert [stored[sample.id] for sample in sets["forget_bio"].samples] == expected
    assert found.metrics["forget_bio.choice"].value == pytest.approx(sum(expected) / 3)


def test_examples_stand_before_a_question_where_there_are_some(place: Workplace, write: Callable[..., DataSpec]):
    data = {"mmlu": write("mmlu.jsonl", ANTS[:1]), "mmlu_examples": write("dev.jsonl", ANTS[1:])}
    sets = read_sets(place, place.suite("mmlu"), data)
    first = sets["mmlu"].samples[0].prompt
    assert first.startswith("What do ants follow?\nA. maps\n") and first.count("Answer: ") == 2
    assert first.index("Answer: C\n\n") < first.index("Answer: A\n\n") < first.index("How many legs")
    (plain,) = read_sets(place, place.suite("mmlu").only("mmlu"), {"mmlu": data["mmlu"]})["mmlu"].samples
    assert first.endswith(plain.prompt) and plain.prompt.startswith("How many legs")


def test_rows_that_are_not_asked_as_the_benchmark_asks_are_told(place: Workplace, write: Callable[..., DataSpec]):
    class Told(Progress):
        def __init__(self) -> None:
            self.warnings: list[str] = []

        def warn(self, text: str) -> None:
            self.warnings.append(text)

    place.progress = told = Told()
    suite, row = place.suite("rwku").only("forget_level2"), {"answer": "Stephen King"}
    (own,) = read_sets(place, suite, {"forget_level2": write("own.json", [{"query": "Who?", **row}])}).values()
    assert own.samples[0].prompt == "Please briefly answer the following question.\nQuestion: Who?\n"
    assert told.warnings == []
    (plain,) = read_sets(place, suite, {"forget_level2": write("plain.json", [{"question": "Who?", **row}])}).values()
    assert plain.samples[0].prompt == "Who?"
    (warning,) = told.warnings
    assert "has not all of the benchmark's columns query" in warning and "\n" not in warning


def test_rwku_asks_as_its_code_does_and_hears_one_line(
    place: Workplace, model: str, write: Callable[..., DataSpec], monkeypatch: pytest.MonkeyPatch
):
    from unlearnkit.evaluating import Evaluator

    said = "Ada Quill was born\nin Arlen."
    monkeypatch.setattr(Evaluator, "generate", lambda _, texts, limit, **__: [said] * len(texts))
    row = {
        "query": "Ada Quill was born in ___.",
        "answer": "Arlen in Ada",
        "level": "1",
        "type": "cloze",
        "subject": "x",
    }
    data = {"forget_level1": write("forget_level1.json", [row])}
    sets = read_sets(place, place.suite("rwku").only("forget_level1"), data)
    assert sets["forget_level1"].samples[0].prompt == (
        "Please complete the blank in the following question.\nQuestion: Ada Quill was born in ___.\n"
    )
    found = evaluate(place, model=model, data=data, suite_name="rwku")
    # Of "arlen in ada", "ada quill was born" has one word.
    assert found.metrics["forget_level1.rouge"].value == pytest.approx(1 / 3)


def test_a_suite_says_what_a_generation_ends_before_and_whether_it_is_another_value(
    place: Workplace, model: str, forget: DataSpec, tmp_path: Path
):
    def suite(name: str, more: str) -> str:
        (tmp_path / name).write_text(f"splits: {{forget: {{metrics: [rouge], max_new_tokens: 4{more}}}}}")
        return str(tmp_path / name)

    whole = evaluate(place, model=model, data={"forget": forget}, suite_name=suite("whole.yaml", ""))
    cut = evaluate(place, model=model, data={"forget": forget}, suite_name=suite("cut.yaml", ', stop: [" "]'))
    assert (whole.computed, cut.computed) == (8, 8)
    again = evaluate(place, model=model, data={"forget": forget}, suite_name=suite("again.yaml", ', stop: [" "]'))
    assert (again.computed, again.metrics) == (0, cut.metrics)


def f1(right: str, said: str) -> float:
    return RougeScorer(["rougeL"], use_stemmer=False).score(right, said)["rougeL"].fmeasure


def test_verbatim_memory_is_what_follows_a_beginning_against_as_many_tokens_of_the_text(
    place: Workplace, model: str, alone: Alone, write: Callable[..., DataSpec]
):
    long = " ".join(row["answer"] for row in pairs("Ada", "Bo", "Cleo", "Dov", "Edda", "Faro"))
    rows = [{"prompt": row["question"], "gt": f" {row['answer']} {long} {long}"} for row in pairs("Bo")]
    data = {"forget_verbatim": write("verbmem.json", rows)}
    found = evaluate(place, model=model, data=data, suite_name="muse")
    expected = []
    for row in rows:
        ids = alone.tokenizer(row["gt"], add_special_tokens=False).input_ids
        assert len(ids) > 128
        expected.append(f1(alone.tokenizer.decode(ids[:128]), alone.says(row["prompt"], 128)))
    assert found.metrics["forget_verbatim.rouge_f1"].value == pytest.approx(sum(expected) / len(expected))


def test_knowledge_memory_is_an_answer_behind_examples_up_to_the_next_question(
    place: Workplace, model: str, alone: Alone, write: Callable[..., DataSpec]
):
    asked, shown = pairs("Ada Quill"), pairs("Edda Flint")
    data = {"retain_knowledge": write("qa.json", asked), "retain_examples": write("icl.json", shown)}
    found = evaluate(place, model=model, data=data, suite_name="muse")
    shots = "".join(f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for row in shown)
    expected = []
    for row in asked:
        said = alone.says(f"{shots}Question: {row['question']}\nAnswer:", 32)
        for end in ("\n\n", "\nQuestion", "Question:"):
            said = said.split(end)[0]
        expected.append(f1(row["answer"], said))
    assert found.metrics["retain_knowledge.rouge_f1"].value == pytest.approx(sum(expected) / len(expected))
    assert "retain_examples.rouge_f1" not in found.metrics


def test_privacy_leakage_counts_pairs_of_whole_texts_under_two_models(
    place: Workplace, model: str, other_model: str, write: Callable[..., DataSpec]
):
    texts = {"forget": pairs("Ada Quill", "Bo Tarn"), "holdout": pairs("Cleo Marsh", "Dov Ember", "Hal Orrin")}
    data = {split: write(f"{split}.json", [row["answer"] for row in rows]) for split, rows in texts.items()}
    found = evaluate(place, model=model, data=data, suite_name="muse", reference=other_model)

    def area(folder: str) -> float:
        """Of a text from outside scoring higher than one of the forget set, by all pairs."""
        by_hand = Alone(folder)
        scores = {split: [by_hand.lowest(row["answer"], 0.4) for row in rows] for split, rows in texts.items()}
        pairs_ = [(a, b) for a in scores["holdout"] for b in scores["forget"]]
        return sum((a > b) + (a == b) / 2 for a, b in pairs_) / len(pairs_)

    mine, theirs = area(model), area(other_model)
    assert found.aggregates["auc_min_k"].value == pytest.approx(1 - mine)
    assert found.aggregates["privacy_leakage"].value == pytest.approx((mine - theirs) / theirs * 100)


def test_every_attack_on_membership_has_its_numbers(
    place: Workplace, model: str, other_model: str, write: Callable[..., DataSpec]
):
    people = {"forget": ("Ada Quill", "Bo Tarn"), "holdout": ("Cleo Marsh", "Dov Ember"), "prefix": ("Hal Orrin",)}
    data = {split: write(f"{split}.jsonl", pairs(*names)) for split, names in people.items()}
    found = evaluate(place, model=model, data=data, suite_name="membership", reference=other_model)
    assert [(m.name, m.reason) for m in found.missing] == [("tpr_loss", "few_others"), ("tpr_min_k", "few_others")]
    without = {split: spec for split, spec in data.items() if split != "prefix"}
    found = evaluate(place, model=model, data=without, suite_name="membership")
    assert {(m.name, m.reason) for m in found.missing} >= {
        ("prefix", "no_data"), ("forget.recall", "no_prefix"), ("auc_recall", "no_scores"),
        ("privacy_leakage", "no_reference"), ("auc_reference", "no_reference"),
    }  # fmt: skip


def test_other_answers_are_made_where_a_suite_says_so(
    place: Workplace, model: str, write: Callable[..., DataSpec], retain: DataSpec
):
    bare = [{"question": row["question"], "answer": row["answer"]} for row in pairs("Ada Quill", "Bo Tarn")]
    data = {"forget": write("bare.jsonl", bare), "retain": retain}
    found = evaluate(place, model=model, data=data, suite_name="own", max_new_tokens=4)
    assert found.made == {"forget": {"paraphrases": 4, "wrong": 4}}, "the retain set came with its own"
    assert found.metrics["forget.truth_ratio"].n == 4
    assert [(m.name, m.reason) for m in found.missing] == [
        ("holdout", "no_data"), ("forget_quality", "no_reference"), ("auc_loss", "no_scores"),
        ("auc_min_k", "no_scores"), ("privacy_leakage", "no_reference"),
    ]  # fmt: skip
    assert resume(place, found.run) == replace(found, computed=0, from_store=16)


def test_a_reference_may_be_a_model_which_is_evaluated_first_and_once(
    place: Workplace, model: str, forget: DataSpec, retain: DataSpec, other_model: str, request: pytest.FixtureRequest
):
    data, asked = {"forget": forget, "retain": retain}, {"max_new_tokens": 4, "reference": other_model}
    found = evaluate(place, model=model, data=data, **asked)
    (theirs,) = [run for run in place.store.runs(kind="eval") if run.id != found.run]
    row = found.aggregates["forget_quality"]
    assert row.value is not None and row.reference == theirs.id
    assert place.store.run(found.run).config["request"]["reference"] == theirs.id
    assert "forget_quality" not in [m.name for m in found.missing]
    request.getfixturevalue("no_model")
    assert evaluate(place, model=model, data=data, **asked).aggregates == found.aggregates


def test_bad_input_is_told_before_a_reference_is_evaluated(place: Workplace, other_model: str, forget: DataSpec):
    with pytest.raises(UnlearnkitError):
        evaluate(place, model="nowhere", data={"forget": forget}, reference=other_model)
    assert not Path("store.db").exists(), "nothing was written"


def test_a_reference_is_about_what_is_forgotten(place: Workplace, model: str, write: Callable[..., DataSpec]):
    with pytest.raises(BadInput, match="--reference is for the forget set"):
        evaluate(place, model=model, data={"mmlu": write("m.jsonl", ANTS)}, suite_name="mmlu", reference=model)


def test_a_run_is_evaluated_on_its_way_by_any_suite(place: Workplace, model: str, write: Callable[..., DataSpec]):
    """A suite that has no split for one of the run's own sets leaves that out."""
    bare = [{"question": row["question"], "answer": row["answer"]} for row in pairs("Ada Quill", "Bo Tarn")]
    forget, retain = write("forget.jsonl", bare), write("retain.jsonl", pairs("Hal Orrin"))
    asked = {"model": model, "forget": forget, "retain": retain, "schedule": Schedule(max_steps=1), "eval_every": 1}
    on_the_way = [
        unlearn(place, algorithm="ga", suite_name="own", max_new_tokens=4, best="unlearning_completeness", **asked),
        unlearn(place, algorithm="ga", suite_name="muse+mmlu", eval_data={"mmlu": write("m.jsonl", ANTS)}, **asked),
    ]
    read = [{row.split for row in place.store.results(run.evaluations[1])} for run in on_the_way]
    assert read == [{"forget", "retain"}, {"forget", "mmlu"}]
    assert place.store.run(on_the_way[0].evaluations[1]).config["suite"]["splits"]["forget"]["others"] == "made"
