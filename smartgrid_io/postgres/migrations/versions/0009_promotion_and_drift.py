"""Who may answer: losses by issue time, decisions of the gate, drift."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "backtest_losses",
        sa.Column("backtest_id", sa.String(length=128), nullable=False),
        sa.Column("series", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("issue_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("hours", sa.BigInteger(), nullable=False),
        sa.Column("pinball", sa.Double(), nullable=False),
        sa.Column("mae", sa.Double(), nullable=False),
        sa.Column("coverage", sa.Double(), nullable=False),
        sa.Column("scored_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("\"backtest_id\" <> ''", name=op.f("ck_backtest_losses_backtest_id")),
        sa.CheckConstraint(
            '"coverage" >= 0 AND "coverage" <= 1', name=op.f("ck_backtest_losses_coverage")
        ),
        sa.CheckConstraint('"hours" >= 1', name=op.f("ck_backtest_losses_hours")),
        sa.CheckConstraint(
            '"mae" >= 0 AND "mae" < \'Infinity\'::double precision',
            name=op.f("ck_backtest_losses_mae"),
        ),
        sa.CheckConstraint("\"model\" <> ''", name=op.f("ck_backtest_losses_model")),
        sa.CheckConstraint(
            '"pinball" >= 0 AND "pinball" < \'Infinity\'::double precision',
            name=op.f("ck_backtest_losses_pinball"),
        ),
        sa.CheckConstraint("\"series\" <> ''", name=op.f("ck_backtest_losses_series")),
        sa.PrimaryKeyConstraint(
            "backtest_id", "series", "model", "issue_time", name=op.f("pk_backtest_losses")
        ),
        postgresql_partition_by=None,
    )
    op.create_table(
        "promotion_decisions",
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("decided_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("condition", sa.String(length=128), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("figure", sa.Double(), nullable=True),
        sa.Column("bound", sa.Double(), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("champion_version", sa.String(length=128), nullable=True),
        sa.Column("decided_by", sa.String(length=128), nullable=False),
        sa.CheckConstraint(
            "\"bound\" > '-Infinity'::double precision AND \"bound\" < 'Infinity'::double precision",
            name=op.f("ck_promotion_decisions_bound"),
        ),
        sa.CheckConstraint(
            "\"champion_version\" <> ''", name=op.f("ck_promotion_decisions_champion_version")
        ),
        sa.CheckConstraint("\"condition\" <> ''", name=op.f("ck_promotion_decisions_condition")),
        sa.CheckConstraint("\"decided_by\" <> ''", name=op.f("ck_promotion_decisions_decided_by")),
        sa.CheckConstraint(
            "\"decision\" IN ('promote', 'refuse', 'keep', 'roll_back')",
            name=op.f("ck_promotion_decisions_decision"),
        ),
        sa.CheckConstraint(
            "\"figure\" > '-Infinity'::double precision AND \"figure\" < 'Infinity'::double precision",
            name=op.f("ck_promotion_decisions_figure"),
        ),
        sa.CheckConstraint("\"model\" <> ''", name=op.f("ck_promotion_decisions_model")),
        sa.CheckConstraint("\"version\" <> ''", name=op.f("ck_promotion_decisions_version")),
        sa.PrimaryKeyConstraint(
            "model", "version", "decided_at", "condition", name=op.f("pk_promotion_decisions")
        ),
        postgresql_partition_by=None,
    )
    op.create_table(
        "model_drift",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("model_version", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("figure", sa.Double(), nullable=True),
        sa.Column("bound", sa.Double(), nullable=True),
        sa.Column("is_drifted", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            '"bound" >= 0 AND "bound" < \'Infinity\'::double precision',
            name=op.f("ck_model_drift_bound"),
        ),
        sa.CheckConstraint(
            '"figure" >= 0 AND "figure" < \'Infinity\'::double precision',
            name=op.f("ck_model_drift_figure"),
        ),
        sa.CheckConstraint("\"kind\" IN ('feature', 'error')", name=op.f("ck_model_drift_kind")),
        sa.CheckConstraint("\"model_version\" <> ''", name=op.f("ck_model_drift_model_version")),
        sa.CheckConstraint("\"name\" <> ''", name=op.f("ck_model_drift_name")),
        sa.PrimaryKeyConstraint(
            "day", "model_version", "kind", "name", name=op.f("pk_model_drift")
        ),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_model_drift_day"), "model_drift", ["day"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_table("model_drift")
    op.drop_table("promotion_decisions")
    op.drop_table("backtest_losses")
