"""The daily asset of what is out of place at sensors and meters, judged by what came before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
import dataframely as dy
import polars as pl

from smartgrid_assets.domains import ANOMALIES, daily_asset
from smartgrid_assets.partitions import MINED_DAYS, follow_closed_days, get_run_window
from smartgrid_core.contracts.aggregates import MeterConsumption
from smartgrid_core.contracts.anomalies import (
    Anomalies,
    AnomalyDays,
    AnomalyScores,
    AnomalyStates,
)
from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import SensorData
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import DAY, HOUR, Window, midnight
from smartgrid_ml.mining.anomalies import grid_inputs
from smartgrid_ml.mining.anomalies.detect import HISTORY_DAYS, Detection, detect
from smartgrid_ml.mining.anomalies.readings_matrix import list_judged_series
from smartgrid_ml.mining.anomalies.report import format_top_list, plot_worst_anomaly
from smartgrid_ml.mining.plots import embed_figure

KEY = Anomalies.primary_key()

SHOWN_DAYS = 14
"""How far back the picture of an anomaly reaches."""

REBUILT_FROM_DAYS = HISTORY_DAYS + 7
"""A day whose yesterday is not known is judged by so many days before it, read again."""

FOLLOWING_DAYS = 7
"""Days behind a run that are judged again: what is told of them may have begun within it."""

OLD_STATE_EVERY = 7
"""Of the days before the newest every seventh keeps its state: a late day that has none is judged
from the last one before it, with at most six days more to read."""

STATES_KEPT_DAYS = 60
"""A state is looked for so far back as a day is read again; what is older serves nobody."""

DAYS_AT_ONCE = 7
"""Days that are held in memory together."""


@dataclass(frozen=True, slots=True)
class _Family:
    """One sort of subject: where its readings lie and how they become series."""

    subject_kind: str
    source: type[dy.Schema]
    step: timedelta
    readings: Callable[[pl.LazyFrame], pl.DataFrame]
    groups: Callable[[list[str]], pl.DataFrame]
    limits: Callable[[list[str]], pl.DataFrame]


@daily_asset(
    ANOMALIES,
    table=Anomalies,
    deps=["sensor_data", "meter_consumption", "grid_topology", "weather"],
    automation_condition=follow_closed_days("sensor_data", "meter_consumption"),
    pool=MINED_DAYS,
    kinds={"polars", "parquet", "postgres"},
)
def anomalies(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """One row per series and stretch of time in which its values are anomalous.

    A series is a sensor's quantity or a meter; what is usual for it depends on hour, kind of day,
    weather and neighbours. A partition is one UTC day.

    A day is judged by the state that the day before left in the lake. If there is none, the last
    one within six weeks is carried on, and the days without readings in between are judged as well;
    else six weeks are read again. A day that is computed again changes what the days after it
    remember: they are judged again, too, as far as an anomaly may last. States weigh more than all
    else in the lake: those of the newest days are kept, and of those before every seventh.
    """
    run = get_run_window(context)
    window = _find_affected_window(run, known=lake.days(AnomalyScores))
    families = _build_families(lake.scan(GridTopology).collect(), settings)
    since = _find_first_touched(lake, warehouse, window=window)
    for part in window.parts(days=DAYS_AT_ONCE):
        detections = {
            family.subject_kind: _judge_family(lake, family, window=part, settings=settings)
            for family in families
        }
        _write_detections(lake, detections, window=part)
    since = min(since, _find_first_touched(lake, warehouse, window=window))
    _forget_states(lake, run=run, newest_kept=settings.anomaly_state_days)
    rows = _publish_anomalies(lake, warehouse, span=Window(since, window.end))
    here = rows.join(_read_anomaly_keys(lake, window=run), on=KEY, how="semi")
    scores = lake.scan(AnomalyScores, window=run)
    shown = lake.scan(AnomalyScores, window=run.widened(before=SHOWN_DAYS * DAY))
    return dg.MaterializeResult(metadata=_describe_anomalies(here, scores, shown))


def _find_affected_window(run: Window, *, known: Sequence[date]) -> Window:
    """The run's days, those before that nobody has judged yet, and those after that remember them.

    ``known``: days that were judged. Without any in the six weeks before, it begins with the run.
    """
    days = list(run.days())
    first, last = days[0], days[-1]
    before = [day for day in known if timedelta(0) < first - day <= REBUILT_FROM_DAYS * DAY]
    behind = last + FOLLOWING_DAYS * DAY
    after = [day for day in known if last < day <= behind]
    return Window.of_days(max(before) + DAY if before else first, max([last, *after]))


def _build_families(topology: pl.DataFrame, settings: Settings) -> list[_Family]:
    step = grid_inputs.choose_sensor_step(settings.sensor_interval_minutes)
    sensor_limits, meter_groups = (
        grid_inputs.build_sensor_limits(topology),
        grid_inputs.group_meters(topology),
    )
    return [
        _Family(
            "sensor",
            SensorData,
            step,
            lambda rows: grid_inputs.average_sensor_readings(rows, step=step),
            grid_inputs.group_sensors,
            lambda _: sensor_limits,
        ),
        _Family(
            "meter",
            MeterConsumption,
            max(timedelta(minutes=settings.meter_interval_minutes), HOUR),
            grid_inputs.sum_meter_energy,
            lambda _: meter_groups,
            grid_inputs.build_meter_limits,
        ),
    ]


def _judge_family(
    lake: Lake, family: _Family, *, window: Window, settings: Settings
) -> Detection | None:
    """What is found in the window, with the states of its days; None without readings.

    Args:
        lake: Where readings, weather and states lie.
        family: The sort of subject that is judged.
        window: The UTC days that are judged.
        settings: Timezone, country and intervals.
    """
    state = _read_state_before(lake, family.subject_kind, window=window)
    if state is None:
        past = Window(window.start - REBUILT_FROM_DAYS * DAY, window.start)
        rebuilt = _detect_family(lake, family, window=past, settings=settings)
        state = None if rebuilt is None else rebuilt.states
    since = window.start if state is None else midnight(state["day"][0]) + DAY
    return _detect_family(
        lake,
        family,
        window=Window(since, window.end),
        settings=settings,
        state=state,
        every_state=True,
    )


def _detect_family(
    lake: Lake,
    family: _Family,
    *,
    window: Window,
    settings: Settings,
    state: pl.DataFrame | None = None,
    every_state: bool = False,
) -> Detection | None:
    """What is found in the window, with states; None without readings.

    Args:
        lake: Where readings, weather and states lie.
        family: The sort of subject that is judged.
        window: The UTC days that are judged.
        settings: Timezone, country and intervals.
        state: What the last judged day remembers; None to begin without a past.
        every_state: Whether the state of every day is returned, or of the last one only.

    Returns:
        The detection; None for days without readings.
    """
    readings = family.readings(lake.scan(family.source, window=window))
    if readings.is_empty():
        return None
    series = readings["series"].unique().to_list()
    names = sorted({*series, *list_judged_series(state)})
    return detect(
        readings,
        step=family.step,
        timezone=settings.timezone,
        country=settings.country,
        context=grid_inputs.build_weather_context(lake.scan(Weather, window=window)),
        groups=family.groups(names),
        limits=family.limits(names),
        units=grid_inputs.look_up_units(names),
        state=state,
        every_state=every_state,
    )


def _read_state_before(lake: Lake, subject_kind: str, *, window: Window) -> pl.DataFrame | None:
    """The newest state of the six weeks before; the states of one day at a time are read."""
    for back in range(1, REBUILT_FROM_DAYS + 1):
        day = window.start - back * DAY
        states = lake.scan(AnomalyStates, window=Window(day, day + DAY))
        newest = states.filter(pl.col("subject_kind") == subject_kind).collect()
        if newest.height:
            return newest.drop("subject_kind")
    return None


def _write_detections(
    lake: Lake, detections: dict[str, Detection | None], *, window: Window
) -> None:
    """Make what was found the content of the window's days in the lake, the states last."""
    known = {kind: detection for kind, detection in detections.items() if detection is not None}
    within = pl.col("day").is_in(list(window.days()))
    parts = [grid_inputs.to_anomaly_rows(d.parts, subject_kind=kind) for kind, d in known.items()]
    scores = [grid_inputs.to_score_rows(d.scores) for d in known.values()]
    states = [d.states.with_columns(subject_kind=pl.lit(kind)) for kind, d in known.items()]
    time = pl.col("time").is_between(window.start, window.end, closed="left")
    lake.replace(AnomalyDays, _concat_as(AnomalyDays, parts).filter(within), window=window)
    lake.replace(AnomalyScores, _concat_as(AnomalyScores, scores).filter(time), window=window)
    lake.replace(AnomalyStates, _concat_as(AnomalyStates, states).filter(within), window=window)


def list_outlived_states(
    days: Sequence[date], *, last_judged: date, newest_kept: int
) -> list[date]:
    """Return the days whose state is no longer needed, of `days` that have one.

    The newest days keep theirs, and those up to the last one that was judged, which may be a day of
    long ago whose following days come next. Before them every seventh keeps its own for two months.

    >>> march = [date(2026, 3, number) for number in range(1, 15)]
    >>> outlived = list_outlived_states(march, last_judged=march[-1], newest_kept=3)
    >>> [day.day for day in march if day not in outlived]
    [2, 9, 12, 13, 14]
    """
    if not days:
        return []
    ends = (max(days), last_judged)
    oldest = max(days) - STATES_KEPT_DAYS * DAY

    def is_needed(day: date) -> bool:
        is_newest = any(timedelta(0) <= end - day < newest_kept * DAY for end in ends)
        return is_newest or (day > oldest and day.toordinal() % OLD_STATE_EVERY == 1)

    return [day for day in days if not is_needed(day)]


def _forget_states(lake: Lake, *, run: Window, newest_kept: int) -> None:
    """Delete the states of days that no other day will be judged from."""
    last_judged = list(run.days())[-1]
    outlived = list_outlived_states(
        lake.days(AnomalyStates), last_judged=last_judged, newest_kept=newest_kept
    )
    lake.delete_days(AnomalyStates, outlived)


def _concat_as(schema: type[dy.Schema], frames: list[pl.DataFrame]) -> pl.DataFrame:
    names = schema.column_names()
    empty = pl.DataFrame(schema.create_empty())
    return pl.concat([empty, *(frame.select(names).cast(empty.schema) for frame in frames)])


def _read_anomaly_keys(lake: Lake, *, window: Window) -> pl.DataFrame:
    """The keys of the anomalies of which the window's days say something."""
    return lake.scan(AnomalyDays, window=window).select(KEY).unique().collect()


def _find_first_touched(lake: Lake, warehouse: Warehouse, *, window: Window) -> datetime:
    """Midnight before the first anomaly that concerns the window, in the lake or the warehouse.

    The lake has those of which the window's days, or the day before, speak. The warehouse has what
    an earlier try, which ended in between, would have taken away.
    """
    in_lake = _read_anomaly_keys(lake, window=window.widened(before=DAY))["start_time"].to_list()
    stored = warehouse.read(Anomalies, window=window.widened(before=REBUILT_FROM_DAYS * DAY))
    reaching = stored.filter(pl.col("end_time") > window.start)["start_time"].to_list()
    return midnight(min([window.start, *in_lake, *reaching]).date())


def _publish_anomalies(lake: Lake, warehouse: Warehouse, *, span: Window) -> pl.DataFrame:
    """Make the anomalies that begin in the span, each told whole, what the warehouse has of it."""
    days = lake.days(AnomalyDays)
    until = max([span.end, *(midnight(day) + DAY for day in days[-1:])])
    anomaly_days = lake.scan(AnomalyDays, window=Window(span.start, until))
    begins = pl.col("start_time").is_between(span.start, span.end, closed="left")
    rows = grid_inputs.merge_anomaly_days(anomaly_days.filter(begins).collect())
    warehouse.replace(Anomalies, rows, window=span)
    return rows


def _describe_anomalies(
    rows: pl.DataFrame, scores: pl.LazyFrame, shown: pl.LazyFrame
) -> dict[str, Any]:
    """Counts, the worst in a list, and the worst one with its range as a picture."""
    readings, series = (
        scores.select(pl.len(), pl.struct("subject_id", "quantity").n_unique().alias("series"))
        .collect()
        .row(0)
    )
    if not readings:
        return {"dagster/row_count": 0, "outcome": "no readings in these days"}
    metadata: dict[str, Any] = {
        "dagster/row_count": rows.height,
        "outcome": f"{rows.height} anomalies" if rows.height else "nothing is out of place",
        "judged_series": series,
        "judged_readings": readings,
        **{f"kind/{kind}": count for kind, count in rows["kind"].value_counts(sort=True).rows()},
    }
    if rows.is_empty():
        return metadata
    figure = plot_worst_anomaly(rows, shown)
    return {
        **metadata,
        "worst": dg.MetadataValue.md(format_top_list(rows)),
        "plot": dg.MetadataValue.md(embed_figure(figure, about="the worst anomaly")),
    }
