"""Grid events: what happened on a feeder within an hour, as items that rules are made of.

Every threshold is absolute, or a quantile of the feeder's own past that ends where the UTC day
begins: no item depends on what came later, and a day has the same items whether it is computed
alone or in a range. Quantiles and not mean and deviation, because the past holds the very peaks and
faults that are sought.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

import polars as pl

from smartgrid_core.aggregates.feeder import mask_silent_hours
from smartgrid_core.alerts.decide import OPEN_AT
from smartgrid_core.contracts.event_items import FINDING_PREFIX
from smartgrid_core.contracts.events import GridEvents
from smartgrid_core.features.calendar import list_public_holidays
from smartgrid_core.time import DAY, HOUR, Window
from smartgrid_core.topology import list_feeder_ratings, list_sensor_voltages, map_nodes_to_feeders

LOAD_HISTORY = timedelta(days=28)
"""Four of every weekday; recent enough to follow the season."""

NIGHT_FROM = 22

HOUR_BANDS = ((6, "night"), (10, "morning"), (17, "midday"), (NIGHT_FROM, "evening"), (24, "night"))
"""Local hours before which a band ends: the two daily peaks of households stand in bands of their
own."""

TEMPERATURE_BANDS = ((0.0, "freezing"), (15.0, "cold"), (24.0, "mild"), (float("inf"), "hot"))
"""Degrees Celsius below which a band ends. Eurostat counts heating degree days up to 15 and cooling
degree days from 24 (Energy statistics, cooling and heating degree days, nrg_chdd)."""


@dataclass(frozen=True, slots=True)
class EventLimits:
    """Where an item begins."""

    voltage_band: float = 0.05
    """Share of the nominal voltage that an hour's mean may differ. EN 50160 allows 10 % at the
    customer; what a transformer loses of the band its customers lack."""
    interruption: float = 0.05
    """EN 50160: below 5 % of the nominal voltage supply is interrupted."""
    peak_quantile: float = 0.95
    """Of the past hours' load: an hour and a quarter a day, on average."""
    ramp_quantile: float = 0.95
    """Of the past changes from hour to hour; the same share below for falls."""
    least_history: timedelta = timedelta(days=7)
    """Fewer known hours make no quantile: the feeder has no peaks and ramps yet."""
    least_meter_share: float = 0.9
    """Below it meters are silent, and the load of the hour is unknown."""
    estimated_share: float = 0.05
    """Of the hour's energy."""


def find_grid_events(
    *,
    window: Window,
    topology: pl.DataFrame | pl.LazyFrame,
    load: pl.DataFrame | pl.LazyFrame,
    sensors: pl.DataFrame | pl.LazyFrame,
    timezone: ZoneInfo,
    country: str | None,
    weather: pl.DataFrame | pl.LazyFrame | None = None,
    exceedances: pl.DataFrame | pl.LazyFrame | None = None,
    alerts: pl.DataFrame | pl.LazyFrame | None = None,
    findings: pl.DataFrame | pl.LazyFrame | None = None,
    limits: EventLimits | None = None,
) -> pl.DataFrame:
    """Return rows of `GridEvents` for the window's whole UTC days, ordered by key.

    An hour without data from any meter or sensor of any feeder has no events. Inputs that are None
    add no items.

    Args:
        window: Whole UTC days.
        topology: Rows of `GridTopology`.
        load: Rows of `FeederLoad`, from LOAD_HISTORY before the window on.
        sensors: Rows of `SensorAggregates`.
        timezone: Whose clock and calendar the items are read from.
        country: ISO 3166 code whose holidays count; None for none.
        weather: Rows of `Weather`.
        exceedances: Rows of `LimitExceedances`.
        alerts: Rows of `Alerts`.
        findings: Rows of `ReadingFindings`.
        limits: Where an item begins; the usual limits for None.

    Returns:
        One row per feeder, hour and item.
    """
    limits = limits or EventLimits()
    nodes = map_nodes_to_feeders(topology)
    feeders = nodes.select("feeder_id").unique()
    known = feeders.join(load.lazy().collect(), on="feeder_id")
    sensor_hours = _select_window(sensors.lazy().rename({"hour_bucket": "hour_start"}), window)
    feeder_sensors = sensor_hours.join(nodes.rename({"node_id": "sensor_id"}), on="sensor_id")
    hours = (
        pl.concat(
            [
                _select_window(known.lazy(), window).select("hour_start"),
                feeder_sensors.select("hour_start"),
            ]
        )
        .unique()
        .join(feeders, how="cross")
    )
    parts = [
        *_find_clock_items(hours, timezone=timezone, country=country),
        *_find_voltage_items(feeder_sensors, topology=topology, limits=limits),
        *_find_meter_items(
            _select_window(known.lazy(), window),
            metered=_select_nodes("meter", topology=topology, nodes=nodes),
            limits=limits,
        ),
        *_find_load_items(
            known, ratings=list_feeder_ratings(topology), window=window, limits=limits
        ),
        _find_silent_sensors(
            feeder_sensors, placed=_select_nodes("sensor", topology=topology, nodes=nodes)
        ),
    ]
    if weather is not None:
        parts.append(_find_weather_items(_select_window(weather.lazy(), window), hours=hours))
    if exceedances is not None:
        parts.append(_find_exceedance_items(exceedances.lazy(), window=window))
    if alerts is not None:
        parts.append(_find_alert_items(alerts.lazy(), nodes=nodes, window=window))
    if findings is not None:
        parts.append(_find_finding_items(findings.lazy(), nodes=nodes, window=window))
    events = pl.concat(parts).join(hours, on=["feeder_id", "hour_start"], how="semi")
    return GridEvents.validate(events.unique().sort("feeder_id", "hour_start", "item"), cast=True)


def _select_window(rows: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """Return the rows whose `hour_start` lies in the window."""
    inside = pl.col("hour_start").is_between(window.start, window.end, closed="left")
    return rows.filter(inside).collect()


def _select_nodes(
    kind: str, *, topology: pl.DataFrame | pl.LazyFrame, nodes: pl.DataFrame
) -> pl.DataFrame:
    """Return the nodes of a kind below a feeder: node_id, feeder_id."""
    of_kind = topology.lazy().filter(pl.col("node_kind") == kind).select("node_id").collect()
    return nodes.join(of_kind, on="node_id", how="semi")


def _label_item(rows: pl.DataFrame, item: str | pl.Expr) -> pl.DataFrame:
    """Return the rows' feeder and hour with an item's name beside them."""
    named = pl.lit(item) if isinstance(item, str) else item
    return rows.select("feeder_id", "hour_start", item=named.cast(pl.String))


def _find_clock_items(
    hours: pl.DataFrame, *, timezone: ZoneInfo, country: str | None
) -> Iterator[pl.DataFrame]:
    """Yield the hour band and the kind of day, both local."""
    local = pl.col("hour_start").dt.convert_time_zone(str(timezone))
    read = hours.with_columns(hour=local.dt.hour(), day=local.dt.date())
    yield _label_item(read, _assign_band(pl.col("hour"), HOUR_BANDS))
    if hours.is_empty():
        return
    days = read["day"].unique().sort()
    free = list_public_holidays(days[0], days[-1], country=country)
    weekday = pl.col("day").dt.weekday()
    kind = (
        pl.when((weekday == 7) | pl.col("day").is_in(sorted(free)))
        .then(pl.lit("sunday_or_holiday"))
        .when(weekday == 6)
        .then(pl.lit("saturday"))
        .otherwise(pl.lit("workday"))
    )
    yield _label_item(read, kind)


def _assign_band(value: pl.Expr, bands: tuple[tuple[float, str], ...]) -> pl.Expr:
    """Return the name of the first band whose end lies above the value."""
    band = pl.lit(bands[-1][1])
    for end, name in reversed(bands[:-1]):
        band = pl.when(value < end).then(pl.lit(name)).otherwise(band)
    return band


def _find_voltage_items(
    feeder_sensors: pl.DataFrame, *, topology: pl.DataFrame | pl.LazyFrame, limits: EventLimits
) -> Iterator[pl.DataFrame]:
    """Yield outages and voltages outside the band, at any sensor of the feeder.

    The hour's mean is judged, which a single odd reading does not move.
    """
    volts = feeder_sensors.filter(pl.col("sensor_type") == "voltage").join(
        list_sensor_voltages(topology), on="sensor_id"
    )
    share = pl.col("avg_value") / pl.col("nominal_v")
    is_gone = pl.col("min_value") / pl.col("nominal_v") < limits.interruption
    yield _label_item(volts.filter(is_gone), "outage")
    yield _label_item(volts.filter(~is_gone, share < 1 - limits.voltage_band), "voltage_low")
    yield _label_item(volts.filter(share > 1 + limits.voltage_band), "voltage_high")


def _find_meter_items(
    load: pl.DataFrame, *, metered: pl.DataFrame, limits: EventLimits
) -> Iterator[pl.DataFrame]:
    """Yield silence and estimates; a feeder without data, while others have some, is out."""
    others = load.select("hour_start").unique()
    silent_feeders = (
        metered.select("feeder_id")
        .unique()
        .join(others, how="cross")
        .join(load, on=["feeder_id", "hour_start"], how="anti")
    )
    yield _label_item(silent_feeders, "outage")
    least = pl.col("expected_meters") * limits.least_meter_share
    yield _label_item(load.filter(pl.col("meters") < least), "meters_silent")
    estimated = load.filter(pl.col("estimated_share") > limits.estimated_share)
    yield _label_item(estimated, "readings_estimated")


def _find_load_items(
    load: pl.DataFrame, *, ratings: pl.DataFrame, window: Window, limits: EventLimits
) -> Iterator[pl.DataFrame]:
    """Yield peaks and ramps against the feeder's own past, peaks also against its rating.

    Args:
        load: Rows of `FeederLoad`, from LOAD_HISTORY before the window on.
        ratings: feeder_id, rating_kw.
        window: Whole UTC days.
        limits: Where an item begins.

    Returns:
        One frame per item.
    """
    known = (
        mask_silent_hours(load, least_share=limits.least_meter_share)
        .filter(pl.col("load_kw").is_not_null())
        .sort("feeder_id", "hour_start")
        .with_columns(
            change_kw=pl.when(
                pl.col("hour_start") - pl.col("hour_start").shift().over("feeder_id") == HOUR
            ).then(pl.col("load_kw") - pl.col("load_kw").shift().over("feeder_id")),
            day=pl.col("hour_start").dt.date(),
        )
    )
    usual = pl.concat(
        [
            _compute_load_limits(known, day=Window.of_day(day), limits=limits)
            for day in window.days()
        ]
    )
    judged = (
        _select_window(known.lazy(), window)
        .join(usual, on=["feeder_id", "day"], how="left")
        .join(ratings, on="feeder_id", how="left")
    )
    load_kw, change = pl.col("load_kw"), pl.col("change_kw")
    is_peak = (load_kw > pl.col("peak_kw")).fill_null(value=False)
    is_over = (load_kw >= pl.col("rating_kw")).fill_null(value=False)
    yield _label_item(judged.filter((load_kw > 0) & (is_peak | is_over)), "load_peak")
    yield _label_item(judged.filter(load_kw < 0), "reverse_flow")
    yield _label_item(judged.filter((change > pl.col("rise_kw")) & (change > 0)), "ramp_up")
    yield _label_item(judged.filter((change < pl.col("fall_kw")) & (change < 0)), "ramp_down")


def _compute_load_limits(known: pl.DataFrame, *, day: Window, limits: EventLimits) -> pl.DataFrame:
    """Return quantiles of every feeder's load and changes in the LOAD_HISTORY before the day."""
    past = known.filter(
        pl.col("hour_start").is_between(day.start - LOAD_HISTORY, day.start, closed="left")
    )
    change = pl.col("change_kw")
    return (
        past.group_by("feeder_id")
        .agg(
            hours=pl.len(),
            peak_kw=pl.col("load_kw").quantile(limits.peak_quantile, "linear"),
            rise_kw=change.quantile(limits.ramp_quantile, "linear"),
            fall_kw=change.quantile(1 - limits.ramp_quantile, "linear"),
        )
        .filter(pl.col("hours") >= limits.least_history / HOUR)
        .select("feeder_id", "peak_kw", "rise_kw", "fall_kw", day=pl.lit(day.start.date()))
    )


def _find_silent_sensors(feeder_sensors: pl.DataFrame, *, placed: pl.DataFrame) -> pl.DataFrame:
    """Return hours in which a sensor of the feeder sent less than half of its readings, or none.

    Only hours in which some sensor sent enough: when all are silent the line to them is down.
    """
    reporting = feeder_sensors.filter(pl.col("count") * 2 >= pl.col("expected_count"))
    missing = (
        reporting.select("hour_start")
        .unique()
        .join(placed.rename({"node_id": "sensor_id"}), how="cross")
        .join(reporting, on=["sensor_id", "hour_start"], how="anti")
    )
    return _label_item(missing, "sensor_silent")


def _find_weather_items(weather: pl.DataFrame, *, hours: pl.DataFrame) -> pl.DataFrame:
    """Return the band of the stations' mean temperature."""
    mean = weather.group_by("hour_start").agg(pl.col("temperature_c").mean()).drop_nulls()
    joined = hours.join(mean, on="hour_start")
    return _label_item(joined, _assign_band(pl.col("temperature_c"), TEMPERATURE_BANDS))


def _find_exceedance_items(exceedances: pl.LazyFrame, *, window: Window) -> pl.DataFrame:
    """Return the hours whose rating is more likely crossed than not."""
    likely = exceedances.filter(pl.col("probability") >= OPEN_AT)
    return _label_item(_select_window(likely, window), "limit_exceedance")


def _find_alert_items(alerts: pl.LazyFrame, *, nodes: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the hours in which an alert about a node of the feeder was opened."""
    opened = alerts.select(node_id="subject_id", hour_start=pl.col("opened_at").dt.truncate("1h"))
    return _label_item(_select_window(opened, window).join(nodes, on="node_id"), "alert")


def _find_finding_items(
    findings: pl.LazyFrame, *, nodes: pl.DataFrame, window: Window
) -> pl.DataFrame:
    """Return every hour that a finding on a meter or sensor of the feeder touches."""
    last = pl.max_horizontal(
        pl.col("end_time").dt.offset_by("-1us").dt.truncate("1h"),
        pl.col("start_time").dt.truncate("1h"),
    )
    spells = (
        findings.filter(pl.col("start_time") < window.end, pl.col("end_time") >= window.start - DAY)
        .join(nodes.lazy().rename({"node_id": "subject_id"}), on="subject_id")
        .select(
            "feeder_id",
            item=pl.lit(FINDING_PREFIX) + pl.col("kind"),
            hour_start=pl.datetime_ranges(
                pl.max_horizontal(pl.col("start_time").dt.truncate("1h"), pl.lit(window.start)),
                pl.min_horizontal(last, pl.lit(window.end)),
                "1h",
                time_zone="UTC",
                time_unit="us",
            ),
        )
        .explode("hour_start")
        .filter(pl.col("hour_start").is_not_null())
    )
    return _label_item(_select_window(spells, window), pl.col("item"))


def group_into_shifts(events: pl.DataFrame, *, timezone: ZoneInfo) -> pl.DataFrame:
    """Return rows of `GridEvents` by 8-hour shift; `hour_start` is the shift's first hour.

    Shifts begin at 6:00, 14:00 and 22:00 local time; a shift has every item that one of its hours
    has, and of the hour band and the kind of day that of its first hour. The shifts of a night in
    which the clock changes have 7 or 9 hours.
    """
    local = pl.col("hour_start").dt.convert_time_zone(str(timezone)).dt.replace_time_zone(None)
    shift = (local - pl.duration(hours=6)).dt.truncate("8h")
    clock = ["night", "morning", "midday", "evening", "workday", "saturday", "sunday_or_holiday"]
    cut = events.with_columns(shift=shift)
    first = pl.col("hour_start").min().over("feeder_id", "shift")
    return (
        cut.with_columns(first=first)
        .filter((pl.col("hour_start") == pl.col("first")) | ~pl.col("item").is_in(clock))
        .select("feeder_id", "item", hour_start="first")
        .unique()
        .sort("feeder_id", "hour_start", "item")
        .select(GridEvents.column_names())
    )
