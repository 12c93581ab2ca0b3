"""`metrics` says of every number what it is, which way is better and who uses it."""

from __future__ import annotations

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


def test_a_name_with_a_mistake_is_told_as_such(cli: Cli):
    missing = cli("metrics", "show", "trth_ratio", *JSON)
    assert (missing.code, missing.error["code"]) == (3, "plugin")
    assert "truth_ratio" in missing.error["hint"]
