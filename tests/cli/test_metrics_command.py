"""`metrics` says of every number what it is, which way is better and who uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from conftest import Answer

from unlearnkit.metrics.truth_ratio import TruthRatio
from unlearnkit.plugins import Plugins

Cli = Callable[..., Answer]
JSON = ("--format", "json")


def test_every_metric_and_aggregate_is_listed_by_default(cli: Cli):
    found = {(d["kind"], d["name"]) for d in cli("metrics", *JSON).json["metrics"]}
    builtin = Plugins(entry_points=())
    assert found >= {(kind, name) for kind in ("metric", "aggregate") for name in builtin.offers(kind)}
    table = cli("metrics", "list").out
    assert [name for _, name in found if name not in table] == []
    assert not Path("unlearnkit.db").exists()


def test_one_is_told_in_full(cli: Cli):
    (found,) = cli("metrics", "show", "truth_ratio", *JSON).json["metrics"]
    assert found["definition"].splitlines()[0] == TruthRatio.__doc__.splitlines()[0]
    assert (found["unit"], found["source"], found["better"]["forget"]) == ("ratio", "2401.06121", "higher")
    assert found["needs"] == ["answer", "paraphrases", "wrong"]
    assert set(found["suites"]["tofu"]) == {"forget", "retain", "real_authors", "world_facts"}
    shown = " ".join(cli("metrics", "show", "truth_ratio").out.split())
    assert f"metric truth_ratio: {' '.join(TruthRatio.__doc__.split())[:200]}" in shown
    assert "2401.06121" in shown


def test_which_way_is_better_is_the_splits(cli: Cli):
    better = cli("metrics", "show", "probability", *JSON).json["metrics"][0]["better"]
    assert (better["forget"], better["retain"]) == ("lower", "higher")
    (quality,) = cli("metrics", "show", "forget_quality", *JSON).json["metrics"]
    assert (quality["better"], quality["needs_reference"]) == ({"": "higher"}, True)


def test_a_name_goes_with_its_split_or_as_a_variant(cli: Cli):
    whole = cli("metrics", "show", "rouge", *JSON).json
    assert cli("metrics", "show", "forget.rouge", *JSON).json == whole
    (variant,) = cli("metrics", "show", "rouge1", *JSON).json["metrics"]
    assert (variant["plugin"], variant["options"]) == ("rouge", {"variant": "rouge1"})
    assert "rouge with variant=rouge1" in cli("metrics", "show", "retain.rouge1").out


def test_a_suites_own_name_is_known_once_something_was_evaluated_by_it(
    cli: Cli, tiny_model_dir: Path, forget_file: Path, retain_file: Path
):
    Path("mine.yaml").write_text("splits: {forget: {metrics: [{mk4: {plugin: min_k, k: 0.4}}]}}\naggregates: []")
    assert cli("metrics", "show", "mk4", *JSON).code == 3
    for data in (forget_file, retain_file):
        assert cli("eval", tiny_model_dir, "--forget", data, "--suite", "mine.yaml", *JSON).code == 0
    for name in ("mk4", "forget.mk4"):
        (found,) = cli("metrics", "show", name, *JSON).json["metrics"]
        assert (found["plugin"], found["options"]["k"], found["suites"]) == ("min_k", 0.4, {"mine.yaml": ["forget"]})
    assert "min_k with" in cli("metrics", "show", "mk4").out
    Path("unlearnkit.db").write_bytes(b"no store")
    assert cli("metrics", "show", "rouge").code == 0


def test_every_name_on_the_table_of_an_imported_log_is_known(cli: Cli):
    side = {"value_by_index": {"0": {"score": 1.0}, "1": {"score": 2.0}}}
    attacks = {name: {"forget": side, "holdout": side} for name in ("mia_reference", "mia_gradnorm", "mia_min_k")}
    Path("TOFU_EVAL.json").write_text(json.dumps({**attacks, "extraction_strength": side}))
    row = {"doc_id": 0, "doc": {}, "target": "4", "filter": "strict-match", "acc": 1.0}
    Path("samples_gsm.jsonl").write_text(json.dumps(row))
    for file in ("TOFU_EVAL.json", "samples_gsm.jsonl"):
        found = cli("import", file, *JSON).json
        for name in (*found["metrics"], *found["aggregates"]):
            shown = cli("metrics", "show", name, *JSON).json["metrics"]
            assert {d["name"] for d in shown} <= {name, name.partition(".")[2]}, name
    (norm,) = cli("metrics", "show", "grad_norm_mean", *JSON).json["metrics"]
    assert norm["definition"].startswith("Mean over the weight tensors") and norm["options"]["by"] == "OpenUnlearning"


def test_a_name_with_a_mistake_is_told_as_such(cli: Cli):
    missing = cli("metrics", "show", "trth_ratio", *JSON)
    assert (missing.code, missing.error["code"]) == (3, "plugin")
    assert "truth_ratio" in missing.error["hint"]
