"""What determines the values of an evaluation, so that one run may take them from another."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TEXT = sa.Text()


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
