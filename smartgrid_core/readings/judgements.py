"""What is wrong with a series over a span of time: standstill, silence, sags, late arrival.

Every function returns episodes: one row per unbroken run of the fault, over [start_time,
end_time), ordered by subject and time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

SAG_SHARE = 0.9
"""EN 50160 calls a voltage below 90 % of the nominal one a dip."""

SWELL_SHARE = 1.1
"""EN 50160 calls a voltage above 110 % of the nominal one a swell."""

STUCK_READINGS = 12
"""Three hours of quarter-hours: no load stands still to the last decimal for so long."""

STUCK_HOURS = 6.0
"""A home may sleep for an hour without counting a watt-hour, but not for so long."""

HABIT_SHARE = 0.005
"""A meter that also stands still for more of its other time has a habit: feed-in at night, a heat
pump on a mild day, a charger without a car."""

STRETCH_GAP = timedelta(days=1)
"""Faults of single readings that lie closer together are one stretch: somebody looks at it once."""

ARRIVAL_SLACK = timedelta(seconds=1)
"""Messages of the same moment overtake each other by less."""


def find_stuck_values(
    sensor_data: pl.DataFrame | pl.LazyFrame,
    *,
    sensor_interval_minutes: int,
    min_readings: int = STUCK_READINGS,
) -> pl.DataFrame:
    """Return flat lines: sensor_id, sensor_type, start_time, end_time, value, readings.

    `sensor_data` has rows of `SensorData`. A flat line of zeros is a plant that is off, not a
    sensor that is stuck, and is left out.
    """
    series = ("sensor_id", "sensor_type")
    rows = sensor_data.lazy().sort(*series, "event_time")
    value = pl.col("value")
    return (
        rows.with_columns(
            spell=(value != value.shift().over(series)).fill_null(value=True).cum_sum()
        )
        .group_by(*series, "spell", maintain_order=True)
        .agg(
            start_time=pl.col("event_time").first(),
            end_time=pl.col("event_time").last() + pl.duration(minutes=sensor_interval_minutes),
            value=value.first(),
            readings=pl.len().cast(pl.Int64),
        )
        .filter(pl.col("readings") >= min_readings, value != 0)
        .drop("spell")
        .collect()
    )


def find_silent_sensors(
    sensor_data: pl.DataFrame | pl.LazyFrame,
    *,
    sensor_interval_minutes: int,
    min_missing: int = 2,
) -> pl.DataFrame:
    """Return holes between two readings: sensor_id, sensor_type, start_time, end_time, missing.

    `sensor_data` has rows of `SensorData`. `missing` counts the readings that did not come.
    """
    series = ("sensor_id", "sensor_type")
    step = sensor_interval_minutes * 60
    apart = (pl.col("event_time") - pl.col("before")).dt.total_seconds()
    return (
        sensor_data.lazy()
        .sort(*series, "event_time")
        .with_columns(before=pl.col("event_time").shift().over(series))
        .with_columns(missing=(apart / step).round().cast(pl.Int64) - 1)
        .filter(pl.col("missing") >= min_missing)
        .select(
            *series,
            start_time=pl.col("before") + pl.duration(seconds=step),
            end_time=pl.col("event_time"),
            missing="missing",
        )
        .collect()
    )


def find_silent_meters(
    last_seen: pl.DataFrame | pl.LazyFrame, *, now: datetime, limit: timedelta
) -> pl.DataFrame:
    """Return meters without a reading for longer than `limit`: meter_id, last_seen, silent_hours.

    `last_seen` has meter_id and last_seen, one row per meter, null for one that never sent.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> last = pl.DataFrame({"meter_id": ["M1"], "last_seen": [noon - timedelta(hours=7)]})
    >>> find_silent_meters(last, now=noon, limit=timedelta(hours=6))["silent_hours"].to_list()
    [7.0]
    """
    silence = (pl.lit(now) - pl.col("last_seen")).dt.total_seconds() / 3600
    return (
        last_seen.lazy()
        .with_columns(silent_hours=silence)
        .filter(pl.col("last_seen").is_null() | (silence > limit / timedelta(hours=1)))
        .select("meter_id", "last_seen", "silent_hours")
        .sort("meter_id")
        .collect()
    )


def find_stuck_registers(
    consumption: pl.DataFrame | pl.LazyFrame,
    *,
    min_hours: float = STUCK_HOURS,
    habit_share: float = HABIT_SHARE,
) -> pl.DataFrame:
    """Return unusual standstill of registers: meter_id, start_time, end_time, intervals.

    `consumption` has rows of `MeterConsumption` over a week or more, for a meter's habit to show.
    """
    idle = (pl.col("energy_kwh") == 0) & (pl.col("quality") == "measured")
    runs = group_adjoining_intervals(
        consumption.lazy().with_columns(idle=idle), subject="meter_id", same=("idle",)
    )
    intervals, minutes = pl.col("intervals"), (pl.col("end_time") - pl.col("start_time"))
    otherwise_idle = intervals.filter("idle").sum().over("meter_id") - intervals
    otherwise = intervals.sum().over("meter_id") - intervals
    return runs.filter(
        pl.col("idle"),
        minutes.dt.total_minutes() >= min_hours * 60,
        otherwise_idle <= habit_share * otherwise,
    ).select("meter_id", "start_time", "end_time", "intervals")


def find_voltage_sags(
    sensor_data: pl.DataFrame | pl.LazyFrame,
    *,
    nominal: pl.DataFrame | pl.LazyFrame,
    sensor_interval_minutes: int,
    sag_share: float = SAG_SHARE,
) -> pl.DataFrame:
    """Return sags: sensor_id, start_time, end_time, lowest_v, nominal_v, readings.

    Args:
        sensor_data: Rows of `SensorData`.
        nominal: sensor_id, nominal_v (V, phase to neutral), as `list_sensor_voltages` returns them.
        sensor_interval_minutes: How often a sensor sends, minutes.
        sag_share: Share of the nominal voltage below which it sags.

    Returns:
        One row per episode, ordered by sensor_id and start_time; voltages in V.
    """
    step = pl.duration(minutes=sensor_interval_minutes)
    low = (
        sensor_data.lazy()
        .filter(pl.col("sensor_type") == "voltage")
        .join(nominal.lazy(), on="sensor_id", how="inner")
        .filter(pl.col("value") < sag_share * pl.col("nominal_v"))
        .sort("sensor_id", "event_time")
    )
    is_new = (pl.col("event_time") - pl.col("event_time").shift().over("sensor_id")) > 1.5 * step
    return (
        low.with_columns(spell=is_new.fill_null(value=True).cum_sum())
        .group_by("sensor_id", "spell", maintain_order=True)
        .agg(
            start_time=pl.col("event_time").first(),
            end_time=pl.col("event_time").last() + step,
            lowest_v=pl.col("value").min(),
            nominal_v=pl.col("nominal_v").first(),
            readings=pl.len().cast(pl.Int64),
        )
        .drop("spell")
        .collect()
    )


def find_late_arrivals(
    readings: pl.DataFrame | pl.LazyFrame,
    *,
    revisions: pl.DataFrame | pl.LazyFrame | None = None,
    slack: timedelta = ARRIVAL_SLACK,
) -> pl.DataFrame:
    """Return stretches of readings that later ones overtook, one row per meter and stretch.

    A reading is compared with the meter's own stream, not with the clock: a history that is landed
    years afterwards is not late, but a hole that is filled later is. A reading in `revisions` is
    not judged: it carries the arrival of the correction, not its own. Late readings within a day of
    each other are one stretch, whatever came in time between them: a source that sends every other
    reading late has one fault, not thousands.

    Args:
        readings: Rows of `MeterReadings`.
        revisions: Rows of `ReadingRevisions`; None if nothing was corrected.
        slack: By how much a later reading may arrive earlier.

    Returns:
        meter_id, start_time (first late reading), end_time (just after the last), readings (how
        many of the stretch were late), most_hours (by how much the worst one was).
    """
    series = ("meter_id", "reading_kind")
    arrived = pl.col("ingested_at")
    overtaken = arrived.cum_min(reverse=True).over(series)
    known = readings.lazy().select(*series, "event_time", "ingested_at")
    if revisions is not None:
        corrected = revisions.lazy().filter(pl.col("dataset") == "meter_readings")
        known = known.join(
            corrected.select(
                meter_id="subject_id", reading_kind="quantity", event_time="event_time"
            ),
            on=[*series, "event_time"],
            how="anti",
        )
    return (
        known.sort(*series, "event_time")
        .with_columns(late_by=arrived - overtaken)
        .filter(pl.col("late_by") > slack)
        .with_columns(stretch=_number_stretches(series))
        .group_by(*series, "stretch", maintain_order=True)
        .agg(
            start_time=pl.col("event_time").first(),
            end_time=pl.col("event_time").last() + pl.duration(microseconds=1),
            readings=pl.len().cast(pl.Int64),
            most_hours=pl.col("late_by").max().dt.total_seconds() / 3600,
        )
        .drop("stretch", "reading_kind")
        .collect()
    )


def _number_stretches(series: Sequence[str]) -> pl.Expr:
    """Return a number per stretch of rows in order of time that lie within STRETCH_GAP."""
    apart = pl.col("event_time") - pl.col("event_time").shift().over(series)
    return (apart > STRETCH_GAP).fill_null(value=True).cum_sum()


def summarise_corrections(revisions: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return stretches of corrected readings, one row per subject, quantity and stretch.

    `revisions` has rows of `ReadingRevisions`. Corrected readings within a day of each other are
    one stretch, from the first (`start_time`) to the last (`end_time` is just after it); `rows`
    counts the corrections, `deliveries` who brought them, `source` and `replaced_at` are the last
    one's, and `most` is the largest change, in the reading's unit.
    """
    change = (pl.col("new_value") - pl.col("old_value")).abs()
    series = ("subject_id", "quantity")
    return (
        revisions.lazy()
        .sort(*series, "event_time", "replaced_at")
        .with_columns(stretch=_number_stretches(series))
        .group_by(*series, "stretch", maintain_order=True)
        .agg(
            source=pl.col("source").sort_by("replaced_at", "source").last(),
            replaced_at=pl.col("replaced_at").max(),
            start_time=pl.col("event_time").min(),
            end_time=pl.col("event_time").max() + pl.duration(microseconds=1),
            rows=pl.len().cast(pl.Int64),
            deliveries=pl.struct("replaced_at", "source").n_unique().cast(pl.Int64),
            most=change.max(),
        )
        .drop("stretch")
        .collect()
    )


def find_repeated_readings(
    raw: pl.DataFrame | pl.LazyFrame, *, subject: str = "meter_id"
) -> pl.DataFrame:
    """Return instants that were sent more than once: subject_id, start_time, end_time, rows.

    `raw` has `subject` and event_time of every row as it was sent, before the keyed table took it
    in. One row per subject, from its first to its last repeat; `rows` counts the rows too many.
    """
    return (
        raw.lazy()
        .group_by(pl.col(subject).alias("subject_id"), "event_time")
        .agg(rows=pl.len().cast(pl.Int64) - 1)
        .filter(pl.col("rows") > 0)
        .group_by("subject_id")
        .agg(
            start_time=pl.col("event_time").min(),
            end_time=pl.col("event_time").max() + pl.duration(microseconds=1),
            rows=pl.col("rows").sum(),
        )
        .sort("subject_id")
        .collect()
    )


def group_adjoining_intervals(
    rows: pl.LazyFrame, *, subject: str, same: tuple[str, ...]
) -> pl.DataFrame:
    """Return runs of adjoining intervals that agree in `same`, ordered by subject and time.

    `rows` has rows of `MeterConsumption` with the columns `same`. The result has subject, same,
    start_time and end_time; `intervals` and `energy_kwh` are the
    run's count and sum.
    """
    end = pl.col("interval_start") + pl.duration(minutes=pl.col("interval_minutes"))
    differs = pl.any_horizontal(
        pl.col("interval_start") != pl.col("end").shift(),
        *(pl.col(c) != pl.col(c).shift() for c in same),
    ) | (pl.col(subject) != pl.col(subject).shift())
    return (
        rows.with_columns(end=end)
        .sort(subject, "interval_start")
        .with_columns(spell=differs.fill_null(value=True).cum_sum())
        .group_by("spell", maintain_order=True)
        .agg(
            pl.col(subject, *same).first(),
            start_time=pl.col("interval_start").first(),
            end_time=pl.col("end").last(),
            intervals=pl.len().cast(pl.Int64),
            energy_kwh=pl.col("energy_kwh").sum(),
        )
        .drop("spell")
        .collect()
    )
