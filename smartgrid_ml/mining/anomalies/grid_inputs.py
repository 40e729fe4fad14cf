"""The grid's readings, neighbours, limits and weather as `detect` takes them, and back into tables.

A series is `<sensor_id>/<sensor_type>` or `<meter_id>/energy`.
"""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from smartgrid_core.readings.judgements import SAG_SHARE, SWELL_SHARE
from smartgrid_core.topology import list_sensor_voltages

SEPARATOR = "/"
ENERGY = "energy"
UNITS = {"voltage": "V", "current": "A", "power": "kW", "frequency": "Hz", ENERGY: "kWh"}

PHASE = r"^(.+)-L[123]$"
"""A sensor of one phase says so at the end of its id: `S-F2-T1-L1`."""

SHORTEST_STEP_MINUTES = 15
"""Sensors that report more often are judged by their means over so long."""

RATING_MINUTES = 60
"""Equipment is loaded beyond its rating by the mean of an hour, not of a moment."""

LIMITS = pl.Schema(
    {
        "series": pl.String(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "over_minutes": pl.Int64(),
        "what": pl.String(),
    }
)


def choose_sensor_step(interval_minutes: int) -> timedelta:
    """The step at which sensors of this interval are judged: it divides a day."""
    lengths = (m for m in range(interval_minutes, 24 * 60 + 1) if (24 * 60) % m == 0)
    return timedelta(minutes=max(next(lengths), SHORTEST_STEP_MINUTES))


def average_sensor_readings(
    sensor_data: pl.DataFrame | pl.LazyFrame, *, step: timedelta
) -> pl.DataFrame:
    """series, time, value of rows of `SensorData`: means over the step."""
    return (
        sensor_data.lazy()
        .group_by(
            series=pl.concat_str("sensor_id", "sensor_type", separator=SEPARATOR),
            time=pl.col("event_time").dt.truncate(step),
        )
        .agg(value=pl.col("value").mean())
        .sort("series", "time")
        .collect()
    )


def sum_meter_energy(consumption: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """series, time, value of rows of `MeterConsumption`: kWh of whole hours.

    An hour that was not measured through, because a reading lacks, has no value. What VEE mended
    for another reason counts as mended.
    """
    minutes, is_gap = pl.col("interval_minutes"), pl.col("quality") == "gap"
    return (
        consumption.lazy()
        .group_by(
            series=pl.concat_str("meter_id", pl.lit(ENERGY), separator=SEPARATOR),
            time=pl.col("interval_start").dt.truncate("1h"),
        )
        .agg(
            value=pl.col("energy_kwh").sum(),
            minutes=minutes.sum(),
            longest=minutes.max(),
            has_gap=is_gap.any(),
        )
        .with_columns(
            value=pl.when(
                ~pl.col("has_gap"), pl.col("minutes") >= pl.max_horizontal("longest", 60)
            ).then("value")
        )
        .select("series", "time", "value")
        .sort("series", "time")
        .collect()
    )


def group_sensors(series: Sequence[str]) -> pl.DataFrame:
    """series, peer_group, phase_set: sensors of one type are peers, those of one place phases."""
    sensor, quantity = _split_series_name("series")
    place = sensor.str.extract(PHASE)
    return pl.DataFrame({"series": series}, schema={"series": pl.String}).with_columns(
        peer_group=quantity,
        phase_set=pl.concat_str(place, quantity, separator=SEPARATOR),
    )


def group_meters(topology: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """series, peer_group, phase_set: meters of one kind of customer are peers."""
    return (
        topology.lazy()
        .filter(pl.col("node_kind") == "meter")
        .select(
            series=pl.concat_str("node_id", pl.lit(ENERGY), separator=SEPARATOR),
            peer_group="customer_kind",
            phase_set=pl.lit(None, pl.String),
        )
        .sort("series")
        .collect()
    )


def build_sensor_limits(topology: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Rows of LIMITS: 10 % around nominal voltage (EN 50160), the rating of what is watched."""
    voltage = pl.col("nominal_v")
    bands = list_sensor_voltages(topology).select(
        series=pl.concat_str("sensor_id", pl.lit("voltage"), separator=SEPARATOR),
        low=SAG_SHARE * voltage,
        high=SWELL_SHARE * voltage,
        over_minutes=pl.lit(None, pl.Int64),
        what=pl.lit("10 % around nominal"),
    )
    nodes = topology.lazy().select("node_id", "node_kind", "parent_id", "rating_kw")
    rating = pl.col("parent_kw")
    ratings = (
        nodes.filter(pl.col("node_kind") == "sensor")
        .join(nodes.select(parent_id="node_id", parent_kw="rating_kw"), on="parent_id")
        .filter(rating.is_not_null())
        .select(
            series=pl.concat_str("node_id", pl.lit("power"), separator=SEPARATOR),
            low=-rating,
            high=rating,
            over_minutes=pl.lit(RATING_MINUTES, pl.Int64),
            what=pl.lit("the rating"),
        )
        .collect()
    )
    return pl.concat([bands, ratings]).cast(LIMITS).sort("series")


def build_meter_limits(series: Sequence[str]) -> pl.DataFrame:
    """Rows of LIMITS: energy is never negative."""
    return (
        pl.DataFrame({"series": series}, schema={"series": pl.String})
        .with_columns(
            low=pl.lit(0.0),
            high=pl.lit(None, pl.Float64),
            over_minutes=pl.lit(None, pl.Int64),
            what=pl.lit("energy"),
        )
        .cast(LIMITS)
    )


def build_weather_context(weather: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """time, temperature_c, irradiance_wm2, means over the stations.

    Always both columns, also where nothing is known: an archive is days behind, and a day without
    weather must not make the detectors forget what weather does.
    """
    return (
        weather.lazy()
        .group_by(time="hour_start")
        .agg(pl.col("temperature_c", "irradiance_wm2").mean())
        .sort("time")
        .collect()
    )


def look_up_units(series: Sequence[str]) -> dict[str, str]:
    """The unit of each series."""
    return {name: UNITS[name.rpartition(SEPARATOR)[2]] for name in series}


def to_anomaly_rows(rows: pl.DataFrame, *, subject_kind: str) -> pl.DataFrame:
    """Rows of `Anomalies` (or `AnomalyDays`) out of anomalies (or parts) of a `Detection`."""
    subject, quantity = _split_series_name("series")
    names = {"time": "worst_time", "lower": "lower_value", "upper": "upper_value"}
    return (
        rows.with_columns(subject_id=subject, quantity=quantity, subject_kind=pl.lit(subject_kind))
        .drop("series")
        .rename(names)
    )


def to_score_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `AnomalyScores` out of scores of a `Detection`."""
    subject, quantity = _split_series_name("series")
    names = {"lower": "lower_value", "upper": "upper_value"}
    return rows.with_columns(subject_id=subject, quantity=quantity).drop("series").rename(names)


def merge_anomaly_days(days: pl.DataFrame) -> pl.DataFrame:
    """Rows of `Anomalies` out of rows of `AnomalyDays`: the last day knows all of an anomaly."""
    key = ["subject_id", "quantity", "start_time"]
    return (
        days.sort(*key, "day").unique(key, keep="last", maintain_order=True).drop("day").sort(*key)
    )


def _split_series_name(column: str) -> tuple[pl.Expr, pl.Expr]:
    """Subject and quantity of a series; the subject may hold the separator itself."""
    pieces = pl.col(column).str.extract_groups(f"^(.*){SEPARATOR}([a-z]+)$")
    return pieces.struct[0], pieces.struct[1]
