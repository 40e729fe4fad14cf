"""Kinds of consumers: who belongs to which segment, their history, typical days, outliers."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "consumer_outliers",
        sa.Column("meter_id", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("neighbour_distance", sa.Double(), nullable=False),
        sa.Column("eps", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("mean_kw", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            '"eps" >= 0 AND "eps" < \'Infinity\'::double precision',
            name=op.f("ck_consumer_outliers_eps"),
        ),
        sa.CheckConstraint(
            '"mean_kw" > 0 AND "mean_kw" < \'Infinity\'::double precision',
            name=op.f("ck_consumer_outliers_mean_kw"),
        ),
        sa.CheckConstraint("\"meter_id\" <> ''", name=op.f("ck_consumer_outliers_meter_id")),
        sa.CheckConstraint(
            '"neighbour_distance" >= 0 AND "neighbour_distance" < \'Infinity\'::double precision',
            name=op.f("ck_consumer_outliers_neighbour_distance"),
        ),
        sa.CheckConstraint(
            '"score" >= 0 AND "score" < \'Infinity\'::double precision',
            name=op.f("ck_consumer_outliers_score"),
        ),
        sa.PrimaryKeyConstraint("meter_id", name=op.f("pk_consumer_outliers")),
        postgresql_partition_by=None,
    )
    op.create_table(
        "consumer_segments",
        sa.Column("meter_id", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("segment_id", sa.String(length=128), nullable=False),
        sa.Column("segment_name", sa.Text(), nullable=False),
        sa.Column("distance", sa.Double(), nullable=True),
        sa.Column("margin", sa.Double(), nullable=True),
        sa.CheckConstraint(
            '"distance" >= 0 AND "distance" < \'Infinity\'::double precision',
            name=op.f("ck_consumer_segments_distance"),
        ),
        sa.CheckConstraint(
            '"margin" >= 0 AND "margin" < \'Infinity\'::double precision',
            name=op.f("ck_consumer_segments_margin"),
        ),
        sa.CheckConstraint("\"meter_id\" <> ''", name=op.f("ck_consumer_segments_meter_id")),
        sa.CheckConstraint("\"segment_id\" <> ''", name=op.f("ck_consumer_segments_segment_id")),
        sa.PrimaryKeyConstraint("meter_id", name=op.f("pk_consumer_segments")),
        postgresql_partition_by=None,
    )
    op.create_table(
        "segment_bands",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("segment_id", sa.String(length=128), nullable=False),
        sa.Column("day_kind", sa.Text(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("p10", sa.Double(), nullable=False),
        sa.Column("p50", sa.Double(), nullable=False),
        sa.Column("p90", sa.Double(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("mean_kw", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "\"day_kind\" IN ('weekday', 'weekend')", name=op.f("ck_segment_bands_day_kind")
        ),
        sa.CheckConstraint('"hour" >= 0 AND "hour" <= 23', name=op.f("ck_segment_bands_hour")),
        sa.CheckConstraint(
            '"mean" >= 0 AND "mean" < \'Infinity\'::double precision',
            name=op.f("ck_segment_bands_mean"),
        ),
        sa.CheckConstraint(
            '"mean_kw" >= 0 AND "mean_kw" < \'Infinity\'::double precision',
            name=op.f("ck_segment_bands_mean_kw"),
        ),
        sa.CheckConstraint(
            '"p10" >= 0 AND "p10" < \'Infinity\'::double precision',
            name=op.f("ck_segment_bands_p10"),
        ),
        sa.CheckConstraint(
            '"p50" >= 0 AND "p50" < \'Infinity\'::double precision',
            name=op.f("ck_segment_bands_p50"),
        ),
        sa.CheckConstraint(
            '"p90" >= 0 AND "p90" < \'Infinity\'::double precision',
            name=op.f("ck_segment_bands_p90"),
        ),
        sa.CheckConstraint("\"segment_id\" <> ''", name=op.f("ck_segment_bands_segment_id")),
        sa.PrimaryKeyConstraint(
            "day", "segment_id", "day_kind", "hour", name=op.f("pk_segment_bands")
        ),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_segment_bands_day"), "segment_bands", ["day"], unique=False)
    op.create_table(
        "segment_history",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("segment_id", sa.String(length=128), nullable=False),
        sa.Column("segment_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("meters", sa.BigInteger(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("mean_kw", sa.Double(), nullable=True),
        sa.Column("night_share", sa.Double(), nullable=True),
        sa.Column("weekend_share", sa.Double(), nullable=True),
        sa.Column("peak_hour", sa.Integer(), nullable=True),
        sa.Column("moved", sa.Double(), nullable=True),
        sa.Column("stability", sa.Double(), nullable=True),
        sa.CheckConstraint(
            '"mean_kw" >= 0 AND "mean_kw" < \'Infinity\'::double precision',
            name=op.f("ck_segment_history_mean_kw"),
        ),
        sa.CheckConstraint('"meters" >= 0', name=op.f("ck_segment_history_meters")),
        sa.CheckConstraint(
            '"moved" >= 0 AND "moved" < \'Infinity\'::double precision',
            name=op.f("ck_segment_history_moved"),
        ),
        sa.CheckConstraint(
            '"night_share" >= 0 AND "night_share" <= 1', name=op.f("ck_segment_history_night_share")
        ),
        sa.CheckConstraint(
            '"peak_hour" >= 0 AND "peak_hour" <= 23', name=op.f("ck_segment_history_peak_hour")
        ),
        sa.CheckConstraint("\"segment_id\" <> ''", name=op.f("ck_segment_history_segment_id")),
        sa.CheckConstraint('"share" >= 0 AND "share" <= 1', name=op.f("ck_segment_history_share")),
        sa.CheckConstraint(
            '"stability" >= -1 AND "stability" <= 1', name=op.f("ck_segment_history_stability")
        ),
        sa.CheckConstraint(
            "\"state\" IN ('new', 'kept', 'returned', 'ended')",
            name=op.f("ck_segment_history_state"),
        ),
        sa.CheckConstraint(
            '"weekend_share" >= 0 AND "weekend_share" <= 1',
            name=op.f("ck_segment_history_weekend_share"),
        ),
        sa.PrimaryKeyConstraint("day", "segment_id", name=op.f("pk_segment_history")),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_segment_history_day"), "segment_history", ["day"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_table("consumer_outliers")
    op.drop_table("segment_bands")
    op.drop_table("segment_history")
    op.drop_table("consumer_segments")
