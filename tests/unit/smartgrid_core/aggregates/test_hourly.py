from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from smartgrid_core.aggregates.hourly import aggregate_sensor_hours
from smartgrid_core.contracts.aggregates import SensorAggregates
from smartgrid_core.contracts.readings import SensorData

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def sensor_data(*values: tuple[str, str, int, float]) -> pl.DataFrame:
    rows = [
        {
            "event_id": f"{sensor}-{kind}-{minute}",
            "sensor_id": sensor,
            "sensor_type": kind,
            "value": value,
            "latitude": None,
            "longitude": None,
            "event_time": NOON + timedelta(minutes=minute),
            "ingested_at": NOON + timedelta(minutes=minute, seconds=1),
            "metadata": None,
        }
        for sensor, kind, minute, value in values
    ]
    return SensorData.cast(pl.DataFrame(rows))


READINGS = sensor_data(
    ("s1", "voltage", 0, 230.0),
    ("s1", "voltage", 15, 232.0),
    ("s1", "voltage", 59, 234.0),
    ("s1", "voltage", 60, 229.0),
    ("s1", "power", 0, -4.5),
    ("s2", "voltage", 30, 240.0),
)
IN_ORDER = SensorAggregates.primary_key()


def test_an_hour_is_summed_up_in_mean_extremes_deviation_and_counts():
    aggregates = aggregate_sensor_hours(READINGS, sensor_interval_minutes=15)
    assert SensorAggregates.is_valid(aggregates)
    figures = ["sensor_id", "sensor_type", "hour_bucket", "avg_value", "min_value", "max_value"]
    assert aggregates.sort(IN_ORDER).select(
        *figures, "stddev_value", "count", "expected_count"
    ).rows() == [
        ("s1", "power", NOON, -4.5, -4.5, -4.5, None, 1, 4),
        ("s1", "voltage", NOON, 232.0, 230.0, 234.0, 2.0, 3, 4),
        ("s1", "voltage", NOON + timedelta(hours=1), 229.0, 229.0, 229.0, None, 1, 4),
        ("s2", "voltage", NOON, 240.0, 240.0, 240.0, None, 1, 4),
    ]


def test_no_readings_make_an_empty_table():
    aggregates = aggregate_sensor_hours(READINGS.clear(), sensor_interval_minutes=15)
    assert SensorAggregates.is_valid(aggregates)


def test_a_lazy_frame_stays_lazy_and_streams_to_the_same_rows():
    lazy = aggregate_sensor_hours(READINGS.lazy(), sensor_interval_minutes=15)
    assert isinstance(lazy, pl.LazyFrame)
    assert_frame_equal(
        lazy.collect(engine="streaming"),
        aggregate_sensor_hours(READINGS, sensor_interval_minutes=15),
        check_row_order=False,
    )


def test_pandas_gives_the_same_rows():
    aggregates = aggregate_sensor_hours(READINGS.to_pandas(), sensor_interval_minutes=15)
    assert_frame_equal(
        SensorAggregates.cast(pl.from_pandas(aggregates)),
        aggregate_sensor_hours(READINGS, sensor_interval_minutes=15),
        check_row_order=False,
    )


@pytest.mark.slow
def test_spark_gives_the_same_rows(spark):
    columns = ["sensor_id", "sensor_type", "event_time", "value"]
    frame = spark.createDataFrame(READINGS.select(columns).to_pandas())
    aggregates = pl.from_pandas(
        aggregate_sensor_hours(frame, sensor_interval_minutes=15).toPandas()
    )
    in_utc = pl.col("hour_bucket").dt.replace_time_zone("UTC")
    assert_frame_equal(
        SensorAggregates.cast(aggregates.with_columns(in_utc)),
        aggregate_sensor_hours(READINGS, sensor_interval_minutes=15),
        check_row_order=False,
    )


def test_a_sensor_slower_than_the_hour_is_expected_once():
    aggregates = aggregate_sensor_hours(READINGS, sensor_interval_minutes=90)
    assert aggregates["expected_count"].unique().to_list() == [1]


@pytest.mark.parametrize(("minutes", "expected"), [(1, 60), (15, 4), (60, 1)])
def test_a_healthy_sensor_fills_the_hour(minutes, expected):
    aggregates = aggregate_sensor_hours(READINGS, sensor_interval_minutes=minutes)
    assert aggregates["expected_count"].unique().to_list() == [expected]
