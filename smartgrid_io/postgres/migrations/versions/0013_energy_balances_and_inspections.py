"""Energy balances and inspections."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "energy_balance",
        sa.Column("node_id", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("node_kind", sa.Text(), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("head_kwh", sa.Double(), nullable=False),
        sa.Column("metered_kwh", sa.Double(), nullable=False),
        sa.Column("loss_kwh", sa.Double(), nullable=True),
        sa.Column("unexplained_kwh", sa.Double(), nullable=True),
        sa.Column("band_kwh", sa.Double(), nullable=True),
        sa.Column("is_beyond", sa.Boolean(), nullable=True),
        sa.CheckConstraint(
            '"band_kwh" >= 0 AND "band_kwh" < \'Infinity\'::double precision',
            name=op.f("ck_energy_balance_band_kwh"),
        ),
        sa.CheckConstraint(
            "\"head_kwh\" > '-Infinity'::double precision AND \"head_kwh\" < 'Infinity'::double precision",
            name=op.f("ck_energy_balance_head_kwh"),
        ),
        sa.CheckConstraint('"hours" >= 1 AND "hours" <= 24', name=op.f("ck_energy_balance_hours")),
        sa.CheckConstraint(
            "\"loss_kwh\" > '-Infinity'::double precision AND \"loss_kwh\" < 'Infinity'::double precision",
            name=op.f("ck_energy_balance_loss_kwh"),
        ),
        sa.CheckConstraint(
            "\"metered_kwh\" > '-Infinity'::double precision AND \"metered_kwh\" < 'Infinity'::double precision",
            name=op.f("ck_energy_balance_metered_kwh"),
        ),
        sa.CheckConstraint("\"node_id\" <> ''", name=op.f("ck_energy_balance_node_id")),
        sa.CheckConstraint(
            "\"node_kind\" IN ('substation', 'feeder', 'transformer')",
            name=op.f("ck_energy_balance_node_kind"),
        ),
        sa.CheckConstraint(
            "\"unexplained_kwh\" > '-Infinity'::double precision AND \"unexplained_kwh\" < 'Infinity'::double precision",
            name=op.f("ck_energy_balance_unexplained_kwh"),
        ),
        sa.PrimaryKeyConstraint("node_id", "day", name=op.f("pk_energy_balance")),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_energy_balance_day"), "energy_balance", ["day"], unique=False)
    op.create_table(
        "inspections",
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("suspicion", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=True),
        sa.Column("theft_score", sa.Double(), nullable=True),
        sa.Column("balance_score", sa.Double(), nullable=True),
        sa.Column("node_id", sa.String(length=128), nullable=True),
        sa.Column("suspected_since", sa.Date(), nullable=True),
        sa.Column("days_judged", sa.Integer(), nullable=False),
        sa.Column("recoverable_kwh_month", sa.Double(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("judged_from", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("judged_to", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            '"balance_score" >= -1 AND "balance_score" <= 1',
            name=op.f("ck_inspections_balance_score"),
        ),
        sa.CheckConstraint(
            "\"basis\" IN ('energy_balance', 'own_past', 'reading_findings')",
            name=op.f("ck_inspections_basis"),
        ),
        sa.CheckConstraint('"days_judged" >= 0', name=op.f("ck_inspections_days_judged")),
        sa.CheckConstraint("\"node_id\" <> ''", name=op.f("ck_inspections_node_id")),
        sa.CheckConstraint(
            '"probability" >= 0 AND "probability" <= 1', name=op.f("ck_inspections_probability")
        ),
        sa.CheckConstraint('"rank" >= 1', name=op.f("ck_inspections_rank")),
        sa.CheckConstraint(
            '"recoverable_kwh_month" >= 0 AND "recoverable_kwh_month" < \'Infinity\'::double precision',
            name=op.f("ck_inspections_recoverable_kwh_month"),
        ),
        sa.CheckConstraint("\"subject_id\" <> ''", name=op.f("ck_inspections_subject_id")),
        sa.CheckConstraint(
            "\"subject_kind\" IN ('meter', 'transformer', 'feeder', 'substation')",
            name=op.f("ck_inspections_subject_kind"),
        ),
        sa.CheckConstraint(
            "\"suspicion\" IN ('theft', 'meter_fault', 'unexplained_loss')",
            name=op.f("ck_inspections_suspicion"),
        ),
        sa.CheckConstraint(
            "\"theft_score\" > '-Infinity'::double precision AND \"theft_score\" < 'Infinity'::double precision",
            name=op.f("ck_inspections_theft_score"),
        ),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("pk_inspections")),
        postgresql_partition_by=None,
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("inspections")
    op.drop_table("energy_balance")
