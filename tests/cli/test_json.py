"""`--format json` is a contract: docs/json.md describes it, and each of its keys is held here."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer

from unlearnkit.demo import run as demo
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.workplace import Workplace

Cli = Callable[..., Answer]

MEANING = {"direction", "unit", "definition"}
METRICS = ["probability", "rouge", "truth_ratio", "exact_memorization", "extraction_strength"]


@dataclass(frozen=True)
class Files:
    model: Path
    forget: Path
    retain: Path


@pytest.fixture
def files(tiny_model_dir: Path, forget_file: Path, retain_file: Path) -> Files:
    return Files(tiny_model_dir, forget_file, retain_file)


def keys(value: dict[str, Any]) -> set[str]:
    return set(value)


def number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def score(cli: Cli, files: Files, *more: str) -> Answer:
    return cli("score", "--model", files.model, "--data", files.forget, "-o", "draws=2", *more)


def test_score(cli: Cli, files: Files):
    first = score(cli, files, "--format", "json").json
    assert keys(first) == {
        "run", "scorer", "options", "settled", "found", "n", "computed", "from_store", "reliability", "pairs",
        "forward_passes", "seconds", "unclear", "samples",
    }  # fmt: skip
    assert (first["scorer"], first["n"], len(first["samples"])) == ("mrd", 8, 8)
    assert first["options"]["draws"] == 2
    assert first["computed"] > 0 == first["from_store"]
    assert -1 <= first["reliability"] <= 1
    assert (first["pairs"], first["forward_passes"]) == (2, 5)
    assert first["seconds"] > 0 and 0 <= first["unclear"] <= 1
    assert (first["settled"], first["found"]) == ({}, {})
    for position, sample in enumerate(first["samples"]):
        assert keys(sample) == {"sample", "position", "value", "stderr", "status", "curvature", "curvature_stderr"}
        assert (sample["position"], sample["status"]) == (position, "ok")
        assert all(number(sample[key]) for key in ("value", "stderr", "curvature", "curvature_stderr"))
        assert sample["curvature"] == pytest.approx(sample["value"] / first["options"]["sigma"] ** 2)
    again = score(cli, files, "--format", "json").json
    assert again == {**first, "computed": 0, "from_store": first["computed"]}


def test_score_that_chooses_for_itself(cli: Cli, files: Files):
    words = ("score", "--model", files.model, "--data", files.forget, "-o", "sigma=auto", "-o", "draws=auto")
    found = cli(*words, "-o", "max_draws=8", "--format", "json").json
    assert (found["options"]["sigma"], found["options"]["draws"]) == ("auto", "auto")
    assert keys(found["settled"]) == {"sigma"} and number(found["settled"]["sigma"])
    assert found["forward_passes"] == 1 + 2 * found["pairs"] and 4 <= found["pairs"] <= 8
    assert keys(found["found"]) == {
        "sigma", "check", "ratio", "deviation", "signal", "floor", "signal_to_floor", "walked",
    }  # fmt: skip
    assert all(keys(step) == {"sigma", "curvature", "ratio"} for step in found["found"]["walked"])
    sigma, sample = found["settled"]["sigma"], found["samples"][0]
    assert sample["curvature"] == pytest.approx(sample["value"] / sigma**2)
    text = cli("score", "--model", files.model, "--data", files.forget, "--scorer", "length", "--format", "json").json
    assert (text["forward_passes"], text["unclear"]) == (0, None)


def test_unlearn_and_eval(cli: Cli, files: Files):
    words = ["--model", files.model, "--forget", files.forget, "--retain", files.retain, "--sampler", "mrd"]
    made = cli("unlearn", *words, "--max-steps", 3, "--lr", "1e-4", "--format", "json").json
    assert keys(made) == {
        "run", "algorithm", "sampler", "model_dir", "steps", "stopped_by", "step", "best", "unmet", "evaluations",
        "seconds", "terms",
    }  # fmt: skip
    assert (made["step"], made["best"], made["unmet"], made["evaluations"]) == (3, {}, {}, {})
    assert (made["algorithm"], made["sampler"], made["steps"], made["stopped_by"]) == ("npo", "mrd", 3, "max_steps")
    assert (Path(made["model_dir"]) / "config.json").is_file()
    assert {"forget", "retain", "loss"} <= keys(made["terms"])
    assert all(map(number, [made["seconds"], *made["terms"].values()]))

    words = ["--forget", files.forget, "--retain", files.retain, "--max-new-tokens", 4, "--format", "json"]
    found = cli("eval", made["run"], *words).json
    assert keys(found) == {
        "run", "model", "suite", "computed", "from_store", "metrics", "aggregates", "made", "missing",
    }  # fmt: skip
    assert found["made"] == {}
    assert [(missing["name"], missing["reason"]) for missing in found["missing"]] == [
        ("real_authors", "no_data"), ("world_facts", "no_data"), ("forget_quality", "no_reference"),
    ]  # fmt: skip
    assert (found["suite"], found["computed"], found["from_store"]) == ("tofu", 20, 0)
    assert keys(found["metrics"]) == {f"{split}.{name}" for split in ("forget", "retain") for name in METRICS}
    for name, metric in found["metrics"].items():
        assert keys(metric) == {"value", "n", "low", "high", *MEANING}
        assert metric["n"] == (8 if name.startswith("forget") else 12)
        assert metric["low"] <= metric["value"] <= metric["high"]
    assert keys(found["aggregates"]) == {"forget_quality", "model_utility", "unlearning_completeness", "utility"}
    assert found["aggregates"]["forget_quality"] == {
        "value": None, "n": None, "low": None, "high": None, "reason": "no_reference", "direction": "higher",
        "unit": "", "definition": "unlearnkit metrics show forget_quality",
    }  # fmt: skip
    utility = found["aggregates"]["model_utility"]
    assert keys(utility) == {"value", "n", "low", "high", "reason", *MEANING}
    assert utility["n"] == 12 and utility["low"] <= utility["high"]
    assert cli("eval", made["run"], *words).json == {**found, "computed": 0, "from_store": 20}


def test_attack(cli: Cli, files: Files, twin_model_dir: Path):
    words = ["--forget", files.forget, "-o", "k=2", "-o", "steps=2", "-o", "every=2", "--max-new-tokens", 4]
    found = cli("attack", "relearn", files.model, *words, "--reference", twin_model_dir, "--format", "json").json
    assert keys(found) == {
        "run", "attack", "model", "options", "reference", "computed", "from_store", "outcomes", "curve",
    }  # fmt: skip
    assert (found["attack"], found["options"]["k"]) == ("relearn", 2) and found["reference"] != found["run"]
    assert [(o["metric"], o["samples"], o["n"]) for o in found["outcomes"]] == [
        (metric, samples, n) for metric in ("probability", "rouge") for samples, n in (("others", 6), ("shown", 2))
    ]
    for outcome in found["outcomes"]:
        assert keys(outcome) == {
            "metric", "samples", "n", "before", "under", "rise", "rise_low", "rise_high", "returned", "reference",
            "reference_before", "reference_under", "beyond", "excess", "excess_low", "excess_high",
        }  # fmt: skip
        assert outcome["rise_low"] <= outcome["rise"] <= outcome["rise_high"]
        assert (outcome["beyond"], outcome["excess"]) == (0, 0), "held against its twin"
    assert {point["condition"] for point in found["curve"]} == {"before", "step-2"}
    for point in found["curve"]:
        assert keys(point) == {"condition", "metric", "samples", "n", "value", "reference"}
        assert point["reference"] == point["value"], "held against its twin"
    attack = next(a for a in cli("report", "--format", "json").json["attacks"] if a["run"] == found["run"])
    assert keys(attack) == {"run", "attack", "label", "outcomes", "curve"}
    assert attack["outcomes"] == found["outcomes"] and attack["curve"] == found["curve"]


@pytest.fixture
def quick_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo with two people and two steps."""
    whole = demo.write
    monkeypatch.setattr(demo, "LEARN", Schedule(max_steps=2, batch_size=16))
    monkeypatch.setattr(demo, "FORGET", Schedule(max_steps=2, batch_size=8))
    monkeypatch.setattr(demo, "MAX_NEW_TOKENS", 4)
    monkeypatch.setattr(demo, "write", lambda folder: whole(folder, n=4, forget=1))


@pytest.mark.usefixtures("quick_demo")
def test_demo(cli: Cli):
    found = cli("demo", "--format", "json").json
    assert keys(found) == {"store", "models", "data", "report"}
    assert Path(found["store"]).is_file()
    assert keys(found["models"]) == {"full", "retain", "unlearned"}
    assert keys(found["models"]["unlearned"]) == {"uniform", "mrd"}
    folders = [found["models"]["full"], found["models"]["retain"], *found["models"]["unlearned"].values()]
    assert all((Path(folder) / "model.safetensors").is_file() for folder in folders)
    assert keys(found["data"]) == {"forget", "retain"}
    assert all(Path(file).is_file() for file in found["data"].values())

    report = found["report"]
    assert keys(report) == {"runs", "difficulty", "thirds", "curves", "attacks"}
    assert len(report["runs"]) == 4
    for run in report["runs"]:
        assert keys(run) == {"run", "label", "model_run", "metrics", "aggregates"}
        numbers = {"value", "n", "low", "high", "retain_only", *MEANING}
        assert all(keys(metric) == numbers for metric in run["metrics"].values())
        assert all(keys(number) == {"reason", "reference", *numbers} for number in run["aggregates"].values())
    (difficulty,) = [d for d in report["difficulty"] if d["label"] == "forget.jsonl under full"]
    assert keys(difficulty) == {
        "run", "scorer", "label", "n", "undefined", "low", "median", "high", "unclear", "reliability", "clamped",
    }  # fmt: skip
    for third in report["thirds"]:
        assert keys(third) == {"eval_run", "label", "score_run", "scorer", "metric", "third", "n", "value"}
    assert report == cli("report", "--store", found["store"], "--format", "json").json


@pytest.mark.usefixtures("quick_demo")
@pytest.mark.parametrize(
    ("setting", "option", "chosen"),
    [
        (None, None, "unlearnkit-demo/unlearnkit.db"),
        ("set.db", None, "set.db"),
        ("set.db", "given.db", "given.db"),
        (None, "unlearnkit.db", "unlearnkit.db"),
    ],
)
def test_the_demos_store(
    setting: str | None, option: str | None, chosen: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    class Enough(Exception):
        pass

    def stop(place: Workplace, **_: object) -> None:
        raise Enough(place.settings.store)

    monkeypatch.setattr(demo, "finetune", stop)
    if setting:
        monkeypatch.setenv("UNLEARNKIT_STORE", setting)
    found = cli("demo", *(("--store", option) if option else ()), "--format", "json")
    assert found.error["message"] == f"Enough: {chosen}"


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        (["score", "--model", "nowhere", "--data", "{forget}"], 3, "model"),
        (["score", "--model", "{model}", "--data", "nothing.jsonl"], 3, "data"),
        (["score", "--model", "{model}"], 2, "usage"),
        (["unlearn", "--model", "{model}", "--forget", "{forget}", "--plugin", "nop"], 3, "plugin"),
        (["runs", "list"], 3, "store"),
        (["skore"], 2, "usage"),
    ],
)
def test_errors(cli: Cli, files: Files, words: list[str], exit_code: int, code: str, form: str):
    found = cli(*(word.format(**vars(files)) for word in words), "--format", form)
    assert (found.code, found.out) == (exit_code, "")
    assert keys(json.loads(found.err)) == {"error"}
    assert keys(found.error) == {"code", "message", "hint"}
    assert found.error["code"] == code
    assert found.error["message"]


def test_other_forms_hold_the_same_rows(cli: Cli, files: Files):
    samples = score(cli, files, "--format", "json").json["samples"]
    lines = score(cli, files, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == samples
    texts = [{key: str(value) for key, value in sample.items()} for sample in samples]
    assert list(csv.DictReader(io.StringIO(score(cli, files, "--format", "csv").out))) == texts
    head, rule, *rows = [
        line.strip("|").split("|") for line in score(cli, files, "--format", "markdown").out.splitlines()
    ]
    assert {cell.strip() for cell in rule} == {"---"}
    assert [dict(zip(map(str.strip, head), map(str.strip, row), strict=True)) for row in rows] == texts


@pytest.mark.parametrize(
    ("words", "top"),
    [
        (["runs", "list"], {"runs"}),
        (["store", "info"], {"path", "uuid", "schema", "bytes", "rows", "files", "file_bytes", "runs"}),
        (["store", "check"], {"findings"}),
        (["doctor"], {"checks"}),
        (["plugins"], {"plugins", "broken"}),
        (["suites"], {"suites"}),
        (["suites", "show", "tofu+wmdp"], {"name", "about", "source", "splits", "aggregates"}),
        (["plugins", "show", "mrd"], {"plugins"}),
        (["report"], {"runs", "difficulty", "thirds", "curves", "attacks"}),
    ],
)
def test_every_listing_is_one_object(cli: Cli, files: Files, words: list[str], top: set[str]):
    assert score(cli, files).code == 0
    found = cli(*words, "--format", "json")
    assert found.code == 0, found.err
    assert keys(found.json) == top
