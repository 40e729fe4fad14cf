from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_cli.files.anomaly_rows import assign_to_rows
from smartgrid_cli.files.detect_file import (
    WEEK,
    DetectedAnomalies,
    DetectionSettings,
    build_groups,
    build_limits,
    build_rehearsal,
    count_days_at_once,
)
from smartgrid_cli.files.readings import Readings
from smartgrid_core.errors import ConfigurationError

BEGIN = datetime(2025, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)


def daily(days: int) -> pl.DataFrame:
    times = [BEGIN + timedelta(days=day) for day in range(days)]
    return pl.DataFrame(
        {"series": "a", "time": times, "value": [float(day) for day in range(days)]}
    )


def test_the_first_weeks_are_rehearsed_in_reverse_order():
    got = build_rehearsal(daily(16), begin=BEGIN).sort("time")
    assert got["value"].to_list() == [7, 8, 9, 10, 11, 12, 13, 0, 1, 2, 3, 4, 5, 6]
    assert got["time"].min() == BEGIN - 2 * WEEK
    assert got["time"].dt.weekday().to_list() == [1, 2, 3, 4, 5, 6, 7] * 2
    assert build_rehearsal(daily(6), begin=BEGIN) is None


@given(st.integers(8, 100))
def test_a_rehearsal_ends_where_the_file_begins(days):
    got = build_rehearsal(daily(days), begin=BEGIN)
    assert got["time"].max() == BEGIN - timedelta(days=1)
    assert got.height == 7 * min(5, (days - 1) // 7)
    assert got["time"].is_unique().all()


def test_many_series_are_judged_fewer_days_at_a_time():
    assert count_days_at_once(1, HOUR) == 300
    assert count_days_at_once(100, HOUR) == 3
    assert count_days_at_once(5000, timedelta(minutes=1)) == 1


def test_groups_and_limits_are_told_by_series():
    asked = DetectionSettings("UTC", phases=[("a1", "a2", "a3")], peers=["b*"])
    assert build_groups(["a1", "a2", "a3", "b1"], asked).rows() == [
        ("a1", None, "a1,a2,a3"),
        ("a2", None, "a1,a2,a3"),
        ("a3", None, "a1,a2,a3"),
        ("b1", "b*", None),
    ]
    assert build_groups(["a"], DetectionSettings("UTC")) is None
    limits = build_limits(["a1", "b1"], {"*": (0.0, 9.0), "b1": (None, 5.0)})
    assert sorted(limits.rows()) == [("a1", 0.0, 9.0), ("b1", None, 5.0)]
    with pytest.raises(ConfigurationError, match="'c' is no series; there are a1, b1"):
        build_limits(["a1", "b1"], {"c": (0.0, 1.0)})


def spell(kind: str, start: datetime, end: datetime, *, score: float = 4.0) -> pl.DataFrame:
    row = ("a", start, end, start, 9.0, 0.0, 2.0, score, kind, "strange")
    names = ("series", "start_time", "end_time", "time", "value", "lower", "upper", "score")
    return pl.DataFrame([row], schema=[*names, "kind", "reason"], orient="row")


def found_in(values: list[float | None], *, times: list[datetime], kind: str, end: int) -> object:
    """What is told of rows at `times`, where hours 1 to `end` are one anomaly."""
    slots = [time.replace(minute=0) for time in times]
    rows = pl.DataFrame(
        {"series": "a", "time": times, "slot": slots, "value": values, "label": None},
        schema_overrides={"value": pl.Float64, "label": pl.Boolean},
    )
    hours = [BEGIN + HOUR * hour for hour in range(5)]
    means = rows.group_by("slot").agg(pl.col("value").mean())
    grid = pl.DataFrame({"series": "a", "time": hours, "instant": hours, "expected": True}).join(
        means, left_on="time", right_on="slot", how="left"
    )
    readings = Readings(
        rows=rows,
        grid=grid,
        context=None,
        unjudged=rows.clear(),
        step=HOUR,
        clock="UTC",
        written_on=None,
    )
    scores = grid.select("series", "time", lower=pl.lit(0.0), upper=pl.lit(2.0)).with_columns(
        score=pl.when(pl.col("time") == BEGIN + HOUR).then(4.0).otherwise(0.5)
    )
    stretch = spell(kind, BEGIN + HOUR, BEGIN + HOUR * end)
    return assign_to_rows(readings, DetectedAnomalies(spells=stretch, scores=scores, threshold=2.0))


def test_of_a_spike_in_a_step_of_several_rows_the_furthest_row_is_meant():
    times = [BEGIN, BEGIN + HOUR, BEGIN + HOUR * 1.5, BEGIN + HOUR * 2]
    got = found_in([1.0, 1.1, 9.0, 1.0], times=times, kind="spike", end=2)
    assert got.anomalies.select("time", "value", "score").rows() == [(times[2], 9.0, 4.0)]
    scores = dict(got.scores.filter(pl.col("time").is_in(times)).select("time", "score").rows())
    assert scores == {times[0]: 0.5, times[1]: pytest.approx(0.05), times[2]: 4.0, times[3]: 0.5}


def test_all_rows_of_a_stretch_are_strange_with_its_score():
    times = [BEGIN + HOUR * hour for hour in range(5)]
    got = found_in([1.0] * 5, times=times, kind="flatline", end=4)
    assert got.anomalies["time"].to_list() == times[1:4]
    assert got.scores["score"].to_list() == [0.5, 4.0, 4.0, 4.0, 0.5]
    assert got.spells.height == 1


def test_a_gap_without_rows_is_one_row():
    times = [BEGIN, BEGIN + HOUR * 4]
    got = found_in([1.0, 1.0], times=times, kind="missing", end=4)
    assert got.anomalies.select("time", "value").rows() == [(BEGIN + HOUR, None)]
    assert got.scores.height == 5


def test_what_the_detectors_let_pass_never_ranks_with_an_anomaly():
    times = [BEGIN + HOUR * hour for hour in range(5)]
    got = found_in([1.0] * 5, times=times, kind="flatline", end=1)
    assert got.anomalies.is_empty()
    assert got.scores["score"].to_list() == [0.5, pytest.approx(1.98), 0.5, 0.5, 0.5]
