from datetime import UTC, datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.digest import TableDigest, compare_digests, digest_rows, drop_measured_rows

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


def digest(rows: pl.DataFrame) -> str:
    return digest_rows([rows])[1]


def test_rows_in_another_order_have_the_same_digest():
    rows = pl.DataFrame({"feeder_id": ["F1", "F2", "F2"], "load_kw": [1.5, None, float("nan")]})
    assert digest(rows) == digest(rows.reverse()) == digest(rows.select("load_kw", "feeder_id"))


def test_when_a_row_was_written_does_not_count_unless_it_is_asked_for():
    early, late = (
        pl.DataFrame({"meter_id": ["a"], "ingested_at": [NOON.replace(hour=hour)]})
        for hour in (1, 2)
    )
    assert digest(early) == digest(late)
    assert digest_rows([early], left_out=frozenset()) != digest_rows([late], left_out=frozenset())


def test_null_nan_and_the_empty_text_are_three_things():
    texts = {digest(pl.DataFrame({"x": [x]}, schema={"x": pl.String})) for x in (None, "", "NaN")}
    numbers = {
        digest(pl.DataFrame({"x": [x]}, schema={"x": pl.Float64})) for x in (None, float("nan"))
    }
    assert len(texts) == 3
    assert len(numbers) == 2


def test_a_list_counts_element_by_element():
    lists = [[1.0, 2.0], [2.0, 1.0], [1.0, None], [], None]
    digests = {digest(pl.DataFrame({"x": [x]}, schema={"x": pl.List(pl.Float64)})) for x in lists}
    shape = pl.DataFrame({"x": [[1.0, 2.0]]}, schema={"x": pl.Array(pl.Float64, 2)})
    assert len(digests) == len(lists)
    assert digest(shape) in digests


def test_a_row_that_stands_twice_is_told_from_one_that_stands_once():
    once = pl.DataFrame({"x": [1, 2]})
    assert digest_rows([once])[0] == 2
    assert digest(once) != digest(pl.DataFrame({"x": [1, 2, 2]}))


def test_the_last_bits_of_a_sum_do_not_count_but_the_sixth_digit_does():
    def figure(value: float) -> str:
        return digest(pl.DataFrame({"load_kw": [value], "shape": [[value, 1.0]]}))

    assert figure(0.1 + 0.2) == figure(0.3)
    assert figure(5.404374999999999) == figure(5.404375000000001), "a tie of the sixth digit"
    assert figure(-0.0) == figure(0.0)
    assert figure(1234.56) != figure(1234.57)


def test_days_without_rows_do_not_count():
    day = pl.DataFrame({"x": [1]})
    assert digest_rows([day.clear(), day, day.clear()]) == digest_rows([day])
    assert digest_rows([day.clear()]) == digest_rows([])


def test_only_columns_that_do_not_count_leave_as_many_equal_rows():
    assert digest_rows([pl.DataFrame({"seq": [1, 2]})]) == digest_rows(
        [pl.DataFrame({"seq": [3, 4]})]
    )


def test_what_was_measured_on_the_machine_does_not_count():
    rows = pl.DataFrame({"condition": ["coverage", "answer_ms"], "figure": [0.8, 131.0]})
    assert drop_measured_rows(rows, table="promotion_decisions").rows() == [("coverage", 0.8)]
    assert drop_measured_rows(rows, table="model_drift").height == 2


@given(st.lists(st.tuples(st.text(), st.none() | st.floats()), min_size=1, unique=True))
def test_one_changed_cell_changes_the_digest(rows):
    frame = pl.DataFrame(rows, schema={"subject_id": pl.String, "value": pl.Float64}, orient="row")
    changed = frame.with_columns(
        subject_id=pl.when(pl.int_range(pl.len()) == 0)
        .then(pl.col("subject_id") + "x")
        .otherwise("subject_id")
    )
    assert digest(frame) != digest(changed)


def test_what_differs_between_two_runs_is_a_sentence_each():
    before = [
        TableDigest("alerts", "warehouse", 1, "aa"),
        TableDigest("feeder_load", "lake", 8640, "bb"),
        TableDigest("weather", "lake", 5, "cc"),
        TableDigest("insights", "warehouse", 7, "dd"),
    ]
    after = [
        TableDigest("alerts", "warehouse", 1, "a0"),
        TableDigest("feeder_load", "lake", 8641, "b0"),
        TableDigest("anomalies", "lake", 5, "cc"),
        TableDigest("insights", "warehouse", 7, "dd"),
    ]
    assert compare_digests(before, after) == [
        "alerts (warehouse): 1 rows, but not the same",
        "anomalies (lake): only the new run has it",
        "feeder_load (lake): 8,640 rows before, 8,641 now",
        "weather (lake): only the old run has it",
    ]
    assert compare_digests(before, before) == []
