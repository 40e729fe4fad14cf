"""Whoever touches days or puts messages into the outbox tells the listeners of the channel."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLES = ("touched_days", "outbox")


def upgrade() -> None:
    """Go forward."""
    op.execute(
        "CREATE FUNCTION notify_smartgrid() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NOTIFY smartgrid; RETURN NULL; END $$"
    )
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_notify AFTER INSERT ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION notify_smartgrid()"
        )


def downgrade() -> None:
    """Go back."""
    for table in TABLES:
        op.execute(f"DROP TRIGGER {table}_notify ON {table}")
    op.execute("DROP FUNCTION notify_smartgrid()")
