"""What scoring leaves behind: raw draws as blocks, and one reduced score a sample.

Blocks stand under a series, the key of all that determines a draw: runs that differ in the reduction alone share them.
A block is the smallest piece of work that is stored whole. It carries a digest, since SQLite has none and would hand
back a flipped bit as a number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from unlearnkit.contracts import Unit
from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import schema
from unlearnkit.store.base import Base, fields, put, record
from unlearnkit.store.records import ScoreRow

BLOCK = schema.block.c


class Scores(Base):
    def put_block(self, series: str, unit: Unit, values: np.ndarray, seconds: float | None = None) -> None:
        """Store a unit's values, [n, columns], as float64, and what they took. A unit that is there already stays as it
        is."""
        values = np.ascontiguousarray(values, dtype="<f8")
        n, c = values.shape
        data = values.tobytes()
        row = fields(unit, series=series, n=n, c=c, data=data, digest=digest(n, c, data), seconds=seconds)
        with self._write() as connection:
            put(connection, schema.block, [row], replace=False)

    def blocks(self, series: str) -> dict[Unit, np.ndarray]:
        """All values of a series, float64 [n, columns] each, in the order of draw, sign and shard.

        :raises UnlearnkitError: code "corrupt" where a block is not what was written.
        """
        query = sa.select(schema.block).where(BLOCK.series == series).order_by(BLOCK.draw, BLOCK.sign, BLOCK.shard)
        found: dict[Unit, np.ndarray] = {}
        with self._read() as connection:
            for row in connection.execute(query).mappings():
                unit = record(Unit, row)
                if not whole(row):
                    of = " and ".join(connection.scalars(runs_of(series))) or series
                    raise UnlearnkitError(
                        f"run {of}: the values of draw {unit.draw}, sign {unit.sign}, shard {unit.shard} were altered",
                        hint="remove it with unlearnkit runs rm, then score again",
                        code="corrupt",
                    )
                found[unit] = np.frombuffer(row["data"], dtype="<f8").reshape(row["n"], row["c"])
        return found

    def units(self, series: str) -> dict[Unit, float | None]:
        """What is done already, and the seconds that each took, where they are known."""
        query = sa.select(BLOCK.draw, BLOCK.sign, BLOCK.shard, BLOCK.seconds).where(BLOCK.series == series)
        with self._read() as connection:
            return {Unit(*row[:3]): row[3] for row in connection.execute(query)}

    def put_calibration(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep what a scorer chose for itself; what is there already stays."""
        with self._write() as connection:
            put(connection, schema.calibration, [{"key": key, "value": dict(value)}], replace=False)

    def calibration(self, key: str) -> dict[str, Any] | None:
        """What a scorer chose for itself, under the key of all that determines it."""
        table = schema.calibration
        with self._read() as connection:
            found: dict[str, Any] | None = connection.scalar(sa.select(table.c.value).where(table.c.key == key))
        return found

    def put_scores(self, run_id: str, scores: Sequence[ScoreRow]) -> None:
        with self._write() as connection:
            put(connection, schema.score, [fields(score, run=run_id) for score in scores])

    def scores(self, run_id: str) -> dict[str, ScoreRow]:
        """A run's scores by sample."""
        columns = (schema.score.c[name] for name in ScoreRow.__dataclass_fields__)
        query = sa.select(*columns).where(schema.score.c.run == run_id)
        with self._read() as connection:
            rows = [ScoreRow(*row) for row in connection.execute(query).all()]
        return {row.sample: row for row in rows}


def runs_of(series: str) -> sa.Select[tuple[str]]:
    """Ids of the runs that reduce a series."""
    return sa.select(schema.run.c.id).where(schema.run.c.series == series).order_by(schema.run.c.id)


def digest(n: int, c: int, data: bytes) -> bytes:
    """First 8 bytes of the SHA-256 of a block's shape and values."""
    return hashlib.sha256(f"{n},{c};".encode() + data).digest()[:8]


def whole(row: Mapping[Any, Any]) -> bool:
    """Whether a block is what was written."""
    return digest(row["n"], row["c"], row["data"]) == bytes(row["digest"])
