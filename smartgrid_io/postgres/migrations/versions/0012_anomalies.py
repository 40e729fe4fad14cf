"""What is out of place, and faults that are planted to be found so."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0009"
branch_labels = None
depends_on = None

PLANTED = (
    "'register_reset', 'register_rollover', 'momentary_zero', 'backward_step', 'gap', "
    "'stuck_value', 'duplicate_readings', 'late_readings', 'unit_slip', 'voltage_sag', 'theft', "
    "'feeder_overload'"
)


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "anomalies",
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("start_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("end_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("worst_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("lower_value", sa.Double(), nullable=True),
        sa.Column("upper_value", sa.Double(), nullable=True),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("\"subject_id\" <> ''", name=op.f("ck_anomalies_subject_id")),
        sa.CheckConstraint(
            "\"quantity\" IN ('voltage', 'current', 'power', 'frequency', 'energy')",
            name=op.f("ck_anomalies_quantity"),
        ),
        sa.CheckConstraint(
            "\"subject_kind\" IN ('sensor', 'meter')", name=op.f("ck_anomalies_subject_kind")
        ),
        sa.CheckConstraint(
            "\"kind\" IN ('spike', 'level_shift', 'flatline', 'drift', 'missing', 'out_of_band', 'phase_imbalance')",
            name=op.f("ck_anomalies_kind"),
        ),
        *(
            sa.CheckConstraint(
                f"\"{name}\" > '-Infinity'::double precision AND \"{name}\" < 'Infinity'::double precision",
                name=op.f(f"ck_anomalies_{name}"),
            )
            for name in ("value", "lower_value", "upper_value")
        ),
        sa.CheckConstraint(
            '"score" >= 0 AND "score" < \'Infinity\'::double precision',
            name=op.f("ck_anomalies_score"),
        ),
        sa.PrimaryKeyConstraint("subject_id", "quantity", "start_time", name=op.f("pk_anomalies")),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_anomalies_start_time"), "anomalies", ["start_time"], unique=False)
    _plant(f"{PLANTED}, 'spike', 'level_shift', 'drift', 'phase_imbalance'")


def downgrade() -> None:
    """Go back."""
    _plant(PLANTED)
    op.drop_index(op.f("ix_anomalies_start_time"), table_name="anomalies")
    op.drop_table("anomalies")


def _plant(kinds: str) -> None:
    """Let these kinds of planted faults be on record."""
    name = op.f("ck_planted_faults_kind")
    op.drop_constraint(name, "planted_faults", type_="check")
    op.create_check_constraint(name, "planted_faults", f'"kind" IN ({kinds})')
