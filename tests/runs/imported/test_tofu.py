"""TOFU's published logs come out as TOFU's own formulas say; in either of its forms, with or without the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Answer
from scipy.stats import ks_2samp

from unlearnkit.data.samples import DataSpec
from unlearnkit.runs.imported import import_logs
from unlearnkit.runs.inputs import read_set
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import Store

from .logs import as_openunlearning_writes_it, as_tofu_writes_it, first, write

Cli = Callable[..., Answer]
MODELS = ("full", "full_wd0", "retain90", "retain90_wd0")
THEIRS = {"probability": "prob", "probability_options": "prob", "rouge": "rougeL", "truth_ratio": "truth_ratio"}
JSON = ("--format", "json")


def test_the_published_logs_give_the_published_figures(cli: Cli, published: Path, log: Callable[[str], Any]):
    expected = log("expected")
    files = {model: published / f"llama2-7b_{model}.json" for model in MODELS}
    made = {model: cli("import", file, *JSON).json for model, file in files.items()}
    for model, found in made.items():
        theirs = expected["model_utility"][model]
        figures = {name: f["value"] for name, f in found["metrics"].items() if not name.endswith("rouge1")}
        assert len(figures) == 12
        for name, value in figures.items():
            split, metric = name.split(".")
            assert value == pytest.approx(theirs[f"{THEIRS[metric]}_{split}"], rel=1e-9), (model, name)
        assert found["aggregates"]["model_utility"]["value"] == pytest.approx(theirs["model_utility"], rel=1e-9)
        assert found["aggregates"]["forget_quality"]["reason"] == "no_reference"
        assert (found["computed"], found["from_store"], found["suite"]) == (817, 0, "tofu")
    for model in ("full", "retain90"):
        again = cli("import", files[model], "--reference", made["retain90_wd0"]["run"], *JSON).json
        assert (again["run"], again["from_store"]) == (made[model]["run"], 817)
        theirs = expected["forget_quality"][f"{model} vs retain90_wd0"]["p_value"]
        assert again["aggregates"]["forget_quality"]["value"] == pytest.approx(theirs, rel=1e-6)


def test_figures_are_computed_from_the_rows(cli: Cli, log: Callable[[str], Any], tmp_path: Path):
    """Every number against TOFU's formulas in float64, on the first rows."""
    some, other = first(log("full"), 20), first(log("retain90"), 20)
    reference = cli("import", write(tmp_path / "retain.json", other), *JSON).json["run"]
    found = cli("import", write(tmp_path / "full.json", some), "--reference", reference, *JSON).json
    ratios = {}
    for name, of in {"full": some["forget"], "retain": other["forget"]}.items():
        ratios[name] = np.exp(np.array(of["avg_paraphrased_loss"]) - np.array(of["average_perturb_loss"]).mean(-1))
    quality = ks_2samp(ratios["full"], ratios["retain"]).pvalue
    assert found["aggregates"]["forget_quality"]["value"] == pytest.approx(quality, rel=1e-9)
    terms = []
    for split, of in some.items():
        right, wrong = np.exp(-np.array(of["avg_gt_loss"])), np.exp(-np.array(of["average_perturb_loss"]))
        ratio = np.exp(np.array(of["avg_paraphrased_loss"]) - np.array(of["average_perturb_loss"]).mean(-1))
        general = split in ("real_authors", "world_facts")
        expected = {
            "probability_options" if general else "probability": right / (right + wrong.sum(-1)) if general else right,
            "rouge": np.array(of["rougeL_recall"]),
            "rouge1": np.array(of["rouge1_recall"]),
            "truth_ratio": np.minimum(ratio, 1 / ratio) if split == "forget" else np.maximum(0, 1 - ratio),
        }
        for name, values in expected.items():
            figure = found["metrics"][f"{split}.{name}"]
            assert (figure["value"], figure["n"]) == (pytest.approx(values.mean(), rel=1e-9), 20)
            if split != "forget" and name != "rouge1":
                terms.append(values.mean())
        assert len([name for name in found["metrics"] if name.startswith(split)]) == 4
    assert found["aggregates"]["model_utility"]["value"] == pytest.approx(9 / np.sum(1 / np.array(terms)), rel=1e-9)


def rows_of(store: Store, run: str) -> dict[tuple[str, str, str], float | None]:
    return {(r.split, r.metric, r.sample): r.value for r in store.results(run)}


def test_a_sample_is_the_same_in_every_form(place: Workplace, log: Callable[[str], Any], tofu: Path, tmp_path: Path):
    some = first(log("full"), 12)
    files = {
        "plain": write(tmp_path / "plain.json", some),
        "tofu": write(tmp_path / "npo" / "eval_log_aggregated.json", as_tofu_writes_it(some)),
        "ou": write(tmp_path / "simnpo" / "TOFU_EVAL.json", as_openunlearning_writes_it(some)),
    }
    found = {name: import_logs(place, [file])[0] for name, file in files.items()}
    assert {name: one.report.model for name, one in found.items()} == {"plain": "plain", "tofu": "npo", "ou": "simnpo"}
    values = {name: rows_of(place.store, one.report.run) for name, one in found.items()}
    assert len(values["plain"]) == 12 * 16
    for name in ("tofu", "ou"):
        assert values[name] == pytest.approx(values["plain"], rel=1e-9), name
    own = {s.id for s in read_set(place, DataSpec(str(tofu / "forget10.jsonl"))).samples[:12]}
    assert {sample for split, _, sample in values["ou"] if split == "forget"} == own


def test_rows_without_texts_are_those_of_the_data_that_are_named(
    place: Workplace, log: Callable[[str], Any], tofu: Path, tmp_path: Path
):
    some = {"forget": first(log("full"), 6)["forget"]}
    with_texts = write(tmp_path / "a.json", some)
    without = write(tmp_path / "b.json", as_openunlearning_writes_it(some, texts=False))
    texts, (named,) = import_logs(place, [with_texts]), import_logs(
        place, [without], data={"forget": DataSpec(str(tofu / "forget10.jsonl"))}
    )  # fmt: skip
    expected = rows_of(place.store, texts[0].report.run)
    assert rows_of(place.store, named.report.run) == pytest.approx(expected, rel=1e-9)
    (alone,) = import_logs(place, [without])
    mine = {sample for _, _, sample in rows_of(place.store, alone.report.run)}
    assert len(mine) == 6 and not mine & {sample for _, _, sample in expected}
    other = write(
        tmp_path / "c.json", as_openunlearning_writes_it({"forget": first(log("retain90"), 6)["forget"]}, texts=False)
    )
    (like,) = import_logs(place, [other])
    assert {sample for _, _, sample in rows_of(place.store, like.report.run)} == mine


def test_what_is_not_finite_has_no_value(cli: Cli, log: Callable[[str], Any], tmp_path: Path):
    some = {"forget": first(log("full"), 5)["forget"]}
    some["forget"]["avg_gt_loss"][1] = float("nan")
    some["forget"]["average_perturb_loss"][2][0] = float("inf")
    some["forget"]["rougeL_recall"][3] = float("nan")
    answer = cli("import", write(tmp_path / "nan.json", some), *JSON)
    found = answer.json["metrics"]
    assert {name: f["n"] for name, f in found.items()} == {
        "forget.probability": 3, "forget.rouge": 4, "forget.truth_ratio": 3, "forget.rouge1": 5,
    }  # fmt: skip
    assert "5 values undefined" in answer.err


def test_texts_are_kept_only_where_that_is_wanted(cli: Cli, log: Callable[[str], Any], tmp_path: Path):
    some = first(log("full"), 2)
    file, said = write(tmp_path / "full.json", some), some["forget"]["generations"][0]["generated"]
    for words, kept in (((), False), (("--store-text",), True)):
        store = tmp_path / f"{kept}.db"
        run = cli("import", file, *words, "--store", store, *JSON).json["run"]
        with Store.open(store) as opened:
            assert (said in {g.text for g in opened.generations(run)}) is kept
        assert (said.encode() in store.read_bytes()) is kept
