"""What people say of runs, to find them by: tags and a note. And the figures of evaluations, made once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0004"
down_revision = "0003"

TEXT = sa.Text()
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
REAL = sa.Double().with_variant(sqlite.REAL(), "sqlite")


def upgrade() -> None:
    op.add_column("run", sa.Column("note", TEXT))
    op.create_table(
        "run_tag",
        sa.Column("run", TEXT, sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("tag", TEXT, primary_key=True),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("run_tag_tag", "run_tag", ["tag"])
    op.create_table(
        "figure",
        sa.Column("run", TEXT, sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("scores", TEXT, primary_key=True),
        sa.Column("split", TEXT, primary_key=True),
        sa.Column("metric", TEXT, primary_key=True),
        sa.Column("third", TEXT, primary_key=True),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", REAL),
        sa.Column("n", WHOLE, nullable=False),
        sa.Column("low", REAL),
        sa.Column("high", REAL),
        sa.Column("reason", TEXT),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
