"""The tables. What they are *made* by are the migrations, and by nothing else; a test holds the two together.

Three column types keep out what databases would bend: SQLite turns NaN into NULL and stores numpy's scalars as blobs,
and both would come back as something else than what was written.
"""

from __future__ import annotations

import json
import math
import operator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

APPLICATION_ID = 0x554C4B31
"""Marks an SQLite file as a store: "ULK1"."""

_SHIPPED = Path(__file__).parents[1] / "migrations"
MIGRATIONS = _SHIPPED if _SHIPPED.is_dir() else Path(__file__).parents[2] / "migrations"
"""Inside the package where it is installed, beside it in a checkout."""


def program_version() -> str:
    """Of this program; "unknown" where it runs without being installed."""
    try:
        return version("unlearnkit")
    except PackageNotFoundError:
        return "unknown"


def revisions() -> list[str]:
    """Schema versions that this program knows, oldest first."""
    return sorted(file.stem for file in (MIGRATIONS / "schema").glob("*.sql"))


def statements(revision: str) -> set[str]:
    """Every statement that SQLite has on record for a store of that revision, blanks evened out."""
    text = (MIGRATIONS / "schema" / f"{revision}.sql").read_text(encoding="utf-8")
    return {even(statement) for statement in text.split(";\n") if statement.strip()}


def even(statement: str) -> str:
    return " ".join(statement.split())


class Number(sa.types.TypeDecorator[float]):
    """A finite float64. Raises ValueError for NaN and infinities: what does not exist is NULL with a status."""

    impl: Any = sa.Double().with_variant(sqlite.REAL(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> float | None:
        del dialect
        if value is None:
            return None
        if not math.isfinite(number := float(value)):
            raise ValueError(f"{number} is not a number that the store keeps: give None and a status")
        return number


class Count(sa.types.TypeDecorator[int]):
    """An integer of up to 64 bits, from Python or numpy."""

    impl: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> int | None:
        del dialect
        return None if value is None else operator.index(value)


class Json(sa.types.TypeDecorator[Any]):
    """JSON as canonical text: sorted keys, no NaN, so that equal things are equal text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        del dialect
        return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        del dialect
        return None if value is None else json.loads(value)


metadata = sa.MetaData()


def _table(name: str, *columns: sa.schema.SchemaItem, natural_key: bool = True) -> sa.Table:
    return sa.Table(name, metadata, *columns, sqlite_strict=True, sqlite_with_rowid=not natural_key)


def _key(name: str, kind: Any = sa.Text, *constraints: sa.ForeignKey) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, primary_key=True, autoincrement=False)


def _must(name: str, kind: Any = sa.Text, *constraints: sa.ForeignKey) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)


def _of_run() -> sa.Column[Any]:
    return _key("run", sa.Text, sa.ForeignKey("run.id", ondelete="CASCADE"))


meta = _table("meta", _key("key"), _must("value"))

model = _table("model", _key("fingerprint"), _must("source"), _must("architecture"), _must("parameters", Count))

dataset = _table("dataset", _key("fingerprint"), _must("label"), _must("n", Count))

dataset_row = _table(
    "dataset_row",
    _key("dataset", sa.Text, sa.ForeignKey("dataset.fingerprint", ondelete="CASCADE")),
    _key("position", Count),
    sa.Column("sample", sa.Text),
    sa.Column("tokens", Count),
    _must("status"),
    sa.Column("prompt", sa.Text),
    sa.Column("answer", sa.Text),
    sa.Index("dataset_row_sample", "sample"),
)

run = _table(
    "run",
    _key("id"),
    _must("kind"),
    _must("identity"),
    _must("state"),
    _must("method"),
    # No reference: weights in the middle of training are no model that anybody could load.
    _must("model"),
    _must("config", Json),
    _must("environment", Json),
    _must("argv", Json),
    _must("seed", Count),
    sa.Column("parent", sa.Text, sa.ForeignKey("run.id", ondelete="SET NULL")),
    _must("summary", Json),
    _must("exact", Count),
    _must("created"),
    _must("beat"),
    sa.Column("finished", sa.Text),
    sa.Column("error_code", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("series", sa.Text),
    sa.Column("host", sa.Text),
    sa.Column("boot", sa.Text),
    sa.Column("pid", Count),
    sa.Column("started", sa.Text),
    sa.Column("note", sa.Text),
    sa.UniqueConstraint("kind", "identity", name="run_identity"),
    sa.Index("run_created", "created"),
    sa.Index("run_model", "model"),
    sa.Index("run_parent", "parent"),
    sa.Index("run_series", "series"),
)

run_tag = _table("run_tag", _of_run(), _key("tag"), sa.Index("run_tag_tag", "tag"))

run_dataset = _table(
    "run_dataset",
    _of_run(),
    _key("role"),
    _must("dataset", sa.Text, sa.ForeignKey("dataset.fingerprint")),
    sa.Index("run_dataset_dataset", "dataset"),
)

block = _table(
    "block",
    # A key that runs may share, not one run's own.
    _key("series"),
    _key("draw", Count),
    _key("sign", Count),
    _key("shard", Count),
    _must("n", Count),
    _must("c", Count),
    _must("data", sa.LargeBinary),
    _must("digest", sa.LargeBinary),
    sa.Column("seconds", Number),
    # With a rowid: rows of megabytes do not belong into the tree that is searched.
    natural_key=False,
)

score = _table(
    "score",
    _of_run(),
    _key("sample"),
    sa.Column("value", Number),
    sa.Column("stderr", Number),
    _must("n", Count),
    _must("status"),
    _must("clamped", Count),
    sa.Column("details", Json, nullable=False, server_default="{}"),
)

calibration = _table("calibration", _key("key"), _must("value", Json))

step = _table("step", _of_run(), _key("step", Count), _must("terms", Json))

probe = _table(
    "probe",
    _of_run(),
    _key("updates", Count),
    _key("sample"),
    sa.Column("nll", Number),
    _must("swept", Count),
)

draw_order = _table("draw_order", _of_run(), _key("epoch", Count), sa.Column("scores", sa.Text), _must("digest"))

anchor = _table(
    "anchor",
    _key("model"),
    _key("template"),
    _key("sample"),
    _must("logprob", Number),
    _must("tokens", Count),
)

checkpoint = _table("checkpoint", _of_run(), _key("step", Count), _must("file"), _must("state", Json))

result = _table(
    "result",
    _of_run(),
    _key("split"),
    _key("metric"),
    _key("sample"),
    sa.Column("value", Number),
    _must("status"),
)

reading = _table(
    "reading",
    # What determines the values of one metric on one split, less the sample; "@generation" is what is said.
    _of_run(),
    _key("split"),
    _key("metric"),
    _must("key"),
    sa.Index("reading_key", "key"),
)

generation = _table("generation", _of_run(), _key("split"), _key("sample"), _must("text"))

aggregate = _table(
    "aggregate",
    _of_run(),
    _key("name"),
    # "" where it needs none: a key has no NULL.
    _key("reference"),
    sa.Column("value", Number),
    sa.Column("reason", sa.Text),
    sa.Column("n", Count),
    # Of the 95 % interval.
    sa.Column("low", Number),
    sa.Column("high", Number),
)

figure = _table(
    "figure",
    # Of an evaluation's results: the mean of a metric's terms over a split, or over a third of it by the scores of a
    # run, both "" for all of it. It holds as long as its key is that of the metric's definition.
    _of_run(),
    _key("scores"),
    _key("split"),
    _key("metric"),
    _key("third"),
    _must("key"),
    sa.Column("value", Number),
    _must("n", Count),
    sa.Column("low", Number),
    sa.Column("high", Number),
    sa.Column("reason", sa.Text),
)

event = _table(
    "event",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("run", sa.Text, sa.ForeignKey("run.id", ondelete="CASCADE")),
    _must("at"),
    _must("code"),
    _must("message"),
    sa.Index("event_run", "run"),
    natural_key=False,
)
