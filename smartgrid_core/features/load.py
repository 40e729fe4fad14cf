"""Load features by issue time and lead, made only of what was known at the issue time.

Times are cut into slots of the local wall clock (an integer: local time / step), so that "the same
hour yesterday" is the same hour on the clock across a change to summer time. Of the hour that
autumn repeats the first counts; the hour that spring leaves out is unknown.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import narwhals as nw
import numpy as np
from narwhals.typing import IntoDataFrame, IntoDataFrameT

from smartgrid_core.features.calendar import CALENDAR_FEATURES, build_calendar_days
from smartgrid_core.features.slots import Slots, build_frame_like
from smartgrid_core.features.weather import USUAL_DELAY, WEATHER_FEATURES, add_weather_features
from smartgrid_core.time import DAY, EPOCH, HOUR, MICROSECOND, to_epoch_us

HISTORY_NEEDED = timedelta(days=35)
"""28 days of same hours and the longest horizon of a week; no feature looks further back."""

SAME_HOUR_DAYS = (1, 2, 3, 4, 5, 6, 7)
SAME_WEEKDAY_DAYS = (7, 14, 21, 28)
LATEST_HOURS = tuple(range(1, 25))

KEY = ("feeder_id", "issue_time", "hour_start")

SCALE = "level_kw"
"""The series' own size: forecasters divide by it, so that one model serves large and small."""

SCALES = (SCALE, "level_24h_kw", "level_1h_kw")
"""Sizes to divide by, from the calmest to the most recent; known and positive with SCALE."""

LOAD_FEATURES = (
    *SCALES[1:],
    *(f"same_hour_{days}d_kw" for days in SAME_HOUR_DAYS),
    *(f"same_hour_{days}d_kw" for days in SAME_WEEKDAY_DAYS[1:]),
    "same_hour_mean_7d_kw",
    "same_hour_min_7d_kw",
    "same_hour_max_7d_kw",
    "same_hour_mean_28d_kw",
    "same_hour_std_28d_kw",
    "same_weekday_mean_4w_kw",
    *(f"latest_{hours}h_kw" for hours in LATEST_HOURS),
    "mean_24h_kw",
    "mean_24h_day_before_kw",
    "mean_24h_week_before_kw",
    "mean_7d_kw",
    "mean_28d_kw",
    "min_24h_kw",
    "max_24h_kw",
    "same_hour_1d_shifted_kw",
    "same_hour_7d_shifted_kw",
)
"""Features in the unit of the load; all may be divided by SCALE."""

TIME_FEATURES = ("lead_hours", "hour_of_day", "hour_sin", "hour_cos", *CALENDAR_FEATURES)

FEATURES = (*TIME_FEATURES, SCALE, *LOAD_FEATURES, *WEATHER_FEATURES)
"""Every numeric column of `LoadFeatures` that a model may read."""


def build_load_features(
    history: IntoDataFrameT,
    *,
    issue_times: Sequence[datetime],
    horizon_hours: int = 24,
    timezone: str,
    country: str | None,
    weather: IntoDataFrame | None = None,
    weather_delay: timedelta = USUAL_DELAY,
    step: timedelta = HOUR,
) -> IntoDataFrameT:
    """Return rows of `LoadFeatures`, ordered by (feeder_id, issue_time, hour_start).

    Known at an issue time is every row with `hour_start` before it. `load_kw` of the result is the
    target, null where `history` does not reach. NaN and infinite loads count as unknown.

    Args:
        history: feeder_id, hour_start (UTC, on the step's grid, unique per feeder) and load_kw;
            more columns are ignored. HISTORY_NEEDED before the first issue time is enough of it.
        issue_times: When forecasts are made; on the step's grid.
        horizon_hours: Hours ahead; one row per step of them.
        timezone: IANA name of the clock of "the same hour".
        country: ISO 3166 code whose holidays count; None for none.
        weather: Rows of `Weather`, averaged over the stations; each counts from its `known_at`.
        weather_delay: How long after its hour a weather row without `known_at` counts.
        step: Grain of the load; it divides a day. The names keep saying hour and kW.

    Returns:
        Rows in the kind of frame that `history` is.

    Raises:
        ValueError: An issue time is off the grid or has no time zone.
    """
    slots = Slots(timezone=timezone, step=step)
    loads = _select_known(nw.from_native(history, eager_only=True), slots=slots)
    issues = sorted({_require_on_grid(issue, step=step) for issue in issue_times})
    targets = _build_targets(loads, issues=issues, horizon_hours=horizon_hours, slots=slots)
    grid = _fill_grid(loads, targets=targets, slots=slots)
    features = (
        targets.join(
            _summarise_same_hour(grid, slots=slots), on=["feeder_id", "day_slot"], how="left"
        )
        .join(_summarise_same_weekday(grid, slots=slots), on=["feeder_id", "week_slot"], how="left")
        .join(_summarise_latest(grid, slots=slots), on=["feeder_id", "known_slot"], how="left")
        .join(_build_calendar(targets, country=country), on="local_day", how="left")
        .join(
            loads.select("feeder_id", "hour_start", "load_kw"),
            on=["feeder_id", "hour_start"],
            how="left",
        )
    )
    features = _add_shifted(
        add_weather_features(features, weather=weather, slots=slots, usual_delay=weather_delay)
    )
    answer = features.select(
        *KEY, "load_kw", *(nw.col(name).cast(nw.Float64) for name in FEATURES)
    ).sort(*KEY)
    native: IntoDataFrameT = answer.to_native()
    return native


def _require_on_grid(issue: datetime, *, step: timedelta) -> datetime:
    """Return the issue time in UTC. Raises ValueError if it is off the grid or has no time zone."""
    if issue.utcoffset() is None:
        raise ValueError(f"issue time {issue} has no time zone; give it in UTC")
    issue = issue.astimezone(UTC)
    if (issue - EPOCH) % step:
        raise ValueError(f"issue time {issue} is not on the grid of {step}")
    return issue


def _select_known(history: nw.DataFrame[Any], *, slots: Slots) -> nw.DataFrame[Any]:
    """Return feeder, time, slot, and `load_kw`: null where it is no finite number."""
    column = nw.col("load_kw").cast(nw.Float64)
    return history.select(
        "feeder_id",
        nw.col("hour_start").cast(nw.Datetime("us", "UTC")),
        nw.when(column.is_finite()).then(column).alias("load_kw"),
    ).with_columns(slot=slots.of("hour_start"))


def _build_targets(
    loads: nw.DataFrame[Any], *, issues: Sequence[datetime], horizon_hours: int, slots: Slots
) -> nw.DataFrame[Any]:
    """Return every feeder x issue time x lead, with the slots at which features are looked up.

    `known_slot` is the last known slot; `day_slot` lies whole days before the target, at most a
    day after the last known slot; `week_slot` the same with weeks.

    Args:
        loads: Feeders whose rows are wanted, with their columns of `_select_known`.
        issues: Issue times, UTC, on the grid.
        horizon_hours: Hours ahead.
        slots: The local clock.

    Returns:
        One row per (feeder_id, issue_time, hour_start).
    """
    steps = max(1, horizon_hours * HOUR // slots.step)
    step_us = slots.step // MICROSECOND
    # microseconds since 1970 and ahead of the issue, int64 (n_issues * steps,)
    start = np.repeat(np.array([to_epoch_us(issue) for issue in issues], dtype=np.int64), steps)
    lead = np.tile(np.arange(steps, dtype=np.int64) * step_us, len(issues))
    as_time = "datetime64[us]"
    leads = build_frame_like(
        {
            "issue_time": start.astype(as_time),
            "hour_start": (start + lead).astype(as_time),
            "last_known": (start - step_us).astype(as_time),
            "lead_hours": lead / (HOUR // MICROSECOND),
        },
        loads,
    ).with_columns(
        nw.col("issue_time", "hour_start", "last_known")
        .cast(nw.Datetime("us"))
        .dt.replace_time_zone("UTC")
    )
    leads = leads.with_columns(slot=slots.of("hour_start"), known_slot=slots.of("last_known"))
    ahead = (nw.col("slot") - nw.col("known_slot") - 1).clip(lower_bound=0)
    hour = (nw.col("slot") % slots.per_day).cast(nw.Float64) * (24 / slots.per_day)
    angle = hour * (2 * np.pi / 24)
    leads = leads.with_columns(
        day_slot=nw.col("slot") - ahead // slots.per_day * slots.per_day,
        week_slot=nw.col("slot") - ahead // (7 * slots.per_day) * (7 * slots.per_day),
        local_day=nw.col("slot") // slots.per_day,
        hour_of_day=hour,
        hour_sin=angle.sin(),
        hour_cos=angle.cos(),
    ).drop("last_known", "slot")
    return loads.select("feeder_id").unique().sort("feeder_id").join(leads, how="cross")


def _fill_grid(
    loads: nw.DataFrame[Any], *, targets: nw.DataFrame[Any], slots: Slots
) -> nw.DataFrame[Any]:
    """Return all slots of all feeders from HISTORY_NEEDED before the targets on; gaps are null."""
    if not len(targets):
        first, last = 0, -1
    else:
        first = targets["known_slot"].min() - (HISTORY_NEEDED // DAY) * slots.per_day
        last = max(targets["day_slot"].max(), targets["week_slot"].max())
    every = build_frame_like({"slot": np.arange(first, last + 1, dtype=np.int64)}, loads)
    first_of_each = loads.sort("feeder_id", "hour_start").unique(
        ["feeder_id", "slot"], keep="first", maintain_order=True
    )
    return (
        loads.select("feeder_id")
        .unique()
        .join(every, how="cross")
        .join(
            first_of_each.select("feeder_id", "slot", "load_kw"),
            on=["feeder_id", "slot"],
            how="left",
        )
        .sort("feeder_id", "slot")
    )


def _look_back(slots_back: int, *, column: str = "load_kw") -> nw.Expr:
    """Return the column as it was so many slots before."""
    return nw.col(column).shift(slots_back).over("feeder_id", order_by="slot")


def _roll_mean(column: str, window: int) -> nw.Expr:
    """Return the mean over the last slots; null if less than a quarter of them is known."""
    mean = nw.col(column).rolling_mean(window, min_samples=max(1, window // 4))
    return mean.over("feeder_id", order_by="slot")


def _summarise_same_hour(grid: nw.DataFrame[Any], *, slots: Slots) -> nw.DataFrame[Any]:
    """Return the load at the slot's own time of day on the days before it, by `day_slot`."""
    names = [f"same_hour_{days}d_kw" for days in SAME_HOUR_DAYS]
    day = slots.per_day
    recent = grid.with_columns(time_of_day=nw.col("slot") % day).with_columns(
        rolling_mean=nw.col("load_kw")
        .rolling_mean(28, min_samples=7)
        .over("feeder_id", "time_of_day", order_by="slot"),
        rolling_std=nw.col("load_kw")
        .rolling_std(28, min_samples=7)
        .over("feeder_id", "time_of_day", order_by="slot"),
    )
    return (
        recent.select(
            "feeder_id",
            "slot",
            *(
                _look_back(days * day).alias(name)
                for days, name in zip(SAME_HOUR_DAYS, names, strict=True)
            ),
            same_hour_mean_28d_kw=_look_back(day, column="rolling_mean"),
            same_hour_std_28d_kw=_look_back(day, column="rolling_std"),
        )
        .with_columns(
            same_hour_mean_7d_kw=nw.mean_horizontal(*names),
            same_hour_min_7d_kw=nw.min_horizontal(*names),
            same_hour_max_7d_kw=nw.max_horizontal(*names),
        )
        .rename({"slot": "day_slot"})
    )


def _summarise_same_weekday(grid: nw.DataFrame[Any], *, slots: Slots) -> nw.DataFrame[Any]:
    """Return the load at the slot's own time of day on the same weekday of the weeks before."""
    names = [f"week_{days}d" for days in SAME_WEEKDAY_DAYS]
    weeks = grid.select(
        "feeder_id",
        "slot",
        *(
            _look_back(days * slots.per_day).alias(name)
            for days, name in zip(SAME_WEEKDAY_DAYS, names, strict=True)
        ),
    ).with_columns(same_weekday_mean_4w_kw=nw.mean_horizontal(*names))
    kept = {f"week_{days}d": f"same_hour_{days}d_kw" for days in SAME_WEEKDAY_DAYS[1:]}
    return weeks.rename({"slot": "week_slot", "week_7d": "same_weekday_7d_kw", **kept})


def _summarise_latest(grid: nw.DataFrame[Any], *, slots: Slots) -> nw.DataFrame[Any]:
    """Return what the last known hours and days looked like, one row per `known_slot`."""
    day = slots.per_day

    means = grid.with_columns(
        size=nw.col("load_kw").abs(), hour_mean=_roll_mean("load_kw", slots.per_hour)
    ).with_columns(
        mean_24h_kw=_roll_mean("load_kw", day),
        mean_7d_kw=_roll_mean("load_kw", 7 * day),
        mean_28d_kw=_roll_mean("load_kw", 28 * day),
        level_kw=_roll_mean("size", 28 * day),
        size_24h=_roll_mean("size", day),
    )
    latest = {f"latest_{hours}h_kw": slots.count_slots(hours - 1) for hours in LATEST_HOURS}
    latest_columns = [
        (
            nw.lit(None, dtype=nw.Float64) if back is None else _look_back(back, column="hour_mean")
        ).alias(name)
        for name, back in latest.items()
    ]
    return (
        means.select(
            "feeder_id",
            "slot",
            "mean_24h_kw",
            "mean_7d_kw",
            "mean_28d_kw",
            nw.when(nw.col("level_kw") > 0).then(nw.col("level_kw")).alias("level_kw"),
            _clip_to_tenth("size_24h").alias("level_24h_kw"),
            _clip_to_tenth("hour_mean").alias("level_1h_kw"),
            *latest_columns,
            mean_24h_day_before_kw=_look_back(day, column="mean_24h_kw"),
            mean_24h_week_before_kw=_look_back(7 * day, column="mean_24h_kw"),
        )
        .with_columns(
            min_24h_kw=nw.min_horizontal(*latest),
            max_24h_kw=nw.max_horizontal(*latest),
        )
        .rename({"slot": "known_slot"})
    )


def _clip_to_tenth(size: str) -> nw.Expr:
    """Return a recent size as a scale: at least a tenth of the level, the level if unknown."""
    level = nw.col("level_kw")
    recent = nw.when(~nw.col(size).is_null()).then(nw.col(size).abs()).otherwise(level)
    return nw.when(level > 0).then(nw.max_horizontal(recent, level / 10))


def _build_calendar(targets: nw.DataFrame[Any], *, country: str | None) -> nw.DataFrame[Any]:
    """Return CALENDAR_FEATURES of the targets' local days, one row per day."""
    days = build_calendar_days(targets["local_day"].unique().to_list(), country=country)
    return build_frame_like(days, targets).with_columns(nw.col("local_day").cast(nw.Int64))


def _add_shifted(features: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Return the features with past days moved to the level of the last known day."""
    moved_week = nw.col("mean_24h_kw") - nw.col("mean_24h_week_before_kw")
    moved_day = nw.col("mean_24h_kw") - nw.col("mean_24h_day_before_kw")
    return features.with_columns(
        same_hour_1d_shifted_kw=nw.col("same_hour_1d_kw") + moved_day,
        same_hour_7d_shifted_kw=nw.col("same_weekday_7d_kw") + moved_week,
    )
