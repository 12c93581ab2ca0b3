"""`runs compare` against the store's own rows: differences, thirds, sign tests by scipy, Holm by its definition."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Answer, pairs, write_jsonl
from scipy.stats import binomtest

import unlearnkit

from .conftest import Lab

Cli = Callable[..., Answer]
JSON = ("--format", "json")
METRICS = ("probability", "rouge", "truth_ratio", "exact_memorization", "extraction_strength")


@pytest.fixture
def compare(cli: Cli, lab: Lab) -> Callable[..., Answer]:
    return lambda *words: cli("runs", "compare", *words, "--store", lab.store)


def rows_of(store: Path, run: str) -> dict[tuple[str, str], dict[str, float]]:
    """A run's terms by split and metric, straight from the database."""
    with sqlite3.connect(store) as db:
        found = db.execute("SELECT split, metric, sample, value FROM v_results WHERE run = ?", [run]).fetchall()
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for split, metric, sample, value in found:
        if value is not None:
            rows.setdefault((split, metric), {})[sample] = term(split, value) if metric == "truth_ratio" else value
    return rows


def term(split: str, ratio: float) -> float:
    return min(ratio, 1 / ratio) if split == "forget" else max(0.0, 1 - ratio)


def by_hand(one: Mapping[str, float], other: Mapping[str, float], samples: list[str]) -> dict[str, Any]:
    differences = np.array([other[s] - one[s] for s in samples])
    up, down = int((differences > 0).sum()), int((differences < 0).sum())
    return {
        "n": len(samples), "a": pytest.approx(np.mean([one[s] for s in samples])),
        "b": pytest.approx(np.mean([other[s] for s in samples])), "higher": up, "lower": down,
        "difference": pytest.approx(differences.mean(), abs=1e-12), "ties": len(samples) - up - down,
        "p": pytest.approx(binomtest(up, up + down).pvalue) if up + down else None,
    }  # fmt: skip


def test_differences_are_those_of_the_stores_rows(compare: Callable[..., Answer], lab: Lab):
    a, b = lab.evaluated["before"], lab.evaluated["mrd"]
    found = compare(a, b, *JSON).json
    assert (found["a"]["run"], found["b"]["run"], found["score_run"]) == (a, b, lab.scored)
    one, other = rows_of(lab.store, a), rows_of(lab.store, b)
    with sqlite3.connect(lab.store) as db:
        scores = db.execute("SELECT value, sample FROM v_scores WHERE run = ?", [lab.scored]).fetchall()
    ranked = [sample for _, sample in sorted(scores)]
    thirds = {"hard": ranked[:3], "middle": ranked[3:6], "easy": ranked[6:]}  # the paper: a low MRD is hard
    expected = {}
    for split, metric in one:
        parts = {None: sorted(one[split, metric]), **(thirds if split == "forget" else {})}
        for third, samples in parts.items():
            expected[split, metric, third] = by_hand(one[split, metric], other[split, metric], samples)
    assert len(expected) == 5 * 4 + 5
    shown = {(d["split"], d["metric"], d["third"]): d for d in found["differences"]}
    assert shown.keys() == expected.keys()
    for key, wanted in expected.items():
        assert {name: shown[key][name] for name in wanted} == wanted, key
        assert shown[key]["low"] <= shown[key]["difference"] <= shown[key]["high"]
    assert found["samples"] == {
        split: {"common": n, "only_a": 0, "only_b": 0} for split, n in (("forget", 8), ("retain", 12))
    }
    assert found["left_out"] == []


def test_every_test_is_counted_and_adjusted_for(compare: Callable[..., Answer], lab: Lab):
    found = compare(lab.evaluated["before"], lab.evaluated["mrd"], *JSON).json
    tests = sorted(d["p"] for d in found["differences"] if d["p"] is not None)
    assert found["tests"] == len(tests) > 5
    for d in found["differences"]:
        if d["p"] is None:
            assert d["p_adjusted"] is None
        else:  # the largest of what Holm makes of it and of all smaller ones
            last = max(i for i, p in enumerate(tests) if p == d["p"])
            steps = [min(1.0, (len(tests) - i) * p) for i, p in enumerate(tests[: last + 1])]
            assert d["p_adjusted"] == pytest.approx(max(steps))


def test_the_same_from_python(compare: Callable[..., Answer], lab: Lab):
    runs = lab.evaluated["uniform"], lab.evaluated["mrd"]
    assert unlearnkit.compare(*runs, store=lab.store).json() == compare(*runs, *JSON).json


def test_the_other_way_round_is_the_opposite(compare: Callable[..., Answer], lab: Lab):
    a, b = lab.evaluated["uniform"], lab.evaluated["mrd"]
    there, back = (compare(*runs, *JSON).json["differences"] for runs in ((a, b), (b, a)))
    for one, other in zip(there, back, strict=True):
        assert (one["difference"], one["higher"], one["p"]) == (-other["difference"], other["lower"], other["p"])


def test_a_training_run_stands_for_its_models_evaluation(compare: Callable[..., Answer], lab: Lab):
    by_model = compare(lab.evaluated["before"], lab.unlearned["mrd"], *JSON).json
    assert by_model == compare(lab.evaluated["before"], lab.evaluated["mrd"], *JSON).json
    same = compare(lab.unlearned["mrd"], lab.evaluated["mrd"], *JSON)
    assert (same.code, same.error["code"]) == (2, "evaluations")


def test_one_metric_is_one_family_of_tests(compare: Callable[..., Answer], lab: Lab):
    runs = (lab.evaluated["before"], lab.evaluated["mrd"])
    found = compare(*runs, "--metric", "retain.probability", *JSON).json
    ((p, adjusted),) = ((d["p"], d["p_adjusted"]) for d in found["differences"])
    assert found["tests"] == 1 and p == adjusted
    both = compare(*runs, "--metric", "probability", "--metric", "forget.rouge", *JSON).json["differences"]
    assert {(d["split"], d["metric"]) for d in both} == {
        ("forget", "probability"), ("retain", "probability"), ("forget", "rouge"),
    }  # fmt: skip
    unknown = compare(*runs, "--metric", "loss", *JSON)
    assert (unknown.code, unknown.error["code"]) == (2, "metric")


def test_tables_fit_and_say_it(compare: Callable[..., Answer], lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = compare(lab.evaluated["before"], lab.evaluated["mrd"])
    assert max(map(len, shown.out.splitlines())) <= 80
    assert not any(c in shown.out for c in "\x1b\x07\u202e")
    _, _, tables = shown.out.partition("differences")
    assert re.findall(r"\S…", tables) == [], "no metric's name is cut"
    tests = compare(lab.evaluated["before"], lab.evaluated["mrd"], *JSON).json["tests"]
    assert f"all {tests} tests" in shown.out
    assert re.search(r"forget\.probability, hard +↓ +3 ", shown.out)


def test_only_common_samples_count(cli: Cli, lab: Lab, tmp_path: Path):
    """An evaluation of half of the forget set and of others; and one of nothing that the first has."""
    store = tmp_path / "copy.db"
    with sqlite3.connect(lab.store) as source, sqlite3.connect(store) as target:
        source.backup(target)
    half = write_jsonl(tmp_path / "half.jsonl", pairs("Ada Quill", "Bo Tarn")[:4] + pairs("New Name")[:1])
    other = write_jsonl(tmp_path / "other.jsonl", pairs("Nobody Here"))
    some = unlearnkit.evaluate(lab.model, {"forget": half}, store=store, max_new_tokens=4).run
    none = unlearnkit.evaluate(lab.model, {"forget": other}, store=store, max_new_tokens=4).run
    a = lab.evaluated["mrd"]
    found = cli("runs", "compare", a, some, "--store", store, *JSON).json
    assert found["samples"]["forget"] == {"common": 4, "only_a": 4, "only_b": 1}
    one, theirs = rows_of(store, a), rows_of(store, some)
    whole = {d["metric"]: d for d in found["differences"] if d["third"] is None}
    common = sorted(one["forget", "rouge"].keys() & theirs["forget", "rouge"].keys())
    assert len(common) == 4
    for metric in METRICS:
        wanted = by_hand(one["forget", metric], theirs["forget", metric], common)
        assert {name: whole[metric][name] for name in wanted} == wanted
    assert {row["name"]: row["reason"] for row in found["left_out"]} == {f"retain.{m}": "one_only" for m in METRICS}
    refused = cli("runs", "compare", a, none, "--store", store, *JSON)
    assert (refused.code, refused.error["code"]) == (1, "unpaired")
    assert refused.error["hint"] and not refused.out
    narrowed = cli("runs", "compare", a, none, "--metric", "rouge", "--store", store, *JSON)
    assert narrowed.error["code"] == "metric" and "no common sample" in narrowed.error["message"]


def test_runs_stand_for_the_newest_evaluations_that_can_be_compared(cli: Cli, lab: Lab, tmp_path: Path):
    """The newest of each is of another suite, or of other samples."""
    store = tmp_path / "copy.db"
    with sqlite3.connect(lab.store) as source, sqlite3.connect(store) as target:
        source.backup(target)
    other = write_jsonl(tmp_path / "other.jsonl", pairs("Nobody Here"))
    folders = {sampler: lab.store.parent / sampler for sampler in ("mrd", "uniform")}
    unlearnkit.evaluate(folders["mrd"], {"forget": lab.forget}, suite="memorization", store=store, max_new_tokens=2)
    unlearnkit.evaluate(folders["uniform"], {"forget": other}, store=store, max_new_tokens=4)

    def compared(*words: str) -> tuple[str, str]:
        found = cli("runs", "compare", *words, "--store", store, *JSON).json
        return found["a"]["run"], found["b"]["run"]

    runs = lab.unlearned["mrd"], lab.unlearned["uniform"]
    assert compared(*runs) == (lab.evaluated["mrd"], lab.evaluated["uniform"])
    newest = unlearnkit.evaluate(folders["uniform"], {"forget": lab.forget}, store=store, max_new_tokens=4).run
    assert compared(*runs) == (lab.evaluated["mrd"], newest)
    assert compared(*runs, "--metric", "retain.rouge") == (lab.evaluated["mrd"], lab.evaluated["uniform"])


def test_an_imported_log_is_compared_with_ones_own(cli: Cli, lab: Lab, tmp_path: Path):
    """OpenUnlearning's probabilities of the same questions; its extraction strength is another number."""
    import json

    from unlearnkit.data.samples import DataSpec, load_samples

    store = tmp_path / "copy.db"
    with sqlite3.connect(lab.store) as source, sqlite3.connect(store) as target:
        source.backup(target)
    samples = load_samples(DataSpec(str(lab.forget))).samples
    losses = np.random.default_rng(0).uniform(0, 2, len(samples))
    log = {
        "forget_Q_A_Prob": {"value_by_index": {str(i): {"prob": 0, "avg_loss": x} for i, x in enumerate(losses)}},
        "extraction_strength": {"value_by_index": {str(i): {"score": 0.5} for i in range(len(samples))}},
    }
    file = tmp_path / "TOFU_EVAL.json"
    file.write_text(json.dumps(log))
    run = cli("import", file, "--data", f"forget={lab.forget}", "--store", store, *JSON).json["run"]
    found = cli("runs", "compare", lab.evaluated["mrd"], run, "--store", store, *JSON).json
    own = rows_of(store, lab.evaluated["mrd"])["forget", "probability"]
    theirs = {sample.id: float(np.exp(-x)) for sample, x in zip(samples, losses, strict=True)}
    (whole,) = (d for d in found["differences"] if d["third"] is None)
    wanted = by_hand(own, theirs, sorted(own))
    assert {name: whole[name] for name in wanted} == wanted
    assert {d["third"] for d in found["differences"]} == {None, "hard", "middle", "easy"}
    reasons = {row["name"]: row["reason"] for row in found["left_out"]}
    assert reasons["forget.extraction_strength"] == "other_definition"
    refused = cli(
        "runs", "compare", lab.evaluated["mrd"], run, "--metric", "extraction_strength", "--store", store, *JSON
    )
    assert refused.error["code"] == "metric" and "two definitions" in refused.error["message"]
