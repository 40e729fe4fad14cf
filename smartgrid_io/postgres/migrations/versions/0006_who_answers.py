"""Who answers: label moves, traffic splits, logged predictions, comparisons of variants."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "label_moves",
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("version_before", sa.String(length=128), nullable=True),
        sa.Column("version_after", sa.String(length=128), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("moved_by", sa.String(length=128), nullable=False),
        sa.CheckConstraint(
            "\"action\" IN ('published', 'promoted', 'rolled_back')",
            name=op.f("ck_label_moves_action"),
        ),
        sa.CheckConstraint("\"label\" IN ('stable', 'canary')", name=op.f("ck_label_moves_label")),
        sa.CheckConstraint("\"model\" <> ''", name=op.f("ck_label_moves_model")),
        sa.CheckConstraint("\"moved_by\" <> ''", name=op.f("ck_label_moves_moved_by")),
        sa.CheckConstraint("\"version_after\" <> ''", name=op.f("ck_label_moves_version_after")),
        sa.CheckConstraint("\"version_before\" <> ''", name=op.f("ck_label_moves_version_before")),
        sa.PrimaryKeyConstraint("model", "label", "moved_at", name=op.f("pk_label_moves")),
        postgresql_partition_by=None,
    )
    op.create_table(
        "prediction_log",
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("routed_to", sa.Text(), nullable=False),
        sa.Column("model_version", sa.String(length=128), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.CheckConstraint(
            '"latency_ms" >= 0 AND "latency_ms" < \'Infinity\'::double precision',
            name=op.f("ck_prediction_log_latency_ms"),
        ),
        sa.CheckConstraint("\"model\" <> ''", name=op.f("ck_prediction_log_model")),
        sa.CheckConstraint("\"model_version\" <> ''", name=op.f("ck_prediction_log_model_version")),
        sa.CheckConstraint(
            "\"outcome\" IN ('answered', 'failed')", name=op.f("ck_prediction_log_outcome")
        ),
        sa.CheckConstraint("\"request_id\" <> ''", name=op.f("ck_prediction_log_request_id")),
        sa.CheckConstraint(
            "\"routed_to\" IN ('stable', 'canary')", name=op.f("ck_prediction_log_routed_to")
        ),
        sa.CheckConstraint('"rows" >= 1', name=op.f("ck_prediction_log_rows")),
        sa.CheckConstraint("\"subject_id\" <> ''", name=op.f("ck_prediction_log_subject_id")),
        sa.CheckConstraint(
            "\"variant\" IN ('stable', 'canary')", name=op.f("ck_prediction_log_variant")
        ),
        sa.PrimaryKeyConstraint(
            "request_id", "subject_id", "variant", name=op.f("pk_prediction_log")
        ),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_prediction_log_asked_at"), "prediction_log", ["asked_at"], unique=False
    )
    op.create_table(
        "traffic_splits",
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("canary_share", sa.Double(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            '"canary_share" >= 0 AND "canary_share" <= 1',
            name=op.f("ck_traffic_splits_canary_share"),
        ),
        sa.CheckConstraint("\"model\" <> ''", name=op.f("ck_traffic_splits_model")),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_traffic_splits")),
        postgresql_partition_by=None,
    )
    op.create_table(
        "variant_comparisons",
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("canary_version", sa.String(length=128), nullable=False),
        sa.Column("compared_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("stable_version", sa.String(length=128), nullable=False),
        sa.Column("first_issue", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_issue", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("issues", sa.Integer(), nullable=False),
        sa.Column("pairs", sa.BigInteger(), nullable=False),
        sa.Column("stable_pinball", sa.Double(), nullable=True),
        sa.Column("canary_pinball", sa.Double(), nullable=True),
        sa.Column("difference", sa.Double(), nullable=True),
        sa.Column("interval_low", sa.Double(), nullable=True),
        sa.Column("interval_high", sa.Double(), nullable=True),
        sa.Column("dm_statistic", sa.Double(), nullable=True),
        sa.Column("p_value", sa.Double(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            '"canary_pinball" >= 0 AND "canary_pinball" < \'Infinity\'::double precision',
            name=op.f("ck_variant_comparisons_canary_pinball"),
        ),
        sa.CheckConstraint(
            "\"canary_version\" <> ''", name=op.f("ck_variant_comparisons_canary_version")
        ),
        sa.CheckConstraint(
            "\"decision\" IN ('promote', 'keep', 'roll_back')",
            name=op.f("ck_variant_comparisons_decision"),
        ),
        sa.CheckConstraint(
            "\"difference\" > '-Infinity'::double precision AND \"difference\" < 'Infinity'::double precision",
            name=op.f("ck_variant_comparisons_difference"),
        ),
        sa.CheckConstraint(
            "\"dm_statistic\" > '-Infinity'::double precision AND \"dm_statistic\" < 'Infinity'::double precision",
            name=op.f("ck_variant_comparisons_dm_statistic"),
        ),
        sa.CheckConstraint(
            "\"interval_high\" > '-Infinity'::double precision AND \"interval_high\" < 'Infinity'::double precision",
            name=op.f("ck_variant_comparisons_interval_high"),
        ),
        sa.CheckConstraint(
            "\"interval_low\" > '-Infinity'::double precision AND \"interval_low\" < 'Infinity'::double precision",
            name=op.f("ck_variant_comparisons_interval_low"),
        ),
        sa.CheckConstraint('"issues" >= 0', name=op.f("ck_variant_comparisons_issues")),
        sa.CheckConstraint("\"model\" <> ''", name=op.f("ck_variant_comparisons_model")),
        sa.CheckConstraint(
            '"p_value" >= 0 AND "p_value" <= 1', name=op.f("ck_variant_comparisons_p_value")
        ),
        sa.CheckConstraint('"pairs" >= 0', name=op.f("ck_variant_comparisons_pairs")),
        sa.CheckConstraint(
            '"stable_pinball" >= 0 AND "stable_pinball" < \'Infinity\'::double precision',
            name=op.f("ck_variant_comparisons_stable_pinball"),
        ),
        sa.CheckConstraint(
            "\"stable_version\" <> ''", name=op.f("ck_variant_comparisons_stable_version")
        ),
        sa.PrimaryKeyConstraint(
            "model", "canary_version", "compared_at", name=op.f("pk_variant_comparisons")
        ),
        postgresql_partition_by=None,
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("variant_comparisons")
    op.drop_table("traffic_splits")
    op.drop_index(op.f("ix_prediction_log_asked_at"), table_name="prediction_log")
    op.drop_table("prediction_log")
    op.drop_table("label_moves")
