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
