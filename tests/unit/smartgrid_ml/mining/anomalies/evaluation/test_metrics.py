from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_ml.mining.anomalies.evaluation.metrics import (
    compute_f1,
    compute_precision_at,
    evaluate_events,
    evaluate_rows,
    evaluate_rows_within,
    find_row_runs,
)
from smartgrid_ml.mining.anomalies.evaluation.summary import summarise_detection

STEP = timedelta(hours=1)
FLAGS = st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 1)), min_size=1, max_size=40)


def at(hour: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


def rows(labels: str, flags: str, *, series: str = "a", scores=None) -> pl.DataFrame:
    """`labels` and `flags` are drawn one character per hour: x is set, . is not, ? is unknown."""
    return pl.DataFrame(
        {
            "series": series,
            "time": [at(hour) for hour in range(len(labels))],
            "label": [None if mark == "?" else mark == "x" for mark in labels],
            "flag": [mark == "x" for mark in flags],
            "score": scores or [float(mark == "x") for mark in flags],
        },
        schema_overrides={"label": pl.Boolean},
    )


def figures(labels, flags, scores):
    return evaluate_rows(
        np.array(labels, dtype=bool), np.array(flags, dtype=bool), np.array(scores, dtype=float)
    )


def test_rows_are_judged_one_by_one():
    got = figures([1, 1, 0, 0], [1, 0, 1, 0], [4, 2, 3, 1])
    assert (got.precision, got.recall, got.f1) == (0.5, 0.5, 0.5)
    assert got.pr_auc == pytest.approx((1 + 2 / 3) / 2)
    assert got.roc_auc == 0.75
    assert (got.rows, got.labelled, got.flagged) == (4, 2, 2)


def test_without_labelled_rows_only_the_lack_of_precision_can_be_said():
    got = figures([0, 0], [1, 0], [1, 0])
    assert (got.precision, got.recall, got.f1, got.pr_auc, got.roc_auc) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert figures([], [], []).precision is None


def test_a_row_without_score_ranks_last_and_an_infinite_one_first():
    assert figures([1, 0, 0], [0, 0, 0], [np.inf, 1, np.nan]).roc_auc == 1.0
    assert figures([1, 0, 0], [0, 0, 0], [np.nan, 1, 2]).roc_auc == 0.0


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="2 labels, 1 flags, 1 scores"):
        figures([1, 0], [1], [1])


def test_of_tied_scores_precision_at_k_is_what_chance_gives():
    labels = np.array([True, False, False, True])
    assert compute_precision_at(labels, np.array([9.0, 5.0, 5.0, 5.0]), k=2) == pytest.approx(
        (1 + 1 / 3) / 2
    )
    with pytest.raises(ValueError, match="k is 5"):
        compute_precision_at(labels, np.zeros(4), k=5)


@given(FLAGS, st.randoms(use_true_random=False))
def test_the_order_of_rows_never_counts(drawn, random):
    shuffled = random.sample(drawn, len(drawn))
    before, after = (figures(*zip(*them, strict=True)) for them in (drawn, shuffled))
    assert after.pr_auc == (None if before.pr_auc is None else pytest.approx(before.pr_auc))
    assert (after.precision, after.recall) == (before.precision, before.recall)


@given(FLAGS)
def test_a_step_of_tolerance_never_makes_a_figure_worse(drawn):
    labels, flags, scores = zip(*drawn, strict=True)
    exact = figures(labels, flags, scores)
    frame = pl.DataFrame(
        {"series": "a", "time": [at(n) for n in range(len(drawn))], "label": labels, "flag": flags}
    )
    near = evaluate_rows_within(frame, within=STEP)
    for name in ("precision", "recall", "f1"):
        tolerant, plain = getattr(near, name), getattr(exact, name)
        assert (tolerant is None) == (plain is None)
        assert tolerant is None or tolerant >= plain - 1e-12
    strict = evaluate_rows_within(frame, within=timedelta(0))
    assert (strict.precision, strict.recall) == (exact.precision, exact.recall)


def test_a_neighbour_of_another_series_is_no_neighbour():
    both = pl.concat([rows("x..", "...", series="a"), rows("...", "x..", series="b")])
    figures_near = evaluate_rows_within(both, within=STEP)
    assert (figures_near.precision, figures_near.recall, figures_near.f1) == (0.0, 0.0, 0.0)


def test_a_run_ends_at_a_row_without_the_flag_not_at_a_gap_in_time():
    frame = rows("xx.x", "....").filter(pl.col("time") != at(2))
    assert find_row_runs(frame, "label").rows() == [("a", at(0), at(3), 3)]
    assert find_row_runs(rows("xx.x", "...."), "label").rows() == [
        ("a", at(0), at(1), 2),
        ("a", at(3), at(3), 1),
    ]
    joined = find_row_runs(rows("xx.x..x", "......."), "label", apart=2 * STEP)
    assert joined.rows() == [("a", at(0), at(3), 3), ("a", at(6), at(6), 1)]


def test_an_event_is_found_by_an_alarm_that_touches_it_and_the_delay_is_told():
    events = find_row_runs(rows("...xxx....xx", "............"), "label")
    alarms = find_row_runs(rows("............", ".x..x.x....."), "flag")
    got = evaluate_events(events, alarms, early=STEP, late=STEP)
    assert (got.events, got.found, got.alarms, got.true_alarms) == (2, 1, 3, 2)
    assert got.delays == [timedelta(hours=1)]
    assert (got.precision, got.recall) == (2 / 3, 0.5)
    assert got.f1 == compute_f1(2 / 3, 0.5)


def test_an_alarm_before_the_event_is_a_lead():
    events = find_row_runs(rows(".....x", "......"), "label")
    alarms = find_row_runs(rows("......", "..x..."), "flag")
    assert evaluate_events(events, alarms, early=4 * STEP).delays == [timedelta(hours=-3)]
    assert evaluate_events(events, alarms).found == 0


def test_a_standing_alarm_is_credited_from_the_hour_that_counts():
    events = find_row_runs(rows(".....x", "......"), "label")
    alarms = find_row_runs(rows("......", "xxxxxx"), "flag")
    assert evaluate_events(events, alarms, early=2 * STEP).delays == [timedelta(hours=-2)]


def test_one_label_for_all_series_is_judged_by_time():
    both = pl.concat(
        [
            rows(".x.?", ".x.x", series="a", scores=[0.0, 5.0, 1.0, 9.0]),
            rows(".x.?", "..x.", series="b"),
        ]
    )
    got = summarise_detection(both, step=STEP, shared_label=True, label="fault")
    assert (got["rows"], got["precision"], got["recall"]) == (3, 0.5, 1.0)
    assert got["by_series"]["b"]["recall"] == 0.0
    assert got["within_one_step"]["precision"] == 1.0
    assert got["detection_delay"]["median_s"] == 0.0
    alone = summarise_detection(both, step=STEP, shared_label=False, label="fault")
    assert (alone["rows"], alone["recall"]) == (6, 0.5)


def test_without_labels_every_figure_is_absent():
    got = summarise_detection(rows("?", "x"), step=STEP, shared_label=False, label=None)
    assert [got[name] for name in ("precision", "recall", "f1", "pr_auc", "roc_auc")] == [None] * 5
