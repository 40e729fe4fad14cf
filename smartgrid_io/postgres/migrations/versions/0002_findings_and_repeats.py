"""What is wrong with the readings, and what was sent more than once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "reading_findings",
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("start_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("end_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "\"kind\" IN ('register_reset', 'register_rollover', 'momentary_zero', 'backward_step', 'gap', 'stuck_value', 'duplicate_readings', 'late_readings', 'unit_slip', 'voltage_sag', 'spike')",
            name=op.f("ck_reading_findings_kind"),
        ),
        sa.CheckConstraint("\"subject_id\" <> ''", name=op.f("ck_reading_findings_subject_id")),
        sa.PrimaryKeyConstraint(
            "subject_id", "kind", "start_time", "evidence", name=op.f("pk_reading_findings")
        ),
        postgresql_partition_by=None,
    )
    op.create_table(
        "repeated_readings",
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("start_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("end_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "\"dataset\" IN ('sensor_data', 'meter_readings')",
            name=op.f("ck_repeated_readings_dataset"),
        ),
        sa.CheckConstraint('"rows" >= 1', name=op.f("ck_repeated_readings_rows")),
        sa.CheckConstraint("\"source\" <> ''", name=op.f("ck_repeated_readings_source")),
        sa.CheckConstraint("\"subject_id\" <> ''", name=op.f("ck_repeated_readings_subject_id")),
        sa.PrimaryKeyConstraint(
            "source", "dataset", "subject_id", name=op.f("pk_repeated_readings")
        ),
        postgresql_partition_by=None,
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("repeated_readings")
    op.drop_table("reading_findings")
