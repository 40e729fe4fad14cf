"""Hourly statistics of sensor readings."""

import narwhals as nw
from narwhals.typing import IntoFrameT

from smartgrid_core.aggregates.frames import to_narwhals

SENSOR_HOUR = ("sensor_id", "sensor_type", "hour_bucket")


def aggregate_sensor_hours(sensor_data: IntoFrameT, *, sensor_interval_minutes: int) -> IntoFrameT:
    """Return rows of `SensorAggregates`, in no particular order; a lazy frame stays lazy.

    `sensor_data` has rows of `SensorData` (sensor_id, sensor_type, event_time and value are used),
    in any frame that narwhals knows. `expected_count` is 60 / `sensor_interval_minutes`, at least
    1.
    """
    value = nw.col("value")
    expected = max(60 // sensor_interval_minutes, 1)
    aggregates: IntoFrameT = (
        to_narwhals(sensor_data)
        .with_columns(hour_bucket=nw.col("event_time").dt.truncate("1h"))
        .group_by(*SENSOR_HOUR)
        .agg(
            value.mean().alias("avg_value"),
            value.min().alias("min_value"),
            value.max().alias("max_value"),
            value.std(ddof=1).alias("stddev_value"),
            value.count().alias("count"),
        )
        .with_columns(
            nw.col("count").cast(nw.Int64),
            nw.lit(expected).cast(nw.Int64).alias("expected_count"),
        )
        .select(
            *SENSOR_HOUR,
            "avg_value",
            "min_value",
            "max_value",
            "stddev_value",
            "count",
            "expected_count",
        )
        .to_native()
    )
    return aggregates
