"""`store check --full` derives the scores again, and looking changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from unittest.mock import Mock

import pytest

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import UnlearnkitError
from unlearnkit.runs.check import check
from unlearnkit.runs.doctor import examine
from unlearnkit.runs.score import score
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import Store, schema


def alter(place: Workplace, statement: str) -> None:
    with sqlite3.connect(place.settings.store) as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE score SET value = value * 1.001 WHERE sample = (SELECT min(sample) FROM score)",
        "UPDATE score SET stderr = 0 WHERE sample = (SELECT min(sample) FROM score)",
        "UPDATE score SET details = json_set(details, '$.curvature', 7) WHERE sample = (SELECT min(sample) FROM score)",
        "DELETE FROM score WHERE sample = (SELECT min(sample) FROM score)",
    ],
)
def test_an_altered_score_is_found(place: Workplace, model: str, forget: DataSpec, statement: str):
    run = score(place, model=model, data=forget, options={"draws": 2}, batch_size=2).run
    assert check(place, full=True) == []
    alter(place, statement)
    (found,) = check(place, full=True)
    assert found.code == "scores" and run in found.message and not found.harmless
    assert check(place) == []


def test_a_run_without_a_plan_is_named(place: Workplace, model: str, forget: DataSpec):
    run = score(place, model=model, data=forget, options={"draws": 2}).run
    alter(place, "UPDATE run SET config = json_remove(config, '$.shards')")
    (found,) = check(place, full=True)
    assert found.harmless and run in found.message


def test_the_fused_cross_entropy_is_looked_for(place: Workplace, monkeypatch: pytest.MonkeyPatch):
    def said(**settings: bool) -> str:
        place.settings = replace(place.settings, **settings)
        return {c.what: c.found for c in examine(place)}["fused cross-entropy"]

    monkeypatch.setattr(metadata, "version", Mock(side_effect=metadata.PackageNotFoundError))
    assert "unlearnkit[fused]" in said()
    monkeypatch.setattr(metadata, "version", lambda _: "1.2")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert said() == "liger-kernel 1.2, triton 1.2: not used, it needs a GPU"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "used in training" in said()
    assert said(fused=False) == "liger-kernel 1.2, triton 1.2: not used, the setting `fused` is off"


def test_looking_writes_nothing(place: Workplace, monkeypatch: pytest.MonkeyPatch):
    Store.open(place.settings.store).close()
    monkeypatch.setattr("unlearnkit.store.base.connect.writing", lambda _: pytest.fail("written"))
    monkeypatch.setattr("unlearnkit.store.upgrade.to_newest", lambda _: pytest.fail("upgraded"))
    before = Path(place.settings.store).read_bytes()
    check(place, full=True)
    assert {c.what: c for c in examine(place)}["store"].ok
    assert Path(place.settings.store).read_bytes() == before


def test_an_older_store_is_named_and_left_as_it_is(place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Store.open(place.settings.store).close()
    newer = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, newer)
    shutil.copy(newer / "schema" / f"{schema.revisions()[-1]}.sql", newer / "schema" / "9999.sql")
    monkeypatch.setattr(schema, "MIGRATIONS", newer)
    before = Path(place.settings.store).read_bytes()
    assert "older schema" in {c.what: c for c in examine(place)}["store"].found
    with pytest.raises(UnlearnkitError) as caught:
        check(place)
    assert caught.value.code == "store-older"
    assert Path(place.settings.store).read_bytes() == before
