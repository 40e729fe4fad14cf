"""Figures that the data-quality suites judge: gaps, silence, standstill, completeness.

Every `add_..._figures` takes the rows of one contract and returns the same rows with figures
beside them; it decides nothing. The suites hold the limits, the asset checks decide what blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import dataframely as dy
import polars as pl

NOMINAL_V = (
    120.0,
    230.0,
    *(1000 * phase_to_phase / 3**0.5 for phase_to_phase in (6, 10, 15, 20, 35, 66, 110, 220, 400)),
)
"""Declared voltages, phase to neutral (IEC 60038). They lie so far apart that a sensor's median
tells which one is meant."""

UNIT_COLUMNS = {
    "current": "current_a",
    "power": "power_kw",
    "frequency": "frequency_hz",
}
"""A sensor's value under the name that carries its unit."""

SCALE_FLOOR = 0.5
"""kW or A. A plant that stands still most of the time has no scale of its own to slip from."""

ROLLOVER_EDGE = 0.1
"""A register that falls from above 90 % of its capacity to below 10 % has rolled over."""

FLOAT_SLACK = 1e-9
"""A mean of equal values may exceed them by rounding; relative to the value."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One expectation that the rows do not meet."""

    expectation: str
    """What was expected, in words."""
    column: str | None
    """The column that it is about; None for the whole row."""
    observed: str
    """What the rows hold instead."""
    unexpected_count: int
    """In how many rows."""
    examples: tuple[str, ...] = ()
    """The first of these rows, in words."""
    severity: str = "warning"
    """"error", "warning", or "info", which fails nothing."""


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What a data-quality suite found in a table's rows."""

    suite: str
    """The suite's name."""
    passed: bool
    """Whether every expectation but those of severity "info" was met."""
    rows: int
    """How many rows were judged."""
    failed: tuple[Violation, ...]
    """The expectations that were not met."""
    docs_link: str
    """Leads to the page of this run."""


def find_contract_violations(
    schema: type[dy.Schema], rows: pl.DataFrame, *, examples: int = 5
) -> list[Violation]:
    """Return every rule of the contract that rows break, the first bad rows named; columns first.

    A missing column or a wrong dtype is one violation, and then no rows are looked at.
    """
    expected = schema.create_empty().schema
    wrong = [
        Violation(
            expectation=f"{name} is {dtype}",
            column=name,
            observed=str(rows.schema[name]) if name in rows.columns else "no such column",
            unexpected_count=rows.height,
            severity="error",
        )
        for name, dtype in expected.items()
        if rows.schema.get(name) != dtype
    ]
    if wrong:
        return wrong
    _, failure = schema.filter(rows)
    if not len(failure):
        return []
    invalid = failure.invalid()
    key = schema.primary_key()
    named = [describe_row(row) for row in invalid.select(key).head(examples).iter_rows(named=True)]
    return [
        Violation(
            expectation=rule.replace("|", " "),
            column=rule.partition("|")[0] if "|" in rule else None,
            observed=f"{count} of {rows.height} rows break it",
            unexpected_count=count,
            examples=tuple(named),
            severity="error",
        )
        for rule, count in sorted(failure.counts().items())
    ]


def describe_row(row: dict[str, object]) -> str:
    """Return the row as one line of text.

    >>> describe_row({"sensor_id": "S1", "event_time": datetime(2026, 3, 1, 0, 15)})
    'sensor_id=S1 event_time=2026-03-01T00:15:00'
    """
    return " ".join(
        f"{name}={value.isoformat() if isinstance(value, datetime) else value}"
        for name, value in row.items()
    )


def add_sensor_figures(readings: pl.DataFrame, *, at: datetime) -> pl.DataFrame:
    """Return rows of `SensorData` in order, with their figures.

    `voltage_pu`: over the declared voltage that is nearest to the sensor's median, 1 is nominal.
    `current_a`, `power_kw`, `frequency_hz`: the value by its quantity.
    `gap_intervals`: time since the series' previous reading, in its usual (median) intervals.
    `standstill_hours`: how long the same value other than 0 has been repeated, h.
    `scale`: |value| over the 90 % quantile of the series' |value|; 1000 for W sent as kW.
    `silence_hours`: in a series' last row, how long before `at` it was sent, h.
    """
    series = ["sensor_id", "sensor_type"]
    size = pl.col("value").abs()
    return (
        _sort_series(readings, series=series, time="event_time")
        .with_columns(
            *split_by_unit("value", series=series),
            _measure_gap(series, time="event_time"),
            _measure_standstill("value", time="event_time"),
            _measure_silence(time="event_time", at=at),
            scale=size / size.quantile(0.9).over(series).clip(lower_bound=SCALE_FLOOR),
        )
        .drop("_first", "_last")
    )


def add_meter_figures(readings: pl.DataFrame, *, at: datetime, capacity_kwh: float) -> pl.DataFrame:
    """Return rows of `MeterReadings` in order, with their figures.

    A register's figures are null in rows of intervals, and the other way round.

    `register_step_kwh`: energy since the meter's previous register reading, kWh, a rollover at
    `capacity_kwh` counted through; negative when the register fell.
    `register_kw`: the same as mean power, kW. `interval_kwh`: an interval reading's energy.
    `gap_intervals`, `standstill_hours`, `silence_hours` as for sensors; a register stands still
    while nothing is drawn, so that its zero step is what is timed.
    """
    series = ["meter_id", "reading_kind"]
    register = pl.col("reading_kind") == "register"
    step = pl.col("reading").diff()
    before = pl.col("reading").shift()
    rolled = (
        (before > capacity_kwh * (1 - ROLLOVER_EDGE))
        & (before <= capacity_kwh)
        & (pl.col("reading") < capacity_kwh * ROLLOVER_EDGE)
        & (pl.col("reading") >= 0)
    )
    hours = pl.col("event_time").diff().dt.total_seconds(fractional=True) / 3600
    return (
        _sort_series(readings, series=series, time="event_time")
        .with_columns(
            _measure_gap(series, time="event_time"),
            pl.when(register).then(_measure_standstill("reading", time="event_time")),
            _measure_silence(time="event_time", at=at),
            pl.when(~register).then("reading").alias("interval_kwh"),
            register_step_kwh=pl.when(register & ~pl.col("_first")).then(
                pl.when(rolled).then(step + capacity_kwh).otherwise(step)
            ),
        )
        .with_columns(register_kw=pl.col("register_step_kwh") / hours)
        .drop("_first", "_last")
    )


def add_aggregate_figures(hours: pl.DataFrame, *, at: datetime) -> pl.DataFrame:
    """Return rows of `SensorAggregates` with the mean by its unit and their figures.

    `completeness`: readings received over readings expected, null for an hour that is not over at
    `at`. `mean_outside`: by how much the mean lies outside [min, max]; 0 or less when it does not.
    `silence_hours` counts from the hour's end.
    """
    series = ["sensor_id", "sensor_type"]
    mean = pl.col("avg_value")
    slack = mean.abs() * FLOAT_SLACK
    return (
        _sort_series(hours, series=series, time="hour_bucket")
        .with_columns(
            *split_by_unit("avg_value", series=series),
            _measure_silence(time=pl.col("hour_bucket") + pl.duration(hours=1), at=at),
            completeness=pl.when(
                pl.col("hour_bucket") + pl.duration(hours=1) <= _to_instant(at)
            ).then(pl.col("count") / pl.col("expected_count")),
            mean_outside=pl.max_horizontal(pl.col("min_value") - mean, mean - pl.col("max_value"))
            - slack,
        )
        .drop("_first", "_last")
    )


def add_consumption_figures(intervals: pl.DataFrame, *, at: datetime) -> pl.DataFrame:
    """Return rows of `MeterConsumption` with their figures.

    `mean_kw`: power over the interval, kW. `estimated`: 1 for an estimate, else 0.
    `day_coverage`: share of the UTC day that the meter's intervals cover, null until it is over.
    `silence_hours` counts from the interval's end.
    """
    length = pl.duration(minutes=pl.col("interval_minutes"))
    return (
        _sort_series(intervals, series=["meter_id"], time="interval_start")
        .with_columns(
            _measure_silence(time=pl.col("interval_start") + length, at=at),
            mean_kw=pl.col("energy_kwh") * 60 / pl.col("interval_minutes"),
            estimated=pl.col("is_estimated").cast(pl.Float64),
            day_coverage=compute_day_coverage(
                "meter_id",
                start="interval_start",
                hours=pl.col("interval_minutes") / 60,
                at=at,
            ),
        )
        .drop("_first", "_last")
    )


def add_feeder_figures(load: pl.DataFrame, *, at: datetime) -> pl.DataFrame:
    """Return rows of `FeederLoad` with their figures.

    `day_coverage`: the share of the UTC day's hours that the feeder has, null until it is over.
    `meter_share`: meters that reported over those that the topology expects. `grid_residual_kw`: in
    rows of "grid", its load minus the sum of all feeders, kW. `silence_hours` counts from the
    hour's end.
    """
    is_grid = pl.col("feeder_id") == "grid"
    feeders = pl.col("load_kw").filter(~is_grid).sum().over("hour_start")
    return (
        _sort_series(load, series=["feeder_id"], time="hour_start")
        .with_columns(
            _measure_silence(time=pl.col("hour_start") + pl.duration(hours=1), at=at),
            day_coverage=compute_day_coverage(
                "feeder_id",
                start="hour_start",
                hours=pl.col("hour_start").is_not_null().cast(pl.Float64),
                at=at,
            ),
            meter_share=pl.col("meters") / pl.col("expected_meters"),
            grid_residual_kw=pl.when(is_grid).then(pl.col("load_kw") - feeders),
        )
        .drop("_first", "_last")
    )


def add_feature_figures(features: pl.DataFrame, *, at: datetime) -> pl.DataFrame:
    """Return rows of `LoadFeatures` with their figures.

    `lead_residual_h`: by how much `lead_hours` misses hour_start - issue_time, h.
    `circle_residual`: by how much (hour_sin, hour_cos) misses the unit circle.
    `mean_outside_kw`: by how much the mean of the last 24 hours lies outside their extremes, kW;
    0 or less when it does not.
    `known_share`: the share of the row's load features that are known.
    `silence_hours` counts from a day after the feeder's last issue time.
    """
    lead = (pl.col("hour_start") - pl.col("issue_time")).dt.total_seconds(fractional=True) / 3600
    load_columns = [name for name in features.columns if name.endswith("_kw")]
    is_known = [pl.col(name).is_not_null() for name in load_columns]
    target = pl.col("load_kw").is_not_null()
    mean = pl.col("mean_24h_kw")
    return (
        _sort_series(features, series=["feeder_id"], time="issue_time")
        .with_columns(
            _measure_silence(time=pl.col("issue_time") + pl.duration(days=1), at=at),
            lead_residual_h=pl.col("lead_hours") - lead,
            circle_residual=pl.col("hour_sin") ** 2 + pl.col("hour_cos") ** 2 - 1,
            mean_outside_kw=pl.max_horizontal(
                pl.col("min_24h_kw") - mean, mean - pl.col("max_24h_kw")
            )
            - mean.abs() * FLOAT_SLACK,
            known_share=(pl.sum_horizontal(is_known) - target) / (len(is_known) - 1),
        )
        .drop("_first", "_last")
    )


def compute_day_coverage(series: str, *, start: str, hours: pl.Expr, at: datetime) -> pl.Expr:
    """Return the share of a UTC day that a series' rows cover; null until the day is over.

    Args:
        series: The column that names the series.
        start: The column with the start of a row's interval, UTC.
        hours: Length of a row's interval, h.
        at: The instant up to which data should reach, UTC.

    Returns:
        Float64, 0 to 1, the same in every row of a series and day.
    """
    day = pl.col(start).dt.truncate("1d")
    return pl.when(day + pl.duration(days=1) <= _to_instant(at)).then(
        hours.sum().over(series, day) / 24
    )


def _to_instant(at: datetime) -> pl.Expr:
    return pl.lit(at).dt.cast_time_unit("us")


def split_by_unit(value: str, *, series: Sequence[str]) -> list[pl.Expr]:
    """Return one column per quantity, named with its unit, null in the rows of other quantities."""
    is_voltage = pl.col("sensor_type") == "voltage"
    usual = pl.col(value).median().over(series)
    return [
        pl.when(is_voltage).then(pl.col(value) / _find_declared_voltage(usual)).alias("voltage_pu"),
        *(
            pl.when(pl.col("sensor_type") == quantity).then(pl.col(value)).alias(column)
            for quantity, column in UNIT_COLUMNS.items()
        ),
    ]


def _find_declared_voltage(voltage: pl.Expr) -> pl.Expr:
    """Return the nearest of NOMINAL_V, by ratio, V."""
    nearest = pl.lit(NOMINAL_V[0])
    for lower, upper in pairwise(NOMINAL_V):
        nearest = pl.when(voltage > (lower * upper) ** 0.5).then(upper).otherwise(nearest)
    return nearest


def _sort_series(rows: pl.DataFrame, *, series: Sequence[str], time: str) -> pl.DataFrame:
    """Return rows by series and time; `_first` and `_last` mark where a series begins and ends."""
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in series)
    return (
        rows.sort(*series, time)
        .with_columns(_first=~same.fill_null(False))
        .with_columns(_last=pl.col("_first").shift(-1, fill_value=True))
    )


def _measure_gap(series: Sequence[str], *, time: str) -> pl.Expr:
    """Return the time since the series' previous row, in its usual (median) intervals."""
    gap = pl.when(~pl.col("_first")).then(
        pl.col(time).diff().dt.total_microseconds().cast(pl.Float64)
    )
    return (gap / gap.median().over(series)).alias("gap_intervals")


def _measure_standstill(value: str, *, time: str) -> pl.Expr:
    """Return how long the same value other than 0 has been repeated, h."""
    changed = pl.col("_first") | pl.col(value).ne_missing(pl.col(value).shift())
    since = pl.when(changed).then(pl.col(time)).forward_fill()
    hours = (pl.col(time) - since).dt.total_seconds(fractional=True) / 3600
    return pl.when(pl.col(value) != 0).then(hours).alias("standstill_hours")


def _measure_silence(*, time: str | pl.Expr, at: datetime) -> pl.Expr:
    """Return how long before `at` a series' last row was sent, h; null in other rows."""
    sent = pl.col(time) if isinstance(time, str) else time
    hours = (_to_instant(at) - sent).dt.total_seconds(fractional=True) / 3600
    return pl.when("_last").then(hours).alias("silence_hours")
