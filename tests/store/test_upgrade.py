"""One way to tables, all or nothing, a copy first; and the three descriptions of the tables agree."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from unlearnkit.contracts import Unit
from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import Store, connect, schema, upgrade
from unlearnkit.store.records import ScoreRow, StepRow

from .making import a_run, all_succeed, fork
from .schema_text import made

SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade():
    for n in range(8):
        op.add_column("model", sa.Column(f"extra{n}", sa.Text()))
    # Rebuilds the parent of every other table.
    with op.batch_alter_table("dataset") as batch:
        batch.add_column(sa.Column("licence", sa.Text()))
        batch.alter_column("label", new_column_name="name")
    op.execute("UPDATE model SET extra0 = 'x'")
"""


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make the program one schema version newer, by a migration's text."""

    def newer(text: str) -> Path:
        folder = tmp_path / "migrations"
        shutil.copytree(schema.MIGRATIONS, folder)
        (folder / "versions" / "0005_second.py").write_text(text)
        monkeypatch.setattr(schema, "MIGRATIONS", folder)
        name, statements = made()
        (folder / "schema" / f"{name}.sql").write_text(statements)
        return folder

    return newer


def dump(path: Path) -> list[str]:
    raw = sqlite3.connect(path)
    try:
        return list(raw.iterdump())
    finally:
        raw.close()


def filled(path: Path) -> None:
    with Store.open(path) as store:
        run = a_run(store)
        store.put_scores(run.id, [ScoreRow(f"{i:064x}", i / 3, None, 8) for i in range(50)])
        store.put_steps(run.id, [StepRow(i, {"loss": i / 7}) for i in range(50)])
        store.put_block("si", Unit(0, 1, 0), np.arange(6.0).reshape(3, 2))


def test_the_schema_file_is_what_the_migrations_make():
    """If this fails after a new migration: `python tests/store/schema_text.py`."""
    name, text = made()
    assert name == schema.revisions()[-1]
    assert (schema.MIGRATIONS / "schema" / f"{name}.sql").read_text(encoding="utf-8") == text


def test_the_tables_are_what_the_migrations_make(path: Path):
    Store.open(path).close()
    engine = connect.engine(connect.locate(path))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
        inspector = sa.inspect(connection)
        for table in schema.metadata.sorted_tables:
            actions = {k["constrained_columns"][0]: k["options"] for k in inspector.get_foreign_keys(table.name)}
            ours = {k.parent.name: {"ondelete": k.ondelete} if k.ondelete else {} for k in table.foreign_keys}
            assert actions == ours, table.name
    engine.dispose()
    kinds = dict(sqlite3.connect(path).execute("SELECT name, strict || wr FROM pragma_table_list"))
    for table in schema.metadata.tables.values():
        natural = not table.dialect_options["sqlite"]["with_rowid"]
        assert kinds[table.name] == f"1{int(natural)}", table.name


def test_newer_than_the_program(path: Path):
    Store.open(path).close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = '9912'")
    raw.execute("UPDATE meta SET value = '7.9' WHERE key = 'written_by'")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    for readonly in (False, True):
        with pytest.raises(UnlearnkitError) as caught:
            Store.open(path, readonly=readonly)
        error = caught.value
        assert error.code == "store-newer"
        for part in ("7.9", "9912", schema.program_version(), schema.revisions()[-1]):
            assert part in error.message
        assert "upgrade" in str(error.hint)
    assert path.read_bytes() == before


def test_older_is_copied_and_upgraded(path: Path, next_version: Callable[[str], Path]):
    filled(path)
    before = dump(path)
    next_version(SECOND)

    for options in ({"upgrade": False}, {"readonly": True}):
        with pytest.raises(UnlearnkitError) as caught:
            Store.open(path, **options)
        assert caught.value.code == "store-older"
    assert dump(path) == before

    raw = sqlite3.connect(path)
    rows = {t: raw.execute(f"SELECT count(*) FROM {t}").fetchone() for t in ("run", "score", "step")}
    raw.close()

    upgrade.to_newest(connect.locate(path))
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("0005",)
    assert {t: raw.execute(f"SELECT count(*) FROM {t}").fetchone() for t in rows} == rows
    # Rows that hung on the rebuilt table are still there.
    assert raw.execute("SELECT count(*) FROM dataset_row").fetchone() == (3,)
    assert raw.execute("SELECT DISTINCT extra0 FROM model").fetchall() == [("x",)]
    assert "0004 to 0005" in raw.execute("SELECT message FROM event WHERE code = 'upgraded'").fetchone()[0]
    raw.close()

    backup = path.with_name("unlearnkit.bak-0004.db")
    assert sorted(dump(backup)) == sorted(before)  # a copy has tables before indexes before views
    assert backup.stat().st_mode & 0o777 == 0o600


def test_a_migration_that_loses_rows_is_taken_back(path: Path, next_version: Callable[[str], Path]):
    filled(path)
    before = dump(path)
    next_version(SECOND + '    op.execute("DELETE FROM step WHERE step > 10")\n')
    with pytest.raises(UnlearnkitError) as caught:
        Store.open(path)
    assert caught.value.code == "upgrade"
    assert "step had 50 rows, would have 11" in caught.value.message
    assert dump(path) == before


def test_a_migration_that_breaks_a_reference_is_taken_back(path: Path, next_version: Callable[[str], Path]):
    filled(path)
    before = dump(path)
    next_version(SECOND + "    op.execute(\"UPDATE run_dataset SET dataset = 'gone'\")\n")
    with pytest.raises(UnlearnkitError) as caught:
        Store.open(path)
    assert caught.value.code == "upgrade"
    assert dump(path) == before


def test_killed_in_the_middle(path: Path, next_version: Callable[[str], Path]):
    """Ten kills, spread over the whole upgrade: the store is as before or as after, never in between."""
    filled(path)
    original = path.read_bytes()
    before = dump(path)
    slow = SECOND.replace(
        "    for n in range(8):\n", "    import time\n    for n in range(8):\n        time.sleep(0.01)\n"
    )
    next_version(slow)

    upgrade.to_newest(connect.locate(path))
    after = [line for line in dump(path) if "upgraded" not in line]

    outcomes = set()
    for n in range(10):
        for file in path.parent.glob("unlearnkit.db*"):
            file.unlink()
        path.write_bytes(original)
        child = fork(lambda: upgrade.to_newest(connect.locate(path)))
        time.sleep(0.02 + 0.025 * n)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        now = [line for line in dump(path) if "upgraded" not in line]
        assert now in (before, after)
        outcomes.add(now == after)
        upgrade.to_newest(connect.locate(path))
        assert [line for line in dump(path) if "upgraded" not in line] == after
    assert False in outcomes, "no kill came before the end"


def test_eight_upgrade_at_once(path: Path, next_version: Callable[[str], Path]):
    filled(path)
    next_version(SECOND)
    all_succeed([fork(lambda: upgrade.to_newest(connect.locate(path))) for _ in range(8)])
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT count(*) FROM event WHERE code = 'upgraded'").fetchone() == (1,)
    raw.close()
