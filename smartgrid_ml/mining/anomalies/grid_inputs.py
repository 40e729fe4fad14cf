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
"""The id of a sensor of one phase ends with the phase: `S-F2-T1-L1`."""

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
    """Return the step at which sensors of this interval are judged; it divides a day.

    >>> [choose_sensor_step(minutes) // timedelta(minutes=1) for minutes in (1, 15, 50)]
    [15, 15, 60]
    """
    lengths = (m for m in range(interval_minutes, 24 * 60 + 1) if (24 * 60) % m == 0)
    return timedelta(minutes=max(next(lengths), SHORTEST_STEP_MINUTES))


def average_sensor_readings(
    sensor_data: pl.DataFrame | pl.LazyFrame, *, step: timedelta
) -> pl.DataFrame:
    """Return series, time, value: means over the step of rows of `SensorData`."""
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
    """Return series, time, value: kWh of whole hours, of rows of `MeterConsumption`.

    An hour that was not measured throughout, because a reading is missing, has no value. What VEE
    estimated for another reason counts as estimated.
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
    """Return series, peer_group, phase_set: sensors of a type are peers, those of a place phases.

    >>> group_sensors(["S-F2-T1-L1/voltage", "S-F2/power"]).rows()
    [('S-F2-T1-L1/voltage', 'voltage', 'S-F2-T1/voltage'), ('S-F2/power', 'power', None)]
    """
    sensor, quantity = _split_series_name("series")
    place = sensor.str.extract(PHASE)
    return pl.DataFrame({"series": series}, schema={"series": pl.String}).with_columns(
        peer_group=quantity,
        phase_set=pl.concat_str(place, quantity, separator=SEPARATOR),
    )


def group_meters(topology: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return series, peer_group, phase_set (null): meters of one kind of customer are peers."""
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
    """Return rows of LIMITS: 10 % around nominal voltage (EN 50160), a node's rating."""
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
    """Return rows of LIMITS: energy, kWh, is never negative."""
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
    """Return time, temperature_c, irradiance_wm2: means over the stations of rows of `Weather`.

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
    """Return the unit of each series.

    >>> look_up_units(["S-F2/power", "M0001/energy"])
    {'S-F2/power': 'kW', 'M0001/energy': 'kWh'}
    """
    return {name: UNITS[name.rpartition(SEPARATOR)[2]] for name in series}


def to_anomaly_rows(rows: pl.DataFrame, *, subject_kind: str) -> pl.DataFrame:
    """Return rows of `Anomalies` (or `AnomalyDays`) of anomalies (or parts) of a `Detection`."""
    subject, quantity = _split_series_name("series")
    names = {"time": "worst_time", "lower": "lower_value", "upper": "upper_value"}
    return (
        rows.with_columns(subject_id=subject, quantity=quantity, subject_kind=pl.lit(subject_kind))
        .drop("series")
        .rename(names)
    )


def to_score_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `AnomalyScores` of the scores of a `Detection`."""
    subject, quantity = _split_series_name("series")
    names = {"lower": "lower_value", "upper": "upper_value"}
    return rows.with_columns(subject_id=subject, quantity=quantity).drop("series").rename(names)


def merge_anomaly_days(days: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `Anomalies`, the last of each anomaly's rows of `AnomalyDays`."""
    key = ["subject_id", "quantity", "start_time"]
    return (
        days.sort(*key, "day").unique(key, keep="last", maintain_order=True).drop("day").sort(*key)
    )


def _split_series_name(column: str) -> tuple[pl.Expr, pl.Expr]:
    """Return subject and quantity of a series; the subject may hold the separator itself."""
    pieces = pl.col(column).str.extract_groups(f"^(.*){SEPARATOR}([a-z]+)$")
    return pieces.struct[0], pieces.struct[1]
