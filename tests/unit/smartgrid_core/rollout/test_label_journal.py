"""The journal of labels: what is noted, and what it says about a version."""

from datetime import UTC, datetime, timedelta

import polars as pl

from smartgrid_core.contracts.serving import LabelMoves
from smartgrid_core.rollout.label_journal import (
    build_label_moves,
    explain_wait,
    find_label_start,
    is_rejected,
)
from smartgrid_core.rollout.labels import ServingState

START = datetime(2026, 3, 3, tzinfo=UTC)
ONE = ServingState("m", (1,), stable=1)
TRIAL = ServingState("m", (1, 2), stable=1, canary=2)
TWO = ServingState("m", (1, 2), stable=2)


def journal(*steps: tuple[ServingState, str]) -> pl.DataFrame:
    """What is noted of a row of states, a day apart, each with the action that led there."""
    noted, before = LabelMoves.create_empty(), ServingState("m")
    for day, (after, action) in enumerate(steps):
        new = build_label_moves(
            noted,
            before=before,
            after=after,
            action=action,
            reason="test",
            by="test",
            now=START + timedelta(days=day),
        )
        noted, before = pl.concat([noted, new]), after
    return noted


TAKEN_BACK = journal((ONE, "published"), (TRIAL, "published"), (ONE, "rolled_back"))
PROMOTED = journal((ONE, "published"), (TRIAL, "published"), (TWO, "promoted"))


def test_a_row_is_noted_for_every_label_that_moved():
    assert PROMOTED.select("label", "version_before", "version_after", "action").rows() == [
        ("stable", None, "1", "published"),
        ("canary", None, "2", "published"),
        ("stable", "1", "2", "promoted"),
        ("canary", "2", None, "promoted"),
    ]


def test_what_is_noted_is_not_noted_again_and_what_was_missed_is_made_good():
    again = {"reason": "test", "by": "test", "now": START + timedelta(days=9)}
    assert build_label_moves(
        PROMOTED, before=TWO, after=TWO, action="published", **again
    ).is_empty()
    missed = build_label_moves(
        journal((ONE, "published")), before=TWO, after=TWO, action="published", **again
    )
    assert missed.select("label", "version_before", "version_after").rows() == [
        ("stable", "1", "2")
    ]


def test_a_version_whose_label_was_taken_back_is_rejected_until_it_gets_one_again():
    assert is_rejected(TAKEN_BACK, "2", model="m")
    assert not is_rejected(TAKEN_BACK, "1", model="m")
    assert not is_rejected(TAKEN_BACK, "2", model="other")
    assert not is_rejected(PROMOTED, "1", model="m"), "it was followed, not taken back"
    forth = journal((TWO, "published"), (ONE, "rolled_back"), (TWO, "rolled_back"))
    assert not is_rejected(forth, "2", model="m")
    assert is_rejected(forth, "1", model="m")


def test_since_when_a_label_means_its_version():
    assert find_label_start(PROMOTED, TRIAL, "canary") == START + timedelta(days=1)
    assert find_label_start(PROMOTED, TWO, "stable") == START + timedelta(days=2)
    assert find_label_start(PROMOTED, ONE, "canary") is None


def test_the_order_of_the_journals_rows_does_not_matter():
    for moves in (TAKEN_BACK, PROMOTED):
        assert is_rejected(moves.reverse(), "2", model="m") == is_rejected(moves, "2", model="m")
    again = journal((ONE, "published"), (TWO, "published"), (ONE, "rolled_back"))
    assert find_label_start(again.reverse(), ONE, "stable") == START + timedelta(days=2)
    noted = build_label_moves(
        *(again.reverse(),),
        **{"before": ONE, "after": ONE, "action": "published"},
        **{"reason": "test", "by": "test", "now": START},
    )
    assert noted.is_empty()


def test_a_trained_version_waits_for_the_trial_before_it_but_not_for_ever():
    trial = journal((ONE, "published"), (TRIAL, "published"))
    began = START + timedelta(days=1)
    reason = explain_wait(trial, TRIAL, 3, now=began + timedelta(days=6))
    assert reason == "version 2 is on trial since 2026-03-04; version 3 waits"
    assert explain_wait(trial, TRIAL, 3, now=began + timedelta(days=28, seconds=-1)) is not None
    assert explain_wait(trial, TRIAL, 3, now=began + timedelta(days=28)) is None
    assert explain_wait(trial, TRIAL, 2, now=began) is None
    assert explain_wait(trial, ONE, 3, now=began) is None


def test_a_version_that_was_rolled_back_does_not_return_by_itself():
    reason = explain_wait(TAKEN_BACK, ONE, 2, now=START + timedelta(days=9))
    assert reason == "version 2 was rolled back: see label_moves"
