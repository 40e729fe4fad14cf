"""A decision as rows of its table and as a table that people read."""

from datetime import UTC, datetime

from smartgrid_core.contracts.promotion import PromotionDecisions
from smartgrid_ml.promotion.decision_records import build_decision_rows, render_decision
from smartgrid_ml.promotion.gate import Condition, conclude_decision

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
DECISION = conclude_decision(
    [
        Condition("size_mb", True, 3.0, 200.0, "the SavedModel has 3 MB, 200 may be"),
        Condition("beats_naive_24h", False, None, None, "naive_24h was not scored"),
    ]
)


def test_a_decision_is_a_row_per_condition():
    rows = build_decision_rows(
        DECISION, model="load_forecaster", version="3", champion=None, by="gate", now=NOW
    )
    PromotionDecisions.validate(rows)
    whole = {"decision": "refuse", "reason": "naive_24h was not scored", "decided_at": NOW}
    assert rows.select("condition", "passed", "figure", "bound").rows() == [
        ("size_mb", True, 3.0, 200.0),
        ("beats_naive_24h", False, None, None),
    ]
    assert rows.select(*whole).unique().row(0, named=True) == whole


def test_people_read_the_conditions_in_the_order_of_the_decision():
    assert render_decision(DECISION).splitlines()[2:] == [
        "| size_mb | 3 | 200 | yes | the SavedModel has 3 MB, 200 may be |",
        "| beats_naive_24h |  |  | no | naive_24h was not scored |",
    ]
