"""`store import`: draws made on two machines give the scores that one would have made, and nothing is computed."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer

from unlearnkit.store import Store, schema

Cli = Callable[..., Answer]
Score = Callable[..., dict[str, Any]]

FORM = ("--format", "json")


@pytest.fixture
def score(cli: Cli, tiny_model_dir: Path, forget_file: Path) -> Score:
    def run(store: str, draws: int) -> dict[str, Any]:
        words = ("--model", tiny_model_dir, "--data", forget_file, "-o", f"draws={draws}", "--batch-size", 1)
        found = cli("score", *words, "--store", store, *FORM)
        assert found.code == 0, found.err
        return found.json

    return run


def alter(store: str, *statements: str) -> None:
    with sqlite3.connect(store) as raw:
        for statement in statements:
            raw.execute(statement)
    raw.close()


def test_scores_of_another_machine_are_here_after_it(cli: Cli, score: Score):
    score("a.db", 2)
    there = score("b.db", 4)
    form = ("--store", "a.db", *FORM)
    would = cli("store", "import", "b.db", "--dry-run", *form).json
    done = cli("store", "import", "b.db", *form)
    assert done.code == 0
    assert done.json == {**would, "dry_run": False}
    rows = {row.pop("what"): row for row in done.json["imported"]}
    assert rows["piece"] == {"taken": 4, "present": 5, "refused": 0}
    assert rows["score run"] == {"taken": 1, "present": 0, "refused": 0}
    assert rows["model"] == rows["data set"] == {"taken": 0, "present": 1, "refused": 0}
    here = score("a.db", 4)
    assert here == {**there, "computed": 0, "from_store": there["computed"]}
    assert cli("store", "check", "--full", "--store", "a.db").code == 0
    assert "all of it is here already" in cli("store", "import", "b.db", "--store", "a.db").err


def test_parts_of_a_series_make_the_whole(cli: Cli, score: Score):
    """One machine has draws 0 and 1, the other made only 2 and 3 of the run that wants all four."""
    whole = score("whole.db", 4)
    score("a.db", 2)
    score("b.db", 4)
    alter(
        "b.db",
        "DELETE FROM block WHERE draw BETWEEN 0 AND 1",
        "DELETE FROM score",
        "UPDATE run SET state = 'failed', error_code = 'interrupted', summary = '{}'",
    )
    assert cli("store", "import", "b.db", "--store", "a.db").code == 0
    assert score("a.db", 2)["computed"] == 0
    here = score("a.db", 4)
    assert (here["computed"], here["samples"]) == (0, whole["samples"])
    assert (here["forward_passes"], here["reliability"]) == (whole["forward_passes"], whole["reliability"])


def test_what_is_missing_alone_is_computed(cli: Cli, score: Score):
    whole = score("whole.db", 4)
    score("b.db", 2)
    assert cli("store", "import", "b.db", "--store", "a.db").code == 0
    here = score("a.db", 4)
    assert (here["computed"], here["from_store"], here["samples"]) == (4, 5, whole["samples"])


def test_a_contradiction_is_named_and_is_exit_code_1(cli: Cli, score: Score):
    score("a.db", 2)
    run = score("b.db", 4)["run"]
    alter("b.db", "UPDATE block SET data = zeroblob(length(data)) WHERE draw = 1 AND sign = -1")
    found = cli("store", "import", "b.db", "--store", "a.db", *FORM)
    assert found.code == 1
    assert [(f["code"], f["harmless"]) for f in found.json["findings"]] == [("block", False), ("run", False)]
    assert "draw 1, sign -1, shard 0 were altered there" in found.json["findings"][0]["message"]
    table = cli("store", "import", "b.db", "--store", "a.db")
    assert table.code == 1
    assert f"REFUSED [run] score run {run} (mrd) is left out" in table.err
    assert score("a.db", 4)["computed"] == 4


def test_bad_input_makes_no_store(cli: Cli, tmp_path: Path):
    (tmp_path / "text.db").write_text("a,b\n")
    for name, code, word in (("none.db", 3, "store"), ("text.db", 1, "not-a-store"), (".", 1, "not-a-store")):
        found = cli("store", "import", name, *FORM)
        assert (found.code, found.error["code"]) == (code, word)
        assert found.error["hint"] == "name the file of another store"
    assert cli("store", "import").code == cli("store", "import", "").code == 2
    assert [file.name for file in tmp_path.iterdir()] == ["text.db"]


def test_a_dry_run_makes_no_store(cli: Cli, tmp_path: Path):
    Store.open("b.db").close()
    assert cli("store", "import", "b.db", "--dry-run").code == 3
    assert not (tmp_path / "unlearnkit.db").exists()


def test_the_store_itself_is_refused(cli: Cli):
    Store.open("a.db").close()
    found = cli("store", "import", "a.db", "--store", "a.db", *FORM)
    assert (found.code, found.error["code"]) == (2, "same-store")


def test_an_older_store_is_left_and_its_upgrade_named(cli: Cli):
    made = (schema.MIGRATIONS / "schema" / "0001.sql").read_text(encoding="utf-8")
    raw = sqlite3.connect("my old.db")
    raw.executescript(f"PRAGMA application_id={schema.APPLICATION_ID}; {made}")
    raw.execute("INSERT INTO alembic_version VALUES ('0001')")
    raw.executemany("INSERT INTO meta VALUES (?, ?)", [("uuid", "u"), ("written_by", "0.1")])
    raw.commit()
    raw.close()
    before = Path("my old.db").read_bytes()
    found = cli("store", "import", "my old.db", *FORM)
    assert (found.code, found.error["code"]) == (1, "store-older")
    assert Path("my old.db").read_bytes() == before
    command, _, _ = found.error["hint"].partition(" upgrades it")
    assert cli(*shlex.split(command)[1:]).code == 0
    assert cli("store", "import", "my old.db").code == 0
