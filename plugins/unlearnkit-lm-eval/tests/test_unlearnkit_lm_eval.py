"""A task of one's own through lm-eval, against the same model by transformers alone; and never twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install lm-eval")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from unlearnkit_lm_eval.metric import LmEval
from unlearnkit_lm_eval.tasks import Asked, Document, Harness, plain
from unlearnkit_lm_eval.use import lm_eval

from unlearnkit.contracts import Metric
from unlearnkit.demo.tiny import build
from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.plugins import plugins
from unlearnkit.report.collect import collect
from unlearnkit.runs.resume import resume
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings

ANTS = [
    {"question": "How many legs has an ant?", "choices": ["four", "six", "eight legs"], "answer": 1},
    {"question": "Who lays the eggs?", "choices": ["queen", "worker", "drone"], "answer": 0},
    {"question": "What do ants follow?", "choices": ["maps", "stars", "scents"], "answer": 2},
]
TASK = """
task: ants
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    plugins.cache_clear()
    yield
    plugins.cache_clear()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    with Workplace(Settings(store=str(tmp_path / "store.db"), threads=1)) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "ants.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ANTS))
    (folder / "ants.yaml").write_text(TASK.format(file=folder / "ants.jsonl"))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("lm") / "model", [json.dumps(row) for row in ANTS], vocab=300, hidden=32))


def likeliest(folder: str, row: dict) -> int:
    """The option with the largest log-likelihood behind the question, one text at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    context = f"Question: {row['question']}\nAnswer:"
    scores = []
    for choice in row["choices"]:
        ids, n = tokenizer(f"{context} {choice}").input_ids, len(tokenizer(context).input_ids)
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        scores.append(float(sum(logits[i - 1, ids[i]] for i in range(n, len(ids)))))
    return scores.index(max(scores))


def test_its_numbers_are_stored_sample_by_sample_and_found_again(
    place: Workplace, model: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = Asked(["ants"], folder=str(folder))
    found = lm_eval(place, model=model, asked=asked)
    expected = [float(likeliest(model, row) == row["answer"]) for row in ANTS]
    rows = place.store.results(found.run)
    assert sorted(row.value for row in rows) == sorted(expected)
    assert {(row.split, row.metric) for row in rows} == {("ants", "acc")}
    assert found.metrics["ants.acc"].value == pytest.approx(sum(expected) / 3)
    assert (found.computed, found.from_store) == (3, 0)
    (shown,) = collect(place, [found.run]).evaluated
    assert shown.figures["ants.acc"].value == found.metrics["ants.acc"].value
    with pytest.raises(UnlearnkitError, match="was made by unlearnkit-lm-eval"):
        resume(place, found.run)
    monkeypatch.setattr("unlearnkit_lm_eval.use.load_model", None)
    assert lm_eval(place, model=model, asked=asked) == replace(found, computed=0, from_store=3)


def test_other_documents_are_another_run(place: Workplace, model: str, folder: Path):
    first = lm_eval(place, model=model, asked=Asked(["ants"], folder=str(folder)))
    few = lm_eval(place, model=model, asked=Asked(["ants"], folder=str(folder), limit=2))
    changed = [{**ANTS[0], "answer": 0}, *ANTS[1:]]
    (folder / "ants.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    other = lm_eval(place, model=model, asked=Asked(["ants"], folder=str(folder)))
    assert len({first.run, few.run, other.run}) == 3
    assert (few.computed, other.computed) == (2, 3)


def test_what_is_no_number_has_no_value_and_the_rest_is_kept(
    place: Workplace, model: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    found = [Document("q", "a", {"acc": float("nan")}), Document("r", "b", {"acc": 1.0})]
    monkeypatch.setattr(Harness, "run", lambda *_: {"ants": found})
    told = lm_eval(place, model=model, asked=Asked(["ants"], folder=str(folder)))
    rows = place.store.results(told.run)
    assert {(row.value, row.status) for row in rows} == {(None, "nonfinite"), (1.0, "ok")}
    assert (told.metrics["ants.acc"].value, told.metrics["ants.acc"].n) == (1.0, 1)


def test_a_document_that_asks_the_same_again_counts_again(place: Workplace, model: str, folder: Path):
    rows = [ANTS[0], {**ANTS[0], "choices": ["a million", "six", "nine"]}, ANTS[0]]
    (folder / "ants.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = lm_eval(place, model=model, asked=Asked(["ants"], folder=str(folder)))
    figure = found.metrics["ants.acc"]
    assert figure.n == found.computed == 3
    assert figure.value == pytest.approx(sum(likeliest(model, row) == row["answer"] for row in rows) / 3)


def test_other_examples_are_another_run(place: Workplace, model: str, folder: Path):
    def asked(*examples: dict, shots: int) -> str:
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in examples))
        return lm_eval(place, model=model, asked=Asked(["ants"], folder=str(folder), shots=shots)).run

    files = f"{{test: {folder / 'ants.jsonl'}, train: {folder / 'train.jsonl'}}}"
    task = TASK.format(file="").replace("{test: }", files) + "fewshot_split: train\n"
    (folder / "ants.yaml").write_text(task)
    assert asked(ANTS[0], shots=1) != asked(ANTS[1], shots=1)
    assert asked(ANTS[0], shots=0) == asked(ANTS[1], shots=0)


def test_what_is_wrong_is_one_line(place: Workplace, model: str, folder: Path):
    with pytest.raises(NotFound, match='no task "antz"') as caught:
        lm_eval(place, model=model, asked=Asked(["antz"], folder=str(folder)))
    assert caught.value.hint is not None and "ants" in caught.value.hint
    (folder / "ants.jsonl").unlink()
    with pytest.raises(UnlearnkitError, match="lm-eval: ") as caught_:
        lm_eval(place, model=model, asked=Asked(["ants"], folder=str(folder)))
    assert caught_.value.code == "lm-eval" and "\n" not in caught_.value.message
    assert not Path("store.db").exists() or not place.store.runs()


def test_a_metric_of_a_task_says_which_way_is_good():
    assert LmEval(higher=False).better("any") == "lower"
    assert LmEval().better("forget") == "higher"
    assert issubclass(LmEval, Metric)


def test_names_are_plain():
    assert plain("MMLU/Anatomy (5 shots)") == "mmlu_anatomy_5_shots"
