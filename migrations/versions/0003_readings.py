"""What determines the values of an evaluation, so that one run may take them from another; intervals of aggregates."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0003"
down_revision = "0002"

TEXT = sa.Text()
REAL = sa.Double().with_variant(sqlite.REAL(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "reading",
        sa.Column("run", TEXT, sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("split", TEXT, primary_key=True),
        sa.Column("metric", TEXT, primary_key=True),
        sa.Column("key", TEXT, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("reading_key", "reading", ["key"])
    op.add_column("aggregate", sa.Column("low", REAL))
    op.add_column("aggregate", sa.Column("high", REAL))
