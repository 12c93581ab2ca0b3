"""What difficulty is held against: NLLs during training; and what a measurement found besides its value."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0002"
down_revision = "0001"

TEXT = sa.Text()
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
REAL = sa.Double().with_variant(sqlite.REAL(), "sqlite")


def upgrade() -> None:
    op.add_column("score", sa.Column("details", TEXT, nullable=False, server_default="{}"))
    op.add_column("block", sa.Column("seconds", REAL))
    op.create_table(
        "probe",
        sa.Column("run", TEXT, sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("updates", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("sample", TEXT, primary_key=True),
        sa.Column("nll", REAL),
        sa.Column("swept", WHOLE, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calibration",
        sa.Column("key", TEXT, primary_key=True),
        sa.Column("value", TEXT, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute("DROP VIEW v_scores")
    op.execute(V_SCORES)


V_SCORES = """
CREATE VIEW v_scores AS
SELECT score.run, run.method AS scorer, run.model, model.source AS model_source, run.state, run.created,
       held.role, held.dataset, held.position, score.sample, score.value, score.stderr, score.n, score.status,
       score.clamped, score.details, held.prompt, held.answer
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
