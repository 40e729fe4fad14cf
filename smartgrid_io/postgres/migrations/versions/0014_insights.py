"""What an operator should know."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "insights",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.String(length=128), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("figure", sa.Double(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("evidence_table", sa.String(length=128), nullable=False),
        sa.Column("evidence_partition", sa.Date(), nullable=True),
        sa.Column("evidence_key", sa.Text(), nullable=False),
        sa.CheckConstraint("\"evidence_table\" <> ''", name=op.f("ck_insights_evidence_table")),
        sa.CheckConstraint(
            "\"figure\" > '-Infinity'::double precision AND \"figure\" < 'Infinity'::double precision",
            name=op.f("ck_insights_figure"),
        ),
        sa.CheckConstraint('"position" >= 1', name=op.f("ck_insights_position")),
        sa.CheckConstraint(
            "\"section\" IN ('inspections', 'anomalies', 'rules', 'segments')",
            name=op.f("ck_insights_section"),
        ),
        sa.CheckConstraint("\"subject_id\" <> ''", name=op.f("ck_insights_subject_id")),
        sa.PrimaryKeyConstraint("day", "section", "position", name=op.f("pk_insights")),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_insights_day"), "insights", ["day"], unique=False)
    op.create_table(
        "insight_pages",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("markdown", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_insight_pages")),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_insight_pages_day"), "insight_pages", ["day"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_table("insight_pages")
    op.drop_table("insights")
