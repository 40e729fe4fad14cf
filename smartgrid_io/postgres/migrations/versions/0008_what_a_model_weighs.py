"""The leaderboard also tells the error at the peak, the size of a model and how it was found."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FIGURES = ("peak_nmae", "artifact_mb")


def upgrade() -> None:
    """Go forward."""
    for name in FIGURES:
        op.add_column("load_backtest", sa.Column(name, sa.Double(), nullable=True))
        op.create_check_constraint(
            op.f(f"ck_load_backtest_{name}"),
            "load_backtest",
            f'"{name}" >= 0 AND "{name}" < \'Infinity\'::double precision',
        )
    op.add_column("load_backtest", sa.Column("recipe", sa.Text(), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("load_backtest", "recipe")
    for name in FIGURES:
        op.drop_column("load_backtest", name)
