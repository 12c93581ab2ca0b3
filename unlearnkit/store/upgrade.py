"""The one way in which a store comes to have tables: alembic's migrations, all in one transaction.

A new store runs through all of them. An older one is copied first. Whoever comes first holds the lock, the others find
the work done; a process that is killed on the way leaves the store as it was.
"""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import connect, recognise, schema
from unlearnkit.store.connect import Place
from unlearnkit.store.files import fsync_folder
from unlearnkit.store.process import now


def to_newest(place: Place) -> None:
    """Bring a store to the newest schema. Copies an older one to `<name>.bak-<revision>.db` first.

    :raises UnlearnkitError: code "upgrade" where a migration would lose rows or break a reference; nothing is changed.
    """
    # A migration may rebuild a table; with foreign keys on, that deletes all that refers to it.
    engine = connect.engine(place, foreign_keys=False)
    try:
        with connect.writing(engine).begin() as connection:
            before = _locked_revision(connection, place)
            newest = schema.revisions()[-1]
            if before == newest:
                return
            backup = _backup(place.path, before) if place.path and before else None
            rows = _rows(connection)
            _run(connection)
            _verify(connection, place, rows, newest)
            _note(connection, before, newest, backup)
    finally:
        engine.dispose()
    if backup:
        connect.log.warning("%s upgraded from schema %s to %s; a copy is %s", place, before, newest, backup)


def revision(connection: sa.Connection) -> str | None:
    """The schema version as the database itself says, unverified; None before the first migration."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def _locked_revision(connection: sa.Connection, place: Place) -> str | None:
    if place.path:
        return recognise.revision(connect.raw(connection), place.path)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(schema.APPLICATION_ID)))
    return revision(connection)


def _run(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _verify(connection: sa.Connection, place: Place, before: dict[str, int], newest: str) -> None:
    after = _rows(connection)
    problems = [
        f"{table} had {count} rows, would have {after[table]}"
        for table, count in before.items()
        if table in after and after[table] < count
    ]
    if place.path:
        raw = connect.raw(connection)
        problems += [f"{t} row {r} refers to nothing" for t, r, *_ in raw.execute("PRAGMA foreign_key_check")]
        problems += recognise.compare(raw, newest)
    if problems:
        raise UnlearnkitError(
            f"{place}: not upgraded: {'; '.join(problems[:5])}",
            hint="the store is as before; report this with the line above",
            code="upgrade",
        )


def _rows(connection: sa.Connection) -> dict[str, int]:
    return {
        name: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) or 0
        for name in sa.inspect(connection).get_table_names()
        if name != "alembic_version"
    }


def _note(connection: sa.Connection, before: str | None, newest: str, backup: str | None) -> None:
    """Leave word of who wrote this schema, and of the upgrade, inside the same transaction."""
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    written = insert(schema.meta).values(key="written_by", value=schema.program_version())
    connection.execute(written.on_conflict_do_update(index_elements=["key"], set_={"value": written.excluded.value}))
    if before:
        message = f"schema {before} to {newest}" + (f", copy in {backup}" if backup else "")
        connection.execute(sa.insert(schema.event).values(at=now(), code="upgraded", message=message))


def _backup(path: Path, before: str) -> str:
    """Copy the store as it is under the lock that the caller holds; returns the copy's name."""
    copy = path.with_name(f"{path.stem}.bak-{before}.db")
    temporary = path.with_name(f".{copy.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        reader = connect.sqlite_connection(path, "rw")
        try:
            reader.execute("VACUUM INTO ?", (str(temporary),))
        finally:
            reader.close()
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(copy)
        fsync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return copy.name
