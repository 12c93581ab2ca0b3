"""Models, data sets, runs, and what scoring, unlearning and evaluating leave behind."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0001"
down_revision = None

TEXT = sa.Text()
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
REAL = sa.Double().with_variant(sqlite.REAL(), "sqlite")
BLOB = sa.LargeBinary()


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("PRAGMA application_id = 0x554C4B31")

    meta = table("meta", key("key"), must("value"))
    op.bulk_insert(meta, [{"key": "uuid", "value": str(uuid4())}])

    table("model", key("fingerprint"), must("source"), must("architecture"), must("parameters", WHOLE))
    table("dataset", key("fingerprint"), must("label"), must("n", WHOLE))
    table(
        "dataset_row",
        key("dataset", TEXT, sa.ForeignKey("dataset.fingerprint", ondelete="CASCADE")),
        key("position", WHOLE),
        may("sample"),
        may("tokens", WHOLE),
        must("status"),
        may("prompt"),
        may("answer"),
    )
    op.create_index("dataset_row_sample", "dataset_row", ["sample"])

    table(
        "run",
        key("id"),
        must("kind"),
        must("identity"),
        must("state"),
        must("method"),
        must("model"),
        must("config"),
        must("environment"),
        must("argv"),
        must("seed", WHOLE),
        may("parent", TEXT, sa.ForeignKey("run.id", ondelete="SET NULL")),
        must("summary"),
        must("exact", WHOLE),
        must("created"),
        must("beat"),
        may("finished"),
        may("error_code"),
        may("error"),
        may("series"),
        may("host"),
        may("boot"),
        may("pid", WHOLE),
        may("started"),
        sa.UniqueConstraint("kind", "identity", name="run_identity"),
    )
    op.create_index("run_created", "run", ["created"])
    op.create_index("run_model", "run", ["model"])
    op.create_index("run_parent", "run", ["parent"])
    op.create_index("run_series", "run", ["series"])
    table(
        "run_dataset",
        of_run(),
        key("role"),
        must("dataset", TEXT, sa.ForeignKey("dataset.fingerprint")),
    )
    op.create_index("run_dataset_dataset", "run_dataset", ["dataset"])

    table(
        "block",
        key("series"),
        key("draw", WHOLE),
        key("sign", WHOLE),
        key("shard", WHOLE),
        must("n", WHOLE),
        must("c", WHOLE),
        must("data", BLOB),
        must("digest", BLOB),
        natural_key=False,
    )
    table(
        "score",
        of_run(),
        key("sample"),
        may("value", REAL),
        may("stderr", REAL),
        must("n", WHOLE),
        must("status"),
        must("clamped", WHOLE),
    )
    table("step", of_run(), key("step", WHOLE), must("terms"))
    table("draw_order", of_run(), key("epoch", WHOLE), may("scores"), must("digest"))
    table(
        "anchor",
        key("model"),
        key("template"),
        key("sample"),
        must("logprob", REAL),
        must("tokens", WHOLE),
    )
    table("checkpoint", of_run(), key("step", WHOLE), must("file"), must("state"))
    table("result", of_run(), key("split"), key("metric"), key("sample"), may("value", REAL), must("status"))
    table("generation", of_run(), key("split"), key("sample"), must("text"))
    table(
        "aggregate",
        of_run(),
        key("name"),
        key("reference"),
        may("value", REAL),
        may("reason"),
        may("n", WHOLE),
    )
    table(
        "event",
        sa.Column("id", WHOLE, primary_key=True),
        may("run", TEXT, sa.ForeignKey("run.id", ondelete="CASCADE")),
        must("at"),
        must("code"),
        must("message"),
        natural_key=False,
    )
    op.create_index("event_run", "event", ["run"])

    op.execute(V_SCORES)
    op.execute(V_RESULTS)


V_SCORES = """
CREATE VIEW v_scores AS
SELECT score.run, run.method AS scorer, run.model, model.source AS model_source, run.state, run.created,
       held.role, held.dataset, held.position, score.sample, score.value, score.stderr, score.n, score.status,
       score.clamped, held.prompt, held.answer
FROM score
JOIN run ON run.id = score.run
LEFT JOIN model ON model.fingerprint = run.model
LEFT JOIN (
    SELECT run_dataset.run, run_dataset.role, dataset_row.dataset, dataset_row.position, dataset_row.sample,
           dataset_row.prompt, dataset_row.answer
    FROM run_dataset
    JOIN dataset_row ON dataset_row.dataset = run_dataset.dataset
) AS held ON held.run = score.run AND held.sample = score.sample
"""

V_RESULTS = """
CREATE VIEW v_results AS
SELECT result.run, run.method AS suite, run.model, model.source AS model_source, run.parent, run.state, run.created,
       result.split, result.metric, result.sample, result.value, result.status
FROM result
JOIN run ON run.id = result.run
LEFT JOIN model ON model.fingerprint = run.model
"""


def table(name, *columns, natural_key=True):
    return op.create_table(name, *columns, sqlite_strict=True, sqlite_with_rowid=not natural_key)


def key(name, kind=TEXT, *constraints):
    return sa.Column(name, kind, *constraints, primary_key=True, autoincrement=False)


def must(name, kind=TEXT, *constraints):
    return sa.Column(name, kind, *constraints, nullable=False)


def may(name, kind=TEXT, *constraints):
    return sa.Column(name, kind, *constraints)


def of_run():
    return key("run", TEXT, sa.ForeignKey("run.id", ondelete="CASCADE"))
