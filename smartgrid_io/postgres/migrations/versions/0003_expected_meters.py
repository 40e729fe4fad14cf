"""How many meters a feeder's load should have been summed from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("feeder_load", sa.Column("expected_meters", sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("ck_feeder_load_expected_meters"), "feeder_load", '"expected_meters" >= 1'
    )


def downgrade() -> None:
    """Go back."""
    op.drop_column("feeder_load", "expected_meters")
