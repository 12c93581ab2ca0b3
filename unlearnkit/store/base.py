"""What every part of the store stands on: transactions, upserts, rows to records.

A transaction is short and holds nothing but SQL: nobody computes, tokenises or prints inside one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import connect, schema
from unlearnkit.store.connect import Place
from unlearnkit.store.files import GRACE, FileArea
from unlearnkit.store.process import Process

T = TypeVar("T")

CHUNK = 1000
"""Values in one IN (…): databases limit the parameters of a statement."""


class Base:
    def __init__(self, engine: sa.Engine, place: Place, uuid: str, files: FileArea, *, readonly: bool) -> None:
        self.path = place.path
        self.uuid = uuid
        self.files = files
        self._place = place
        self._engine = engine
        self.readonly = readonly
        self.whole: Callable[[], AbstractContextManager[None]] = nullcontext
        """Around each transaction: keeps signals from cutting it in two."""

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        """One moment of the store. Ends without a commit, which a damaged file refuses even to a reader."""
        with self.whole(), connect.plainly(self._place), connect.reading(self._engine).connect() as connection:
            connection.begin()
            yield connection

    @contextmanager
    def _write(self, wait: float | None = None) -> Iterator[sa.Connection]:
        """All or nothing; on return it is on the disk. Waits for others to end for so many seconds, None for long."""
        if self.readonly:
            raise UnlearnkitError(f"{self._place} was opened for reading", code="read-only")
        with self.whole(), connect.plainly(self._place), connect.writing(self._engine, wait).begin() as connection:
            yield connection

    def _collect(self) -> None:
        """Drop files that no row will refer to any more. The lock is taken only if there are some: it keeps a row from
        appearing, and a run from being taken up, between the look and the deed."""
        with self._read() as connection:
            waste = self.files.waste(referenced(connection), _grace(connection))
        if waste:
            with self._write() as connection:
                self.files.collect(referenced(connection), _grace(connection))

    def _drop_files(self, files: Iterable[str]) -> None:
        """Remove files whose rows have just gone, unless another row refers to them: the row first, then the file."""
        if files := list(files):
            with self._write() as connection:
                for sha in set(files) - referenced(connection):
                    self.files.drop(sha)


def referenced(connection: sa.Connection) -> set[str]:
    """Files that a row refers to."""
    return set(connection.scalars(sa.select(schema.checkpoint.c.file).distinct()))


def at_work(row: Mapping[Any, Any]) -> bool:
    """Whether a process works now on the run of a row."""
    worker = Process.of(row) if row["state"] == "running" else None
    return worker is not None and worker.alive(row["beat"])


def _grace(connection: sa.Connection) -> float:
    """Seconds for which a file may wait for its row: who writes one has taken its run before, so none waits where
    everyone who took one is gone."""
    run = schema.run.c
    running = sa.select(run.host, run.boot, run.pid, run.started).where(run.state == "running")
    workers = map(Process.of, connection.execute(running).mappings())
    return 0.0 if all(worker is None or worker.gone() for worker in workers) else GRACE


def put(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, replace: bool = True) -> None:
    """Insert rows; where the key is there already, replace the other columns or leave all as it is."""
    if not rows:
        return
    insert = upsert(connection, table)
    keys = [column.name for column in table.primary_key]
    rest = {column: insert.excluded[column] for column in rows[0] if column not in keys}
    if replace and rest:
        statement = insert.on_conflict_do_update(index_elements=keys, set_=rest)
    else:
        statement = insert.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement, list(rows))


def upsert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the database's own dialect: both have the same methods."""
    return (sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert)(table)


def fields(record: Any, **more: Any) -> dict[str, Any]:
    """A record's fields as columns, with others added."""
    return {**more, **{field.name: getattr(record, field.name) for field in dataclasses.fields(record)}}


def record(kind: type[T], row: Mapping[Any, Any]) -> T:
    """The columns that a record has fields for."""
    return kind(**{field.name: row[field.name] for field in dataclasses.fields(kind)})  # type: ignore[arg-type]


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk
