"""How a store is doing: what it holds, and whether it holds together."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import sqlalchemy as sa

from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import connect, recognise, schema
from unlearnkit.store.base import Base, referenced
from unlearnkit.store.records import Finding
from unlearnkit.store.scores import BLOCK, whole
from unlearnkit.store.upgrade import revision


class Care(Base):
    def info(self) -> dict[str, Any]:
        """Where the store is and how much is in it: `path`, `uuid`, `schema`, `bytes` (None on a server), `rows` by
        table, `files` and `file_bytes`, `runs` by state."""
        with self._read() as connection:
            rows = {
                table.name: connection.scalar(sa.select(sa.func.count()).select_from(table))
                for table in schema.metadata.sorted_tables
            }
            states = sa.select(schema.run.c.state, sa.func.count().label("n")).group_by(schema.run.c.state)
            runs = {row.state: row.n for row in connection.execute(states)}
            version = revision(connection)
        files = self.files.stored()
        return {
            "path": str(self._place),
            "uuid": self.uuid,
            "schema": version,
            "bytes": self._bytes(),
            "rows": dict(sorted(rows.items())),
            "files": len(files),
            "file_bytes": sum(files.values()),
            "runs": runs,
        }

    def check(self, full: bool = False) -> list[Finding]:
        """All that is wrong: pages, references, digests of blocks and files, the schema, what nothing refers to.

        Reads every block and file. `full` also holds each index against its table."""
        found: list[Finding] = []
        for part in (partial(self._database, full), _blocks, self._checkpoints):
            try:
                with self._read() as connection:
                    found += part(connection)
            except UnlearnkitError as error:
                if error.code != "corrupt":
                    raise
                found.append(Finding("corrupt", error.message))
        return found

    def _bytes(self) -> int | None:
        if self.path is None:
            return None
        parts = [self.path, self.path.with_name(self.path.name + "-wal")]
        return sum(part.stat().st_size for part in parts if part.exists())

    def _database(self, full: bool, connection: sa.Connection) -> Iterator[Finding]:
        if self.path is None:
            return
        sqlite = connect.raw(connection)
        for (line,) in sqlite.execute(f"PRAGMA {'integrity_check' if full else 'quick_check'}"):
            if line != "ok":
                yield Finding("corrupt", line)
        for table, row, parent, _ in sqlite.execute("PRAGMA foreign_key_check"):
            where = table if row is None else f"{table} row {row}"
            yield Finding("reference", f"{where} refers to a {parent} that is not there")
        for difference in recognise.compare(sqlite, schema.revisions()[-1]):
            yield Finding("schema", difference)

    def _checkpoints(self, connection: sa.Connection) -> Iterator[Finding]:
        used = referenced(connection)
        for sha in sorted(used):
            if problem := self.files.problem(sha):
                yield Finding("checkpoint", problem)
        for sha in sorted(set(self.files.stored()) - used):
            yield Finding("orphan", f"no run refers to file {sha[:12]}…", harmless=True)


def _blocks(connection: sa.Connection) -> Iterator[Finding]:
    query = sa.select(schema.block).order_by(BLOCK.series, BLOCK.draw, BLOCK.sign, BLOCK.shard)
    for row in connection.execution_options(yield_per=100).execute(query).mappings():
        if not whole(row):
            where = f"draw {row['draw']}, sign {row['sign']}, shard {row['shard']}"
            yield Finding("block", f"series {row['series'][:12]}…: the values of {where} were altered")
    mine = sa.exists().where(schema.run.c.series == BLOCK.series)
    for series in connection.scalars(sa.select(BLOCK.series).distinct().where(~mine)):
        yield Finding("orphan", f"no run reduces the draws of series {series[:12]}…", harmless=True)
