"""When an hour's weather was known."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("weather", sa.Column("known_at", sa.TIMESTAMP(timezone=True), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("weather", "known_at")
