"""What becomes of a log: one run, a reference, a refusal in one line; lm-eval's samples; what a log claims."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Answer

import unlearnkit
from unlearnkit.data.samples import sample_id
from unlearnkit.errors import UnlearnkitError
from unlearnkit.runs.imported import files, import_logs
from unlearnkit.runs.imported.log import question_of
from unlearnkit.runs.workplace import Workplace

from .logs import as_openunlearning_writes_it, as_tofu_writes_it, document, write, write_lines

Cli = Callable[..., Answer]
JSON = ("--format", "json")


def split(n: int = 4, seed: int = 0, name: str = "forget") -> dict[str, Any]:
    """A split of a made-up log."""
    rng = np.random.default_rng(seed)
    texts = [
        {"question": f"[INST] {name} {i}? [/INST]", "generated": f"it is {i}", "answer": f"it is {i}"} for i in range(n)
    ]
    return {
        "avg_gt_loss": rng.uniform(0, 3, n).tolist(), "avg_paraphrased_loss": rng.uniform(0, 3, n).tolist(),
        "average_perturb_loss": rng.uniform(0, 3, (n, 3)).tolist(), "rougeL_recall": rng.uniform(0, 1, n).tolist(),
        "rouge1_recall": rng.uniform(0, 1, n).tolist(), "generations": texts,
    }  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "full.json", {"forget": split(), "retain": split(5, 1, "retain")})


def test_the_same_file_is_one_run(cli: Cli, file: Path, tmp_path: Path):
    once = cli("import", file, *JSON).json
    copy = write(tmp_path / "copy.json", {"forget": split(), "retain": split(5, 1, "retain")})
    assert cli("import", copy, *JSON).json == {**once, "computed": 0, "from_store": 9}
    assert len(cli("runs", "list", *JSON).json["runs"]) == 1
    named = cli("import", file, "--name", "a full model", *JSON).json
    assert (named["run"], named["model"]) == (once["run"], "a full model")
    other = cli("import", write(tmp_path / "other.json", {"forget": split(seed=7)}), *JSON).json
    assert other["run"] != once["run"]
    assert cli("store", "check", "--full").code == 0


def test_it_stands_in_reports_and_is_resumed_in_one_word(cli: Cli, file: Path):
    run = cli("import", file, *JSON).json
    (shown,) = cli("report", *JSON).json["runs"]
    assert (shown["run"], shown["label"]) == (run["run"], "full")
    assert {name: f["value"] for name, f in shown["metrics"].items()} == {
        name: f["value"] for name, f in run["metrics"].items()
    }
    assert cli("runs", "show", run["run"]).code == 0
    assert cli("resume", run["run"]).code == 0


def test_the_same_from_python(cli: Cli, file: Path):
    (found,) = unlearnkit.import_logs(file, store="unlearnkit.db")
    assert (found.new, found.form, found.undefined) == (True, "tofu", 0)
    assert cli("import", file, *JSON).json == {**found.report.json(), "computed": 0, "from_store": 9}


def test_a_reference_is_of_the_same_samples(cli: Cli, file: Path, tmp_path: Path):
    other = cli("import", write(tmp_path / "other.json", {"forget": split(name="other")}), *JSON).json["run"]
    refused = cli("import", file, "--reference", other, *JSON)
    assert (refused.code, refused.error["code"]) == (1, "reference")
    assert len(cli("runs", "list", *JSON).json["runs"]) == 1
    retain = cli("import", write(tmp_path / "r.json", {"retain": split(name="retain")}), "--reference", other, *JSON)
    assert (retain.code, retain.error["code"]) == (2, "reference")
    assert retain.error["hint"].startswith("leave it out") and retain.error["hint"].endswith("only retain")


def test_a_reference_without_its_data_is_to_be_imported_again(cli: Cli, forget_file: Path, tmp_path: Path):
    log = as_openunlearning_writes_it({"forget": split(8)}, texts=False)
    reference = cli("import", write(tmp_path / "retain" / "TOFU_EVAL.json", log), *JSON).json["run"]
    mine = write(tmp_path / "npo" / "TOFU_EVAL.json", {**log, "note": {}})
    words = ("import", mine, "--data", f"forget={forget_file}", *JSON)
    hint = cli(*words, "--reference", reference).error["hint"]
    assert "import both logs with the same --data" in hint and "eval" not in hint
    again = cli("import", tmp_path / "retain" / "TOFU_EVAL.json", "--data", f"forget={forget_file}", *JSON).json["run"]
    assert cli(*words, "--reference", again).json["aggregates"]["forget_quality"]["value"] == 1.0


def test_why_a_number_is_missing_names_no_option_that_import_lacks(cli: Cli, tmp_path: Path):
    side = {"value_by_index": {"0": {"score": 1.0}}}
    log = as_openunlearning_writes_it({"forget": split()}) | {"mia_loss": {"forget": side}}
    _, _, missing = cli("import", write(tmp_path / "TOFU_EVAL.json", log)).out.partition("not there")
    offered = cli("import", "--help").out
    assert {"forget_quality", "model_utility", "auc_loss"} <= {*missing.split()}
    named = set(re.findall(r"--[a-z]+", missing))
    assert named == {"--reference"} and all(name in offered for name in named)


def test_an_imported_run_is_a_reference_of_an_own_evaluation(
    cli: Cli, tiny_model_dir: Path, forget_file: Path, tmp_path: Path
):
    from unlearnkit.data.samples import DataSpec, load_samples

    samples = load_samples(DataSpec(str(forget_file))).samples
    log = split(len(samples))
    log["generations"] = [
        {"question": f"[INST] {s.prompt} [/INST]", "generated": "", "answer": s.answer} for s in samples
    ]
    reference = cli("import", write(tmp_path / "retain.json", {"forget": log}), *JSON).json["run"]
    words = ("eval", tiny_model_dir, "--forget", forget_file, "--max-new-tokens", 2, "--reference")
    found = cli(*words, reference, *JSON)
    assert 0 <= found.json["aggregates"]["forget_quality"]["value"] <= 1
    assert "was imported" in found.err
    del log["generations"][0], log["avg_gt_loss"][0], log["avg_paraphrased_loss"][0]
    del log["average_perturb_loss"][0], log["rougeL_recall"][0], log["rouge1_recall"][0]
    fewer = cli("import", write(tmp_path / "fewer.json", {"forget": log}), *JSON).json["run"]
    refused = cli(*words, fewer, *JSON)
    assert (refused.code, refused.error["code"]) == (1, "reference")


def test_a_question_that_stands_twice_counts_twice(place: Workplace, tmp_path: Path):
    log = split()
    log["generations"][2] = log["generations"][0]
    (found,) = import_logs(place, [write(tmp_path / "twice.json", {"forget": log})])
    figure = found.report.metrics["forget.probability"]
    assert (figure.value, figure.n) == (pytest.approx(np.exp(-np.array(log["avg_gt_loss"])).mean()), 4)


def test_a_figure_that_the_rows_do_not_give_is_said(place: Workplace, tmp_path: Path):
    log = as_openunlearning_writes_it({"forget": split()})
    import_logs(place, [write(tmp_path / "good.json", log)])
    assert not place.progress.warned
    log["forget_Truth_Ratio"]["agg_value"] += 0.1
    import_logs(place, [write(tmp_path / "bad.json", log)])
    (said,) = place.progress.warned
    assert said.startswith("forget.truth_ratio: the log says")


def test_openunlearnings_own_metrics_are_its_own(cli: Cli, tmp_path: Path):
    log = as_openunlearning_writes_it({"forget": split()})
    log["exact_memorization"] = {
        "agg_value": 0.25,
        "value_by_index": {"0": {"score": 0.5}, "1": {"score": 0.0}, "2": {"score": None}},
    }
    log["extraction_strength"] = {"agg_value": 0.5, "value_by_index": {"0": {"score": 0.5}, "1": None}}
    run = cli("import", write(tmp_path / "TOFU_EVAL.json", log), *JSON).json
    assert (run["metrics"]["forget.exact_memorization"]["value"], run["metrics"]["forget.exact_memorization"]["n"]) == (
        0.25,
        2,
    )
    shown = cli("runs", "show", run["run"], *JSON).json
    uses = {use["name"]: use for use in shown["config"]["suite"]["splits"]["forget"]["metrics"]}
    assert uses["exact_memorization"]["options"] == {"tail": 1}  # as its authors count tokens
    assert uses["extraction_strength"]["plugin"] == "recorded"


def test_muse(cli: Cli, tmp_path: Path):
    def rouge(prompt: str, values: list[float]) -> dict[str, Any]:
        rows = {
            str(i): {"rougeL_f1": v, "rougeL_recall": 1.0, "rouge1_recall": 1.0, "input": prompt.format(i),
                     "ground_truth": f"answer {i}", "generation": "…"}
            for i, v in enumerate(values)
        }  # fmt: skip
        return {"agg_value": float(np.mean(values)), "value_by_index": rows}

    log = {
        "forget_knowmem_ROUGE": rouge("Question: who {0}?\nAnswer: ", [0.5, 0.25]),
        "retain_knowmem_ROUGE": rouge("Question: what {0}?\nAnswer: ", [1.0, 0.5, 0.0]),
        "forget_verbmem_ROUGE": rouge("Once upon {0}", [0.125]),
        "privleak": {"agg_value": -12.5},
    }
    answer = cli("import", write(tmp_path / "news" / "MUSE_EVAL.json", log), *JSON)
    found = {name: f["value"] for name, f in answer.json["metrics"].items() if name.endswith("rouge_f1")}
    assert sorted(found.values()) == [0.125, 0.375, 0.5]
    assert (answer.json["suite"], answer.json["model"]) == ("muse", "news")
    assert "warning" not in answer.err


# ------------------------------------------------------------------------------------------------------------- lm-eval


def test_tasks_of_one_model_are_one_run(cli: Cli, tmp_path: Path):
    bio = write_lines(
        tmp_path / "samples_wmdp_bio_2026-11-26T10-00-00.123456.jsonl", [document(i, i % 2) for i in range(4)]
    )
    old = [
        {"doc_id": i, "doc": {"q": i}, "target": f" {i}", "arguments": [[f"What is {i}?", {}]], "resps": [[""]],
         "filtered_resps": [""], "exact_match": i == 1, "perplexity": [1.0, 2]}
        for i in range(3)
    ]  # fmt: skip
    gsm = write_lines(tmp_path / "samples_gsm8k.jsonl", old)
    found = cli("import", bio, gsm, "--name", "npo", *JSON).json
    assert {name: (f["value"], f["n"]) for name, f in found["metrics"].items()} == {
        "wmdp_bio.acc": (0.5, 4), "wmdp_bio.acc_norm": (0.5, 4), "gsm8k.exact_match": (pytest.approx(1 / 3), 3),
    }  # fmt: skip
    assert (found["suite"], found["model"], found["aggregates"]) == ("lm-eval", "npo", {})
    (again,) = cli("runs", "list", *JSON).json["runs"]
    assert again["run"] == found["run"]
    twice = cli("import", bio, bio, *JSON)
    assert (twice.code, twice.error["code"]) == (2, "form")


def test_it_is_called_after_the_models_folder_as_its_file_is_after_the_task(cli: Cli, tmp_path: Path):
    for model in ("org__full", "org__npo"):
        (tmp_path / model).mkdir()
        file = write_lines(tmp_path / model / "samples_gsm8k_2026-11-26T10-00-00.123456.jsonl", [document(0, 1.0)])
        assert cli("import", file, *JSON).json["model"] == "org__full"  # the same bytes: the same run
    other = write_lines(tmp_path / "org__npo" / "samples_gsm8k.jsonl", [document(0, 0.0)])
    assert cli("import", other, *JSON).json["model"] == "org__npo"
    assert cli("import", other, "--name", "NPO", *JSON).json["model"] == "NPO"


def test_a_document_is_what_the_model_was_given_and_the_right_option(place: Workplace, tmp_path: Path):
    old = {**document(1, 1.0), "arguments": [["Question: 1?\nAnswer:", f" {x}"] for x in "ABCD"]}
    open_ended = {**document(2, 1.0), "arguments": [["2 + 2 =", {"until": []}]], "target": " 4"}
    file = write_lines(tmp_path / "samples_x.jsonl", [document(0, 1.0), old, open_ended])
    (found,) = import_logs(place, [file])
    expected = [("Question: 0?\nAnswer:", "C"), ("Question: 1?\nAnswer:", "C"), ("2 + 2 =", "4")]
    samples = {row.sample for row in place.store.results(found.report.run)}
    assert samples == {sample_id(*texts) for texts in expected}


def test_filters_are_metrics_of_their_own(cli: Cli, tmp_path: Path):
    rows = [document(i, 1.0, filter=f) for f in ("strict-match", "flexible-extract") for i in range(2)]
    found = cli("import", write_lines(tmp_path / "samples_x.jsonl", rows), *JSON).json
    assert {name.partition(".")[2] for name in found["metrics"]} == {
        f"{m}-{f}" for m in ("acc", "acc_norm") for f in ("strict-match", "flexible-extract")
    }


def test_a_file_of_one_row_or_of_a_list_is_one_too(cli: Cli, tmp_path: Path):
    one = cli("import", write(tmp_path / "samples_one.jsonl", document(0, 1.0)), *JSON).json
    assert one["metrics"]["one.acc"]["n"] == 1
    several = cli("import", write(tmp_path / "samples_two.json", [document(0, 1.0), document(1, 0.0)]), *JSON).json
    assert several["metrics"]["two.acc"]["n"] == 2


def test_several_logs_are_several_runs(cli: Cli, file: Path, tmp_path: Path):
    other = write(tmp_path / "other.json", {"forget": split(seed=3)})
    found = cli("import", file, other, *JSON).json["imported"]
    assert len({one["run"] for one in found}) == 2
    rows = cli("import", file, other, "--format", "jsonl").out.splitlines()
    assert len(rows) == sum(len(one["metrics"]) + len(one["aggregates"]) for one in found)
    assert cli("import", file, other, "--name", "x").code == 2


# ------------------------------------------------------------------------------------------------------------ bad files


def broken(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    log = {"forget": split()}
    change(log["forget"])
    return log


def one_side(rows: dict[str, Any]) -> dict[str, Any]:
    return {"mia_loss": {"forget": {"value_by_index": rows}}}


BAD: dict[str, tuple[Any, str]] = {
    "nothing known": ({"a": 1}, "form"),
    "a list of numbers": ([1, 2], "form"),
    "a number": (3, "form"),
    "an empty object": ({}, "form"),
    "results of lm-eval": ({"results": {"x": {"acc,none": 1.0}}}, "form"),
    "a summary": ({"forget_Truth_Ratio": 0.5}, "form"),
    "a number as text": (broken(lambda of: of["avg_gt_loss"].__setitem__(1, "0.5")), "form"),
    "a number as truth": (broken(lambda of: of["rougeL_recall"].__setitem__(1, True)), "form"),
    "null": (broken(lambda of: of["avg_gt_loss"].__setitem__(1, None)), "form"),
    "a row less": (broken(lambda of: of["rougeL_recall"].pop()), "form"),
    "a text less": (broken(lambda of: of["generations"].pop()), "form"),
    "a text that is a number": (broken(lambda of: of["generations"][0].update(answer=3)), "form"),
    "a NUL": (broken(lambda of: of["generations"][0].update(answer="a\0b")), "form"),
    "half a character": (broken(lambda of: of["generations"][0].update(question="\ud800")), "form"),
    "an object for a list": (broken(lambda of: of.update(avg_gt_loss={"x": 1.0})), "form"),
    "a row below 0": (broken(lambda of: of.update(avg_gt_loss={"-1": 1.0})), "form"),
    "rows are objects": ({"forget_Q_A_Prob": {"value_by_index": {"0": [1]}}}, "form"),
    "no loss": ({"forget_Q_A_Prob": {"value_by_index": {"0": {"prob": 1.0}}}}, "form"),
    "a row twice": ({"forget_Q_A_Prob": {"value_by_index": {"0": {"avg_loss": 1}, "00": {"avg_loss": 2}}}}, "form"),
    "a score that is a text": (one_side({"0": {"score": "low"}}), "form"),
    "a score twice": (one_side({"0": {"score": 1}, "00": {"score": 2}}), "form"),
    "an area that is a text": ({**one_side({"0": {"score": 1}}), "mia_zlib": {"agg_value": "high"}}, "form"),
    "nothing of ours": ({"mystery": {"value_by_index": {"0": {"score": 1.0}}}}, "form"),
    "no rows": ({"forget_Q_A_Prob": {"value_by_index": {}}}, "form"),
    "a document twice": ([document(0, 1.0), document(0, 1.0)], "form"),
    "no number in any row": ([document(0, 1.0, metrics=[])], "form"),
    "one split by two names": ({"forget": split(), "eval_log_forget.json": split()}, "form"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_line(name: str, cli: Cli, tmp_path: Path):
    content, code = BAD[name]
    answer = cli("import", write(tmp_path / "bad.json", content), *JSON)
    assert answer.code in (1, 2)
    assert answer.error["code"] == code, answer.err
    assert "bad.json" in answer.error["message"] and answer.error["hint"]
    assert len(answer.err.strip().splitlines()) == 1 and not answer.out
    assert not (tmp_path / "unlearnkit.db").exists()


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty"), (b" \n", "empty"), (b"{", "json"), (b'{"a": 1', "json"), (b"\xff\xfe{", "encoding"),
     (b'{"a": 1, "a": 2}', "json"), (b"[" * 100_000, "json"), (b'{"a": ' + b"9" * 5000 + b"}", "json"),
     (b'{"doc_id": 0}\n{"doc_id": 1', "json"), (b"PK\x03\x04", "json"), (b"a,b\n1,2\n", "json")],
)  # fmt: skip
def test_what_is_not_json_is_refused_in_one_line(data: bytes, code: str, cli: Cli, tmp_path: Path):
    (tmp_path / "bad.json").write_bytes(data)
    answer = cli("import", "bad.json", *JSON)
    assert (answer.code, answer.error["code"]) == (1, code)
    assert len(answer.err.strip().splitlines()) == 1


def test_what_is_too_large_or_no_file_is_not_read(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
):
    monkeypatch.setattr(files, "MOST", 100)
    assert cli("import", file, *JSON).error["code"] == "too-large"
    assert cli("import", tmp_path, *JSON).code == 3
    assert cli("import", "none.json", *JSON).code == 3


def test_lines_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows, log = [{"doc_id": i} for i in range(50)], tmp_path / "log.jsonl"
    data = "\ufeff" + "\n\n".join(map(json.dumps, rows))
    log.write_text(data, encoding="utf-8")
    monkeypatch.setattr(files, "MOST", 30)
    found = files.read(log)
    assert found.content == rows and found.sha256 == hashlib.sha256(data.encode()).hexdigest()
    monkeypatch.setattr(files, "MOST_LINES", 200)
    with pytest.raises(UnlearnkitError, match=r"more than 200 bytes$"):
        files.read(log)
    log.write_text(json.dumps(rows[0]) + "\n" + json.dumps({"doc_id": "a text that is too long for a line"}))
    with pytest.raises(UnlearnkitError, match="more than 30 bytes in one JSON value"):
        files.read(log)


def test_a_store_is_told_from_a_log(cli: Cli, file: Path, tmp_path: Path):
    cli("import", file, "--store", "lab.db")
    refused = cli("import", "lab.db", *JSON)
    assert refused.code == 1 and refused.error["hint"]
    assert "unlearnkit import" in cli("store", "import", "--help").out
    assert "store import" in cli("import", "--help").out


def test_data_must_be_those_of_the_log(cli: Cli, file: Path, forget_file: Path):
    refused = cli("import", file, "--data", f"forget={forget_file}", *JSON)
    assert (refused.code, refused.error["code"]) == (1, "data")
    unknown = cli("import", file, "--data", f"world_facts={forget_file}", *JSON)
    assert (unknown.code, unknown.error["code"]) == (2, "split")
    assert not Path("unlearnkit.db").exists()


def test_a_number_beyond_float64_is_not_one(cli: Cli, tmp_path: Path):
    log = {"forget": split()}
    log["forget"]["avg_gt_loss"][0] = 10**400
    assert cli("import", write(tmp_path / "huge.json", log), *JSON).json["metrics"]["forget.probability"]["n"] == 3


def test_tofus_rows_may_stand_in_any_order(place: Workplace, tmp_path: Path):
    log = as_tofu_writes_it({"forget": split()})
    (one,) = import_logs(place, [write(tmp_path / "a.json", log)])
    of = log["eval_log_forget.json"]
    log["eval_log_forget.json"] = {name: dict(reversed(column.items())) for name, column in of.items()}
    (other,) = import_logs(place, [write(tmp_path / "b.json", log)])
    assert place.store.results(one.report.run) == place.store.results(other.report.run)


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        ("[INST] Who? [/INST]", "Who?"),
        ("system\n\nCutting Knowledge Date\n\nuser\n\nWho is [INST]?assistant\n\n", "Who is [INST]?"),
        ("system\nYou are helpful.\nuser\nWho?\nassistant\n", "Who?"),
        ("Question: A?\nAnswer: b\n\nQuestion: Who?\nAnswer: ", "Who?"),
        ("Question: Who?\n", "Who?"),
        ("Once upon a time", "Once upon a time"),
        ("", ""),
    ],
)
def test_the_question_is_found_in_its_template(prompt: str, question: str):
    assert question_of(prompt) == question
