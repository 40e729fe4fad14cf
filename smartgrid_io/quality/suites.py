"""What each table's rows are expected to be: one function per suite, in Great Expectations' terms.

A suite judges the figures of `smartgrid_core.quality`. It is data: `verdicts.py` judges by it with
Polars, `pages.py` hands it to Great Expectations. Limits are constants that state their reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from smartgrid_core import quality

BAND_PU = (0.9, 1.1)
"""EN 50160, low and medium voltage: 95 % of a week's 10-minute means lie within +-10 %. Ours are
means over the sensor's interval, 15 minutes by default, and the window is what the run covers."""

EXTREME_PU = (0.85, 1.1)
"""EN 50160: all of them lie within +10/-15 %."""

NORMAL_HZ = (49.5, 50.5)
"""EN 50160, synchronous grid: 50 Hz +-1 % during 99.5 % of a year."""

EXTREME_HZ = (47.0, 52.0)
"""EN 50160, synchronous grid: +4/-6 % at all times."""

MOST_A = 2_000.0
"""The low-voltage side of a 1,250 kVA transformer carries 1,800 A; none of ours is larger."""

MOST_KW = 10_000.0
"""A medium-voltage feeder rarely carries more; W sent as kW goes far beyond."""

MOST_METER_KW = 1_000.0
"""The largest metered low-voltage connection; beyond it is a slip of unit or a reset's end."""

MOST_SCALE = 100.0
"""W for kW or mA for A is a factor of 1000; no load is 100 times its own 90 % quantile."""

MOST_GAP_INTERVALS = 1.5
"""One missed reading makes 2; half an interval allows for jitter."""

SENSOR_STANDSTILL_H = 2.0
"""A 15-minute mean of voltage, current or frequency is never the same for hours."""

METER_STANDSTILL_H = 24.0
"""An empty flat's fridge moves the register within a day; a PV register rests at night only."""

SENSOR_SILENCE_H = 2.0
"""A sensor reports every few minutes; two hours allow for a gateway's restart."""

METER_SILENCE_H = 8.0
"""Head-ends collect meters at intervals and re-send gaps at 04:00."""

FEATURE_SILENCE_H = 2.0
"""Features of a day are made shortly after it begins."""

MOST_ESTIMATED = 0.05
"""Settlement asks for at least 95 % measured energy."""

EVERY, MOST, NEARLY_ALL = 1.0, 0.95, 0.995


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation, as Great Expectations would write it down.

    Attributes:
        type: Its name there, such as `expect_column_values_to_be_between`.
        kwargs: Its parameters there.
        notes: The reason, shown in the Data Docs.
        severity: `info` is shown and fails no check, `warning` does.
    """

    type: str
    kwargs: Mapping[str, Any]
    notes: str
    severity: str = "warning"


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of expectations, the figures it reads, and how an example row is named."""

    name: str
    figures: Callable[..., pl.DataFrame]
    expectations: Callable[[], list[Expectation]]
    named_by: tuple[str, ...]


def _expect_within(
    column: str,
    low: float | None,
    high: float | None,
    why: str,
    *,
    mostly: float = EVERY,
    severity: str = "warning",
) -> Expectation:
    """Return the expectation that a column lies between two bounds, both included.

    Args:
        column: The column, in its own unit.
        low: Lower bound; None for none.
        high: Upper bound; None for none.
        why: The reason, shown in the Data Docs.
        mostly: Share of the rows that must lie inside, 0 to 1.
        severity: `info` is shown and fails no check, `warning` does.
    """
    return Expectation(
        "expect_column_values_to_be_between",
        {"column": column, "min_value": low, "max_value": high, "mostly": mostly},
        why,
        severity,
    )


def _expect_sound_table(*key: str) -> list[Expectation]:
    return [
        Expectation(
            "expect_table_row_count_to_be_between",
            {"min_value": 1},
            "An empty window is silence.",
        ),
        Expectation(
            "expect_compound_columns_to_be_unique",
            {"column_list": list(key)},
            "One row per key.",
        ),
        *(
            Expectation(
                "expect_column_values_to_not_be_null",
                {"column": name},
                "A key without a part names nothing.",
            )
            for name in key
        ),
    ]


def _expect_electrical_ranges() -> list[Expectation]:
    return [
        _expect_within("voltage_pu", *BAND_PU, "EN 50160: 95 % within +-10 %.", mostly=MOST),
        _expect_within("voltage_pu", *EXTREME_PU, "EN 50160: all within +10/-15 %."),
        _expect_within(
            "voltage_pu",
            BAND_PU[0],
            None,
            "EN 50160: a voltage below 90 % is a dip; indicative, not a limit.",
            severity="info",
        ),
        _expect_within("current_a", 0.0, MOST_A, "A, magnitude of a low-voltage current."),
        _expect_within("power_kw", -MOST_KW, MOST_KW, "kW, consumption positive."),
        _expect_within(
            "frequency_hz", *NORMAL_HZ, "EN 50160: 99.5 % within +-1 %.", mostly=NEARLY_ALL
        ),
        _expect_within("frequency_hz", *EXTREME_HZ, "EN 50160: all within +4/-6 %."),
    ]


def _expect_sensor_data() -> list[Expectation]:
    return [
        *_expect_sound_table("sensor_id", "sensor_type", "event_time"),
        *_expect_electrical_ranges(),
        _expect_within("scale", None, MOST_SCALE, "A thousandfold of its usual size: unit slip."),
        _expect_within(
            "gap_intervals", None, MOST_GAP_INTERVALS, "No reading is missing in between."
        ),
        _expect_within("standstill_hours", None, SENSOR_STANDSTILL_H, "A value that never moves."),
        _expect_within("silence_hours", None, SENSOR_SILENCE_H, "Every sensor is still sending."),
    ]


def _expect_meter_readings() -> list[Expectation]:
    return [
        *_expect_sound_table("meter_id", "reading_kind", "event_time"),
        _expect_within(
            "reading", 0.0, None, "kWh; neither a register nor an interval is negative."
        ),
        _expect_within(
            "register_step_kwh", 0.0, None, "A register never falls: reset, step, or zero."
        ),
        _expect_within("register_kw", None, MOST_METER_KW, "More than a connection can draw."),
        _expect_within(
            "gap_intervals", None, MOST_GAP_INTERVALS, "No reading is missing in between."
        ),
        _expect_within(
            "standstill_hours", None, METER_STANDSTILL_H, "A register that never moves."
        ),
        _expect_within("silence_hours", None, METER_SILENCE_H, "Every meter is still sending."),
    ]


def _expect_sensor_aggregates() -> list[Expectation]:
    return [
        *_expect_sound_table("sensor_id", "sensor_type", "hour_bucket"),
        *_expect_electrical_ranges(),
        _expect_within("completeness", 0.75, None, "At least 3 of 4 readings.", mostly=0.98),
        _expect_within("completeness", None, 1.0, "No hour has more readings than were sent."),
        _expect_within("mean_outside", None, 0.0, "The mean lies between minimum and maximum."),
        _expect_within(
            "silence_hours", None, SENSOR_SILENCE_H, "Every sensor's hours are up to date."
        ),
    ]


def _expect_meter_consumption() -> list[Expectation]:
    return [
        *_expect_sound_table("meter_id", "interval_start"),
        _expect_within("mean_kw", 0.0, MOST_METER_KW, "kW, within what a connection can draw."),
        _expect_within(
            "day_coverage", 0.95, None, "Nearly all of the day has energy.", mostly=0.98
        ),
        _expect_within("day_coverage", None, 1.001, "No interval is counted twice."),
        _expect_within(
            "silence_hours", None, METER_SILENCE_H, "Every meter's energy is up to date."
        ),
        Expectation(
            "expect_column_mean_to_be_between",
            {"column": "estimated", "max_value": MOST_ESTIMATED},
            "At least 95 % of the intervals are measured.",
        ),
    ]


def _expect_feeder_load() -> list[Expectation]:
    return [
        *_expect_sound_table("feeder_id", "hour_start"),
        _expect_within("load_kw", -MOST_KW * 10, MOST_KW * 10, "kW, net; the whole grid included."),
        _expect_within("day_coverage", 0.999, 1.001, "Every feeder has every hour, once."),
        _expect_within(
            "meter_share", 0.9, None, "Few of a feeder's meters are silent.", mostly=MOST
        ),
        _expect_within("meter_share", None, 1.0, "No more meters report than hang on the feeder."),
        _expect_within(
            "estimated_share", None, 0.2, "Few of an hour's energy is estimated.", mostly=MOST
        ),
        _expect_within(
            "grid_residual_kw", -0.001, 0.001, "The grid is the sum of its feeders, to 1 W."
        ),
        _expect_within(
            "silence_hours", None, METER_SILENCE_H, "Every feeder's load is up to date."
        ),
    ]


def _expect_load_features() -> list[Expectation]:
    return [
        *_expect_sound_table("feeder_id", "issue_time", "hour_start"),
        _expect_within("lead_hours", 0.0, 168.0, "Hours ahead of the issue time, a week at most."),
        _expect_within(
            "lead_residual_h", 0.0, 0.0, "The lead is the target hour minus the issue time."
        ),
        _expect_within("circle_residual", -1e-6, 1e-6, "The hour of day lies on the unit circle."),
        _expect_within("mean_outside_kw", None, 0.0, "A mean lies between minimum and maximum."),
        _expect_within("level_kw", 0.0, MOST_KW * 10, "kW, the mean size of the load."),
        _expect_within("temperature_1d_c", -50.0, 60.0, "Degrees Celsius, at ground level."),
        _expect_within("irradiance_1d_wm2", 0.0, 1500.0, "W/m2; the sun above the air sends 1361."),
        _expect_within(
            "known_share",
            0.9,
            None,
            "Four weeks of history tell every feature; a young grid has less.",
            mostly=MOST,
            severity="info",
        ),
        _expect_within(
            "silence_hours", None, FEATURE_SILENCE_H, "Every feeder has today's features."
        ),
    ]


def get_suite(name: str, *, register_capacity_kwh: float) -> Suite:
    """Return the suite of a table. Raises KeyError for a table that has none."""
    suites = (
        Suite(
            "sensor_data",
            quality.add_sensor_figures,
            _expect_sensor_data,
            ("sensor_id", "sensor_type", "event_time", "value"),
        ),
        Suite(
            "meter_readings",
            partial(quality.add_meter_figures, capacity_kwh=register_capacity_kwh),
            _expect_meter_readings,
            ("meter_id", "event_time", "reading"),
        ),
        Suite(
            "sensor_aggregates",
            quality.add_aggregate_figures,
            _expect_sensor_aggregates,
            ("sensor_id", "sensor_type", "hour_bucket", "avg_value"),
        ),
        Suite(
            "meter_consumption",
            quality.add_consumption_figures,
            _expect_meter_consumption,
            ("meter_id", "interval_start"),
        ),
        Suite(
            "load_features",
            quality.add_feature_figures,
            _expect_load_features,
            ("feeder_id", "issue_time", "hour_start"),
        ),
        Suite(
            "feeder_load",
            quality.add_feeder_figures,
            _expect_feeder_load,
            ("feeder_id", "hour_start"),
        ),
    )
    return {suite.name: suite for suite in suites}[name]
