"""What the journal of promotion decisions lets go live."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from smartgrid_core.rollout.decisions import explain_refusal
from smartgrid_core.rollout.labels import ServingState

START = datetime(2026, 3, 3, tzinfo=UTC)
ONE = ServingState("m", (1,), stable=1)


def decisions(*rows: tuple[str, int, str]) -> pl.DataFrame:
    """Decisions as (model, version, decision), a day apart."""
    return pl.DataFrame(
        [
            {
                "model": model,
                "version": str(version),
                "decision": decision,
                "reason": f"reason {day}",
                "decided_at": START + timedelta(days=day),
            }
            for day, (model, version, decision) in enumerate(rows)
        ]
    )


@pytest.mark.parametrize("decision", ["promote", "keep"])
def test_a_version_that_passed_or_is_on_trial_may_be_published(decision):
    assert explain_refusal(decisions(("m", 2, decision)), ONE, 2) is None


@pytest.mark.parametrize("decision", ["refuse", "roll_back"])
def test_a_version_that_did_not_pass_is_refused_with_the_reason(decision):
    reason = explain_refusal(decisions(("m", 2, decision)), ONE, 2)
    assert reason == "version 2 is refused: reason 0"


def test_the_newest_decision_counts_whatever_the_order_of_rows():
    first_refused = decisions(("m", 2, "refuse"), ("m", 2, "promote"))
    first_passed = decisions(("m", 2, "promote"), ("m", 2, "keep"), ("m", 2, "refuse"))
    assert explain_refusal(first_refused, ONE, 2) is None
    assert explain_refusal(first_refused.reverse(), ONE, 2) is None
    assert explain_refusal(first_passed, ONE, 2) == "version 2 is refused: reason 2"


def test_decisions_about_others_do_not_count():
    others = decisions(("other", 2, "promote"), ("m", 3, "promote"))
    reason = explain_refusal(others, ONE, 2)
    assert reason == ("no decision about version 2 is on record: materialise promotion_decision")


def test_a_version_that_has_a_label_may_be_published_again():
    assert explain_refusal(decisions(("m", 1, "refuse")), ONE, 1) is None
