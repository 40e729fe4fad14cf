"""Files whose content had landed before under another name."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "repeated_files",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_sha256", sa.String(length=128), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("found_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint('"size_bytes" >= 0', name=op.f("ck_repeated_files_size_bytes")),
        sa.CheckConstraint("\"source\" <> ''", name=op.f("ck_repeated_files_source")),
        sa.CheckConstraint("\"source_sha256\" <> ''", name=op.f("ck_repeated_files_source_sha256")),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_repeated_files")),
        postgresql_partition_by=None,
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("repeated_files")
