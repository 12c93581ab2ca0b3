"""What a file is, before anything in it is trusted.

A database from elsewhere can carry triggers and views that act as soon as it is used. So a store must hold exactly the
statements that the migrations make, none more and none fewer, and until that is known nothing but SQLite's own list of
them is read.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.store import connect, schema

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

MAGIC = (
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"GGUF", "a GGUF model"),
)


def examine(path: Path, *, create: bool) -> None:
    """Look at the path without opening it: a pipe would block, and closing a second handle on a database drops the
    locks that this process holds on it. Raises NotFound where nothing is there, and code "not-a-store"."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise not_a_store(path, f"a link to {path.readlink()}, which does not exist") from None
        if not path.parent.is_dir():
            raise NotFound(
                f"no folder {path.parent} to keep {path.name} in",
                hint=f"mkdir -p {path.parent}",
                code="store",
            ) from None
        if not create:
            raise no_store(path) from None
        return
    except NotADirectoryError:
        raise NotFound(f"{path.parent} is not a folder", code="store") from None
    except PermissionError:
        raise UnlearnkitError(f"{path} cannot be reached: permission denied", code="read-only") from None
    for test, kind in KINDS:
        if test(mode):
            raise not_a_store(path, kind)


def require_writable(path: Path) -> None:
    """Raises code "read-only": a store is written in its file and beside it."""
    for target in (path if path.exists() else path.parent, path.parent):
        if not os.access(target, os.W_OK):
            raise cannot_write(target)


def cannot_write(path: Path, why: str = "") -> UnlearnkitError:
    return UnlearnkitError(
        f"{path} cannot be written{why and f': {why}'}",
        hint="check its permissions, or keep the store elsewhere with --store",
        code="read-only",
    )


def no_store(where: object) -> NotFound:
    return NotFound(f"no store at {where}", hint="name another with --store", code="store")


def not_a_store(path: Path, kind: str) -> UnlearnkitError:
    return UnlearnkitError(f"{path} is {kind}, not a store", hint="name another file with --store", code="not-a-store")


def describe(path: Path) -> str:
    """What a file that is no database seems to be."""
    with path.open("rb") as file:
        head = file.read(4096)
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return kind
    try:
        # A multi-byte character may be cut off at the end.
        head[:-4].decode("utf-8")
    except UnicodeDecodeError:
        return "a binary file of an unknown kind"
    return "a text file" if b"\0" not in head else "a binary file of an unknown kind"


def identify(path: Path, mode: connect.Mode) -> str | None:
    """The schema version of the store in a file; None where the file is empty. Raises as `revision` does."""

    def look() -> str | None:
        with connect.inspecting(path, mode) as connection:
            return revision(connection, path)

    try:
        return connect.patiently(look)
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise not_a_store(path, describe(path)) from None
        raise


def revision(connection: sqlite3.Connection, path: Path) -> str | None:
    """The store's schema version; None for a database without anything in it. To be called in a transaction.

    :raises UnlearnkitError: code "not-a-store" for another tool's database, "store-newer" for one that this program is
        too old for, "store-foreign" for one that holds anything but what the migrations make.
    """
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    if not found and not mark:
        return None
    if mark != schema.APPLICATION_ID:
        names = ", ".join(sorted(name for name, _ in found)[:5]) or "none"
        raise not_a_store(path, f"another tool's SQLite database (application {mark:#x}, tables: {names})")

    held = {schema.even(sql) for _, sql in found}
    version = _trusted(connection, held, "alembic_version", "SELECT version_num FROM alembic_version")
    if version is None:
        raise foreign(path, ["no schema version"])
    writer = _trusted(connection, held, "meta", "SELECT value FROM meta WHERE key = 'written_by'")
    require_known(version, path, writer)
    if differences := compare(connection, version):
        raise foreign(path, differences)
    return version


def require_known(version: str, where: object, writer: str | None = None) -> None:
    """Raises code "store-newer" or "store-foreign" for a schema version that this program has no migrations for."""
    known = schema.revisions()
    if version in known:
        return
    if version < known[-1]:
        raise foreign(where, [f"schema version {version}"])
    raise UnlearnkitError(
        f"{where} was written by unlearnkit {writer or 'of a later version'} (schema {version}), "
        f"this is {schema.program_version()} ({known[-1]})",
        hint="pip install --upgrade unlearnkit",
        code="store-newer",
    )


def compare(connection: sqlite3.Connection, version: str) -> list[str]:
    """How the schema differs from what the migrations make, a line each."""
    found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    held = {schema.even(sql) for (sql,) in found}
    made = schema.statements(version)
    return sorted([f"unknown: {_short(s)}" for s in held - made] + [f"missing: {_short(s)}" for s in made - held])


def foreign(where: object, differences: list[str]) -> UnlearnkitError:
    shown = "; ".join(differences[:5]) + ("; …" if len(differences) > 5 else "")
    return UnlearnkitError(
        f"{where} is not as unlearnkit made it: {shown}",
        hint="nothing in it was run; restore a copy, or start a new store with --store",
        code="store-foreign",
    )


def _trusted(connection: sqlite3.Connection, held: set[str], table: str, query: str) -> str | None:
    """One value from a table whose making is word for word ours; a view of that name is never asked."""
    ours = next(s for s in schema.statements(schema.revisions()[-1]) if s.startswith(f"CREATE TABLE {table} "))
    row = connection.execute(query).fetchone() if ours in held else None
    return str(row[0]) if row else None


def _short(statement: str) -> str:
    return statement if len(statement) <= 80 else statement[:79] + "…"
