"""Scores and attacks on membership in a suite: from a model to the store, and from the store again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from unlearnkit.data.samples import DataSpec
from unlearnkit.demo.tiny import build
from unlearnkit.runs.evaluate import EvalReport, evaluate
from unlearnkit.runs.workplace import Workplace

SUITE = """
max_new_tokens: 4
splits:
  forget: {metrics: &scores [loss, min_k, min_k_plus, zlib, grad_norm, recall], before: shots, shots: 2}
  holdout: {metrics: *scores, before: shots, shots: 2}
  shots: {metrics: [loss]}
aggregates:
  - auc
  - {auc_min_k: {plugin: auc, score: min_k}}
  - {auc_recall: {plugin: auc, score: recall}}
  - {found: {plugin: tpr, score: zlib, fpr: 0.2}}
  - {leakage: {plugin: privacy_leakage, score: min_k_plus}}
  - mia_reference
  - tpr
"""


@pytest.fixture
def run(place: Workplace, model: str, forget: DataSpec, retain_file: Path, tmp_path: Path) -> Callable[..., EvalReport]:
    rows = retain_file.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "members.yaml").write_text(SUITE)
    (tmp_path / "shots.jsonl").write_text("".join(rows[:2]))
    (tmp_path / "holdout.jsonl").write_text("".join(rows[2:]))
    data = {"forget": forget, **{name: DataSpec(f"{name}.jsonl") for name in ("shots", "holdout")}}
    return lambda name=model, **more: evaluate(place, model=name, data=data, suite_name="members.yaml", **more)


def test_attacks_are_what_the_stored_scores_say(
    place: Workplace, run: Callable[..., EvalReport], tmp_path: Path, forget_file: Path, request: pytest.FixtureRequest
):
    other = build(tmp_path / "other", [forget_file.read_text()], vocab=400, hidden=32, layers=2, seed=7)
    reference = run(str(other))
    found = run(reference=reference.run)

    def scores(of: EvalReport, split: str, metric: str) -> list[float]:
        rows = place.store.results(of.run)
        return [row.value for row in rows if (row.split, row.metric) == (split, metric)]  # type: ignore[misc]

    def area(pairs: list[tuple[list[float], list[float]]], sign: int) -> float:
        """Pairs of values and what is taken from them, of members and of others."""
        ours, theirs = ([sign * (a - b) for a, b in zip(*values, strict=True)] for values in pairs)
        return sum((x > y) + (x == y) / 2 for x, y in product(ours, theirs)) / len(ours) / len(theirs)

    def of(report: EvalReport, metric: str, sign: int) -> float:
        both = [scores(report, split, metric) for split in ("forget", "holdout")]
        return area([(values, [0.0] * len(values)) for values in both], sign)

    assert found.aggregates["auc"].value == pytest.approx(of(found, "loss", -1))
    assert found.aggregates["auc_min_k"].value == pytest.approx(of(found, "min_k", 1))
    assert found.aggregates["auc_recall"].value == pytest.approx(of(found, "recall", 1))
    ours, usual = 1 - of(found, "min_k_plus", 1), 1 - of(reference, "min_k_plus", 1)
    assert found.aggregates["leakage"].value == pytest.approx((ours - usual) / usual * 100)
    apart = [(scores(found, split, "loss"), scores(reference, split, "loss")) for split in ("forget", "holdout")]
    assert found.aggregates["mia_reference"].value == pytest.approx(area(apart, -1))
    assert found.aggregates["mia_reference"].reference == reference.run
    assert (found.aggregates["tpr"].value, found.aggregates["tpr"].reason) == (None, "few_others")
    for name in ("auc", "auc_min_k", "auc_recall", "found", "leakage", "mia_reference"):
        row = found.aggregates[name]
        assert row.n == 18 and row.low is not None and row.low <= row.value <= row.high  # type: ignore[operator]

    request.getfixturevalue("no_model")
    assert {row.name: row for row in place.store.aggregates(found.run)} == found.aggregates
    assert run(reference=reference.run).aggregates == found.aggregates


def test_values_of_a_further_model_are_found_by_what_is_in_its_folder(
    place: Workplace, model: str, forget: DataSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import transformers as tf

    said = ["In Berne, I think.", "Nobody knows."] * 4
    monkeypatch.setattr("unlearnkit.evaluating.Evaluator.generate", lambda *_, **__: said)

    def encoder(seed: int) -> None:
        import torch

        torch.manual_seed(seed)
        config = tf.BertConfig(
            vocab_size=400, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
        )
        tf.BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "encoder")
        tf.AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path / "encoder")

    encoder(0)
    metrics = "{similarity: {model: encoder}}"
    (tmp_path / "said.yaml").write_text(f"max_new_tokens: 4\nsplits: {{forget: {{metrics: [{metrics}]}}}}")

    def run() -> EvalReport:
        return evaluate(place, model=model, data={"forget": forget}, suite_name="said.yaml")

    first = run()
    assert first.metrics["forget.similarity"].n == 8 and run().computed == 0
    encoder(1)
    second = run()
    assert second.run != first.run and second.computed == 8
    assert second.metrics["forget.similarity"].value != first.metrics["forget.similarity"].value
    shutil.rmtree(tmp_path / "encoder")
    encoder(0)
    assert (again := run()).run == first.run and again.computed == 0
