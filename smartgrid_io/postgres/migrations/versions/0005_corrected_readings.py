"""Corrected readings are findings of their own; revisions are asked for by time."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KINDS = "'register_reset', 'register_rollover', 'momentary_zero', 'backward_step', 'gap', 'stuck_value', 'duplicate_readings', 'late_readings', {}'unit_slip', 'voltage_sag', 'spike'"


def _allow(kinds: str) -> None:
    name = op.f("ck_reading_findings_kind")
    op.drop_constraint(name, "reading_findings", type_="check")
    op.create_check_constraint(name, "reading_findings", f'"kind" IN ({kinds})')


def upgrade() -> None:
    """Go forward."""
    _allow(KINDS.format("'corrected_readings', "))
    op.create_index(
        op.f("ix_reading_revisions_event_time"), "reading_revisions", ["event_time"], unique=False
    )


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("ix_reading_revisions_event_time"), table_name="reading_revisions")
    op.execute("DELETE FROM reading_findings WHERE kind = 'corrected_readings'")
    _allow(KINDS.format(""))
