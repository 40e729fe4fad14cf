"""How Alembic runs here: on the connection that `upgrade` hands in, and on our tables alone."""

from alembic import context

from smartgrid_io.postgres.schema import MIGRATION_OPTIONS
from smartgrid_io.postgres.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    **MIGRATION_OPTIONS,
)
with context.begin_transaction():
    context.run_migrations()
