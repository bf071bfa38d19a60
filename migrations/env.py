"""Runs revisions on the connection that the store hands over, inside its transaction."""

from alembic import context

from daemon.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
    transaction_per_migration=False,
)
context.run_migrations()
