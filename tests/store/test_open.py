"""What `Store.open` makes of whatever lies at a path."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.store import Store, connect

from .making import FORK, a_run, all_succeed, as_nobody, fork


def refused(where: object, **options: bool) -> UnlearnkitError:
    with pytest.raises(UnlearnkitError) as caught:
        Store.open(where, **options)  # type: ignore[arg-type]
    return caught.value


def test_records_bring_no_sql():
    code = "import sys, unlearnkit.store.records; print({'sqlalchemy', 'alembic', 'torch', 'numpy'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
        == "set()"
    )


def test_opening_what_is_there_needs_no_alembic_and_no_torch(store: Store, path: Path):
    code = (
        "import sys; from unlearnkit.store import Store; Store.open(sys.argv[1]).close();"
        "print({'alembic', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "set()", run.stderr


def test_new_then_again(path: Path):
    with Store.open(path) as first:
        uuid = first.uuid
        assert first.check(full=True) == []
    with Store.open(str(path)) as again, Store.open(f"sqlite:///{path}") as by_url:
        assert uuid == again.uuid == by_url.uuid
        assert len(uuid) == 36


def test_only_the_owner_reads(store: Store, path: Path):
    a_run(store)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("unlearnkit.db*")}
    assert modes == dict.fromkeys(["unlearnkit.db", "unlearnkit.db-wal", "unlearnkit.db-shm"], 0o600)


def test_empty_file_becomes_a_store(path: Path):
    path.touch()
    with Store.open(path) as store:
        assert store.check() == []


def test_strange_names_are_plain_files(tmp_path: Path):
    path = tmp_path / "a?mode=memory#b%20 ü.db"
    Store.open(path).close()
    assert path.stat().st_size > 0


@pytest.mark.parametrize("readonly", [False, True])
def test_no_folder(tmp_path: Path, readonly: bool):
    error = refused(tmp_path / "no" / "x.db", readonly=readonly)
    assert isinstance(error, NotFound)
    assert "\n" not in error.message and str(tmp_path / "no") in error.message
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("options", [{"create": False}, {"readonly": True}])
def test_nothing_is_made_unasked(path: Path, options: dict[str, bool]):
    assert refused(path, **options).exit_code == 3
    assert not path.exists()
    path.touch()
    assert refused(path, **options).exit_code == 3
    assert path.stat().st_size == 0


@pytest.mark.parametrize("where", ["", ":memory:", "sqlite://", "a\0b", "mysql://u:sesame@h/d", "://"])
def test_meaningless_addresses(where: str):
    error = refused(where)
    assert isinstance(error, BadInput)
    assert "sesame" not in error.message + str(error.hint)


def test_password_is_never_shown():
    error = refused("postgresql+psycopg://me:sesame@127.0.0.1:1/none")
    assert error.code == "store-connection"
    assert "sesame" not in f"{error.message} {error.hint} {error.__cause__!r}"


# ------------------------------------------------------------------------------------------------- not a store (54)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,age\nEva,7\n" * 100, "text file"),
        ("Grüße\n".encode() * 700, "text file"),
        (b"PAR1" + bytes(range(256)) * 4, "Parquet"),
        (b"\x8f\0" * 32 + b"\0\xff" * 500, "binary file"),
    ],
    ids=("ASCII", "UTF-8", "Parquet", "bytes"),
)
@pytest.mark.parametrize("readonly", [False, True])
def test_other_files(path: Path, content: bytes, said: str, readonly: bool):
    path.write_bytes(content)
    error = refused(path, readonly=readonly)
    assert error.code == "not-a-store"
    assert said in error.message
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("application_id", [0, 0x0F055112])
def test_another_tools_database_stays_as_it_is(path: Path, application_id: int):
    other = sqlite3.connect(path)
    other.execute(f"PRAGMA application_id={application_id}")
    other.execute("CREATE TABLE notes (text)")
    other.commit()
    other.close()
    before = path.read_bytes()
    error = refused(path)
    assert error.code == "not-a-store"
    assert "notes" in error.message
    assert path.read_bytes() == before


def test_things_that_are_no_files(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    said = {"fifo": "a pipe", "folder": "a folder", "socket": "a socket", "link": "does not exist"}
    for name, kind in said.items():
        error = refused(tmp_path / name)
        assert (error.code, kind in error.message) == ("not-a-store", True), name
    assert not (tmp_path / "gone").exists()


# ------------------------------------------------------------------------------------------------ hostile stores (53)


HOSTILE = [
    "CREATE TRIGGER boom AFTER INSERT ON model BEGIN DELETE FROM run; END",
    "CREATE TRIGGER boom BEFORE UPDATE ON run BEGIN SELECT load_extension('x'); END",
    "CREATE VIEW extra AS SELECT * FROM run",
    "CREATE TABLE extra (x)",
    "CREATE VIRTUAL TABLE extra USING fts5(x)",
    "CREATE INDEX extra ON run (state)",
    "ALTER TABLE run ADD COLUMN extra INTEGER AS (abs(seed)) VIRTUAL",
    "DROP INDEX run_created",
    "DROP VIEW v_scores",
    "DROP TABLE anchor",
    "DROP VIEW v_scores; CREATE VIEW v_scores AS SELECT 1 AS run",
    "DROP TABLE alembic_version; CREATE VIEW alembic_version AS SELECT '0001' AS version_num",
    "DELETE FROM alembic_version",
]


@pytest.mark.parametrize("sql", HOSTILE)
@pytest.mark.parametrize("readonly", [False, True])
def test_foreign_things_are_refused(path: Path, sql: str, readonly: bool):
    with Store.open(path) as store:
        a_run(store)
    raw = sqlite3.connect(path)
    raw.executescript(sql)
    before = "\n".join(raw.iterdump()) if "VIRTUAL TABLE" not in sql else ""
    raw.close()
    assert refused(path, readonly=readonly).code == "store-foreign"
    raw = sqlite3.connect(path)
    assert before == ("\n".join(raw.iterdump()) if "VIRTUAL TABLE" not in sql else "")
    raw.close()


def test_damaged_pages_are_corrupt(path: Path):
    with Store.open(path) as store:
        a_run(store)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)
    assert refused(path).code == "corrupt"


# ------------------------------------------------------------------------------------------------- reading and writing


def test_readonly_reads_and_refuses_to_write(path: Path):
    with Store.open(path) as store:
        run = a_run(store)
    before = path.read_bytes()
    with Store.open(path, readonly=True) as store:
        assert store.run("@last").id == run.id
        with pytest.raises(UnlearnkitError) as caught:
            store.claim(run.id)
    assert caught.value.code == "read-only"
    assert path.read_bytes() == before


@pytest.fixture
def open_folder():
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_where_nobody_may_write(open_folder: Path):
    path = open_folder / "x.db"
    with Store.open(path) as store:
        run = a_run(store)
    path.chmod(0o444)
    open_folder.chmod(0o555)

    def writing() -> None:
        for target in (path, open_folder / "new.db"):
            assert refused(target).code == "read-only"

    def reading() -> None:
        with Store.open(path, readonly=True) as store:
            assert store.run("@last").id == run.id

    assert as_nobody(writing) == 0
    assert as_nobody(reading) == 0


def test_a_held_lock_names_its_holder(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connect, "TIMEOUT", 0.3)
    held, done = FORK.Event(), FORK.Event()

    def hold() -> None:
        raw = sqlite3.connect(path, isolation_level=None)
        raw.execute("BEGIN IMMEDIATE")
        held.set()
        done.wait(30)

    with Store.open(path) as store:
        child = fork(hold)
        assert held.wait(30)
        with pytest.raises(UnlearnkitError) as caught:
            store.event(None, "x", "y")
        locks = Path("/proc/locks").read_text() if Path("/proc/locks").exists() else ""
        done.set()
        child.join()
        assert caught.value.code == "busy"
        # Containers may not show other processes' locks; where they do, the holder is named.
        if "POSIX" in locks:
            assert f"process {child.pid}" in caught.value.message
        store.event(None, "x", "y")


def test_eight_first_opens_at_once(tmp_path: Path):
    for round_ in range(4):
        path = tmp_path / f"{round_}.db"
        gate = FORK.Barrier(8)

        def first(path: Path = path, gate: object = gate) -> None:
            gate.wait()  # type: ignore[attr-defined]
            with Store.open(path) as store:
                store.event(None, "opened", str(os.getpid()))

        all_succeed([fork(first) for _ in range(8)])
        with Store.open(path) as store:
            assert len({event.message for event in store.events(None)}) == 8
            assert store.check() == []


def test_a_look_leaves_the_file_as_it_lies(path: Path):
    with Store.open(path) as store:
        run = a_run(store)
        with Store.open(path, still=True) as look:  # what a writer has not put into the file yet stands in its log
            assert look.run(run.id) == store.run(run.id)
    before = path.read_bytes(), path.stat().st_mtime_ns, path.parent.stat().st_mtime_ns
    with Store.open(path, still=True) as look:
        assert look.run(run.id).id == run.id and [file.name for file in path.parent.iterdir()] == [path.name]
        with pytest.raises(UnlearnkitError) as caught:
            look.beat(run.id)
    assert caught.value.code == "read-only"
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.parent.stat().st_mtime_ns) == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert refused(path.parent / "none.db", still=True).code == "store" and len(list(path.parent.iterdir())) == 1
