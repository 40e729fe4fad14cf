"""Interval energy is history: the lake holds it, and nothing was ever written here."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.drop_index(op.f("ix_meter_consumption_interval_start"), table_name="meter_consumption")
    op.drop_table("meter_consumption")


def downgrade() -> None:
    """Go back."""
    op.create_table(
        "meter_consumption",
        sa.Column("meter_id", sa.String(length=128), nullable=False),
        sa.Column("interval_start", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("interval_minutes", sa.Integer(), nullable=False),
        sa.Column("energy_kwh", sa.Double(), nullable=False),
        sa.Column("is_estimated", sa.Boolean(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.CheckConstraint(
            '"energy_kwh" >= 0 AND "energy_kwh" < \'Infinity\'::double precision',
            name=op.f("ck_meter_consumption_energy_kwh"),
        ),
        sa.CheckConstraint(
            '"interval_minutes" >= 1 AND "interval_minutes" <= 1440',
            name=op.f("ck_meter_consumption_interval_minutes"),
        ),
        sa.CheckConstraint("\"meter_id\" <> ''", name=op.f("ck_meter_consumption_meter_id")),
        sa.CheckConstraint(
            "\"quality\" IN ('measured', 'gap', 'reset', 'rollover', 'momentary_zero', 'backward_step', 'unit_slip', 'spike')",
            name=op.f("ck_meter_consumption_quality"),
        ),
        sa.PrimaryKeyConstraint("meter_id", "interval_start", name=op.f("pk_meter_consumption")),
    )
    op.create_index(
        op.f("ix_meter_consumption_interval_start"),
        "meter_consumption",
        ["interval_start"],
        unique=False,
    )
