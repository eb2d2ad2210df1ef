"""Alembic runs this: the revisions are applied in the transaction of the connection that upgrade.py holds."""

from alembic import context

from bootpilot_server.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot change a column in place: the table is remade.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
