"""`info` counts what was put in; `check` finds what was broken."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import torch

from unlearnkit.store import Store, schema
from unlearnkit.store.records import Checkpoint, ScoreRow

from .making import DATA, a_run


def test_info(store: Store, path: Path):
    run = a_run(store)
    store.put_scores(run.id, [ScoreRow(str(i), 1.0, None, 1) for i in range(7)])
    sha = store.files.save({"x": torch.ones(10)})
    info = store.info()
    assert info["path"] == str(path) and info["uuid"] == store.uuid and info["schema"] == schema.revisions()[-1]
    assert info["bytes"] >= path.stat().st_size
    assert info["rows"].keys() == schema.metadata.tables.keys()
    expected = {"run": 1, "run_dataset": 1, "dataset": 1, "dataset_row": DATA.n, "model": 1, "score": 7, "meta": 2}
    assert {t: n for t, n in info["rows"].items() if n} == expected
    assert info["files"] == 1 and info["file_bytes"] == sum(store.files.stored().values())
    assert (store.files.root / sha[:2] / f"{sha}.safetensors").stat().st_size == info["file_bytes"]
    assert info["runs"] == {"created": 1}


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DELETE FROM dataset", "reference"),
        ("CREATE VIEW extra AS SELECT 1", "schema"),
        ("DROP INDEX run_created", "schema"),
    ],
)
def test_what_was_done_behind_its_back(store: Store, path: Path, sql: str, code: str):
    a_run(store)
    assert store.check(full=True) == []
    raw = sqlite3.connect(path)
    raw.execute(sql)
    raw.commit()
    raw.close()
    found = store.check()
    assert found and {(f.code, f.harmless) for f in found} == {(code, False)}


def test_files(store: Store):
    run = a_run(store).id
    store.put_checkpoint(run, Checkpoint(1, store.files.save({"x": torch.ones(9)}), {}))
    orphan = store.files.save({"x": torch.zeros(9)})
    assert [(f.code, f.harmless, orphan[:12] in f.message) for f in store.check()] == [("orphan", True, True)]
    sha = store.checkpoints(run)[0].file
    path = store.files.root / sha[:2] / f"{sha}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    assert {(f.code, f.harmless) for f in store.check()} == {("orphan", True), ("checkpoint", False)}


def test_a_spoiled_page_is_found(path: Path):
    with Store.open(path) as store:
        run = a_run(store)
        store.put_scores(run.id, [ScoreRow(f"{i:064x}", i / 3, None, 1) for i in range(2000)])
    with path.open("r+b") as file:
        content = file.read()
        page = content.index(f"{1000:064x}".encode()) // 4096 * 4096
        file.seek(page)
        file.write(b"\xa5" * 4096)
    with Store.open(path) as store:
        assert "corrupt" in {f.code for f in store.check()}
