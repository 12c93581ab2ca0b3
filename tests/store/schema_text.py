"""What the migrations make, as text: `python tests/store/schema_text.py` writes it to `migrations/schema/`.

Opening a store compares against that file, so that it need not load alembic; a test compares the file against this.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.pool import StaticPool

from unlearnkit.store import schema


def made() -> tuple[str, str]:
    """The newest revision, and every statement that SQLite keeps after all migrations ran on an empty database."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        found = connection.scalars(
            sa.text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name")
        ).all()
    lines = (line.rstrip() for line in ";\n\n".join(found).expandtabs(4).splitlines())
    return str(revision), "\n".join(lines) + ";\n"


if __name__ == "__main__":
    name, text = made()
    (schema.MIGRATIONS / "schema" / f"{name}.sql").write_text(text, encoding="utf-8")
