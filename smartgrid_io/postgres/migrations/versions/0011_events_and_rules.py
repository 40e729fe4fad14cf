"""What happens together on a feeder: itemsets, rules and their changes; the joint that is planted."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KINDS = "'register_reset', 'register_rollover', 'momentary_zero', 'backward_step', 'gap', 'stuck_value', 'duplicate_readings', 'late_readings', 'unit_slip', 'voltage_sag', 'theft', 'feeder_overload'"


def _allow(kinds: str) -> None:
    name = op.f("ck_planted_faults_kind")
    op.drop_constraint(name, "planted_faults", type_="check")
    op.create_check_constraint(name, "planted_faults", f'"kind" IN ({kinds})')


def upgrade() -> None:
    """Go forward."""
    _allow(f"{KINDS}, 'weak_joint'")
    op.create_table(
        "event_itemsets",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("feeder_id", sa.String(length=128), nullable=False),
        sa.Column("items", sa.String(length=128), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("transactions", sa.BigInteger(), nullable=False),
        sa.Column("support", sa.Double(), nullable=False),
        sa.CheckConstraint("\"feeder_id\" <> ''", name=op.f("ck_event_itemsets_feeder_id")),
        sa.CheckConstraint("\"items\" <> ''", name=op.f("ck_event_itemsets_items")),
        sa.CheckConstraint('"length" >= 1', name=op.f("ck_event_itemsets_length")),
        sa.CheckConstraint(
            '"support" >= 0 AND "support" <= 1', name=op.f("ck_event_itemsets_support")
        ),
        sa.CheckConstraint('"transactions" >= 1', name=op.f("ck_event_itemsets_transactions")),
        sa.PrimaryKeyConstraint("day", "feeder_id", "items", name=op.f("pk_event_itemsets")),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_event_itemsets_day"), "event_itemsets", ["day"], unique=False)
    op.create_table(
        "event_rule_changes",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("feeder_id", sa.String(length=128), nullable=False),
        sa.Column("antecedent", sa.String(length=128), nullable=False),
        sa.Column("consequent", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("confidence_before", sa.Double(), nullable=True),
        sa.Column("with_antecedent", sa.BigInteger(), nullable=False),
        sa.Column("with_antecedent_before", sa.BigInteger(), nullable=False),
        sa.Column("p_value", sa.Double(), nullable=False),
        sa.Column("q_value", sa.Double(), nullable=False),
        sa.CheckConstraint("\"antecedent\" <> ''", name=op.f("ck_event_rule_changes_antecedent")),
        sa.CheckConstraint(
            "\"change\" IN ('new', 'gone', 'stronger', 'weaker', 'steady')",
            name=op.f("ck_event_rule_changes_change"),
        ),
        sa.CheckConstraint(
            '"confidence" >= 0 AND "confidence" <= 1', name=op.f("ck_event_rule_changes_confidence")
        ),
        sa.CheckConstraint(
            '"confidence_before" >= 0 AND "confidence_before" <= 1',
            name=op.f("ck_event_rule_changes_confidence_before"),
        ),
        sa.CheckConstraint(
            "\"consequent\" IN ('outage', 'voltage_low', 'limit_exceedance', 'alert', 'load_peak', 'voltage_high', 'reverse_flow', 'meters_silent', 'sensor_silent')",
            name=op.f("ck_event_rule_changes_consequent"),
        ),
        sa.CheckConstraint("\"feeder_id\" <> ''", name=op.f("ck_event_rule_changes_feeder_id")),
        sa.CheckConstraint(
            '"p_value" >= 0 AND "p_value" <= 1', name=op.f("ck_event_rule_changes_p_value")
        ),
        sa.CheckConstraint(
            '"q_value" >= 0 AND "q_value" <= 1', name=op.f("ck_event_rule_changes_q_value")
        ),
        sa.CheckConstraint(
            '"with_antecedent" >= 0', name=op.f("ck_event_rule_changes_with_antecedent")
        ),
        sa.CheckConstraint(
            '"with_antecedent_before" >= 0',
            name=op.f("ck_event_rule_changes_with_antecedent_before"),
        ),
        sa.PrimaryKeyConstraint(
            "day", "feeder_id", "antecedent", "consequent", name=op.f("pk_event_rule_changes")
        ),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_event_rule_changes_day"), "event_rule_changes", ["day"], unique=False)
    op.create_table(
        "event_rules",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("feeder_id", sa.String(length=128), nullable=False),
        sa.Column("antecedent", sa.String(length=128), nullable=False),
        sa.Column("consequent", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("transactions", sa.BigInteger(), nullable=False),
        sa.Column("with_antecedent", sa.BigInteger(), nullable=False),
        sa.Column("with_consequent", sa.BigInteger(), nullable=False),
        sa.Column("with_both", sa.BigInteger(), nullable=False),
        sa.Column("support", sa.Double(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("lift", sa.Double(), nullable=False),
        sa.Column("leverage", sa.Double(), nullable=False),
        sa.Column("conviction", sa.Double(), nullable=True),
        sa.Column("design_effect", sa.Double(), nullable=False),
        sa.Column("p_value", sa.Double(), nullable=False),
        sa.Column("q_value", sa.Double(), nullable=False),
        sa.Column("feeders", sa.Integer(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.CheckConstraint("\"antecedent\" <> ''", name=op.f("ck_event_rules_antecedent")),
        sa.CheckConstraint(
            '"confidence" >= 0 AND "confidence" <= 1', name=op.f("ck_event_rules_confidence")
        ),
        sa.CheckConstraint(
            "\"consequent\" IN ('outage', 'voltage_low', 'limit_exceedance', 'alert', 'load_peak', 'voltage_high', 'reverse_flow', 'meters_silent', 'sensor_silent')",
            name=op.f("ck_event_rules_consequent"),
        ),
        sa.CheckConstraint(
            '"conviction" >= 0 AND "conviction" < \'Infinity\'::double precision',
            name=op.f("ck_event_rules_conviction"),
        ),
        sa.CheckConstraint(
            '"design_effect" >= 1 AND "design_effect" < \'Infinity\'::double precision',
            name=op.f("ck_event_rules_design_effect"),
        ),
        sa.CheckConstraint("\"feeder_id\" <> ''", name=op.f("ck_event_rules_feeder_id")),
        sa.CheckConstraint('"feeders" >= 1', name=op.f("ck_event_rules_feeders")),
        sa.CheckConstraint(
            '"leverage" >= -1 AND "leverage" <= 1', name=op.f("ck_event_rules_leverage")
        ),
        sa.CheckConstraint(
            '"lift" >= 0 AND "lift" < \'Infinity\'::double precision',
            name=op.f("ck_event_rules_lift"),
        ),
        sa.CheckConstraint(
            '"p_value" >= 0 AND "p_value" <= 1', name=op.f("ck_event_rules_p_value")
        ),
        sa.CheckConstraint(
            '"q_value" >= 0 AND "q_value" <= 1', name=op.f("ck_event_rules_q_value")
        ),
        sa.CheckConstraint('"rank" >= 1', name=op.f("ck_event_rules_rank")),
        sa.CheckConstraint(
            '"score" >= 0 AND "score" < \'Infinity\'::double precision',
            name=op.f("ck_event_rules_score"),
        ),
        sa.CheckConstraint(
            '"support" >= 0 AND "support" <= 1', name=op.f("ck_event_rules_support")
        ),
        sa.CheckConstraint('"transactions" >= 1', name=op.f("ck_event_rules_transactions")),
        sa.CheckConstraint('"with_antecedent" >= 1', name=op.f("ck_event_rules_with_antecedent")),
        sa.CheckConstraint('"with_both" >= 1', name=op.f("ck_event_rules_with_both")),
        sa.CheckConstraint('"with_consequent" >= 1', name=op.f("ck_event_rules_with_consequent")),
        sa.PrimaryKeyConstraint(
            "day", "feeder_id", "antecedent", "consequent", name=op.f("pk_event_rules")
        ),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_event_rules_day"), "event_rules", ["day"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_table("event_rule_changes")
    op.drop_table("event_rules")
    op.drop_table("event_itemsets")
    op.execute("DELETE FROM planted_faults WHERE kind = 'weak_joint'")
    _allow(KINDS)
