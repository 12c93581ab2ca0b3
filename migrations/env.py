"""Runs the migrations on the connection that `unlearnkit.store.upgrade` has opened, inside its transaction.

Alembic does not hold SQLite's migrations to be transactional. They are, when the connection sends BEGIN itself, and a
killed upgrade then leaves the store as it was.
"""

from alembic import context

from unlearnkit.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
