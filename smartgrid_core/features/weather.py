"""Weather features: what was known of the weather at the issue time, and nothing later.

A forecast is issued when the weather of the last hours, with many archives of the last days, has
not arrived yet. A model that was trained on weather that came later would miss it when it answers.
So every hour's weather counts from the instant at which it was known.
"""

from datetime import datetime, timedelta
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from narwhals.typing import IntoDataFrame

from smartgrid_core.features.slots import Slots, build_frame_like
from smartgrid_core.time import DAY, HOUR

WEATHER_FEATURES = (
    "temperature_1d_c",
    "temperature_mean_24h_c",
    "temperature_mean_7d_c",
    "irradiance_1d_wm2",
)
"""Weather that was known at the issue time; null without a weather table."""

OLDEST_NEWS_DAYS = 7
"""Weather that ended longer ago tells nothing of tomorrow's."""

LONGEST_MEAN_DAYS = 7

USUAL_DELAY = timedelta(hours=48)
"""When an archive's row counts as known that does not say: an archive that follows within two days,
asked every morning, has told this hour by the midnight two days later."""

LATEST_ARRIVAL = 8 * DAY
"""Weather that comes later was loaded from an archive; when it could first be had is unknown."""


def add_known_at(weather: pl.DataFrame, *, now: datetime) -> pl.DataFrame:
    """Return rows of `Weather` that arrive now, with `known_at` filled where it was null.

    Rows older than LATEST_ARRIVAL keep null: they are an archive's.
    """
    is_news = pl.col("hour_start") >= now - LATEST_ARRIVAL
    arrival = pl.lit(now).dt.cast_time_unit("us").dt.convert_time_zone("UTC")
    return weather.with_columns(known_at=pl.coalesce("known_at", pl.when(is_news).then(arrival)))


def add_weather_features(
    features: nw.DataFrame[Any],
    *,
    weather: IntoDataFrame | None,
    slots: Slots,
    usual_delay: timedelta,
) -> nw.DataFrame[Any]:
    """Return the features with WEATHER_FEATURES beside them; null where nothing was known.

    `temperature_1d_c` and `irradiance_1d_wm2` are the weather of the target's time of day on the
    last day of which it was known; the means reach back from the last known hour.

    Args:
        features: Rows with issue_time, known_slot (the last slot before the issue) and day_slot (at
            the target's time of day).
        weather: Rows of `Weather`; None for none.
        slots: The local clock.
        usual_delay: How long after its hour a row without `known_at` counts.

    Returns:
        The same rows with four columns more.
    """
    if weather is None:
        nothing = nw.lit(None, dtype=nw.Float64)
        return features.with_columns(*(nothing.alias(name) for name in WEATHER_FEATURES))
    known = _select_known_weather(
        features.select("issue_time", "known_slot").unique(),
        _average_stations(
            nw.from_native(weather, eager_only=True), slots=slots, usual_delay=usual_delay
        ),
        slots=slots,
    )
    return (
        features.with_columns(time_of_day=nw.col("day_slot") % slots.per_day)
        .join(_select_same_hour(known, slots=slots), on=["issue_time", "time_of_day"], how="left")
        .join(_average_temperature(known, slots=slots), on="issue_time", how="left")
    )


def _average_stations(
    weather: nw.DataFrame[Any], *, slots: Slots, usual_delay: timedelta
) -> nw.DataFrame[Any]:
    """Return means over the stations by slot, and when the last station's row was known."""
    stated = nw.col("known_at").cast(nw.Datetime("us", "UTC"))
    ended = nw.col("hour_start").cast(nw.Datetime("us", "UTC")) + HOUR
    usual = ended + usual_delay
    return (
        weather.with_columns(
            known_at=nw.when(~nw.col("known_at").is_null()).then(stated).otherwise(usual)
        )
        .group_by("hour_start")
        .agg(
            nw.col("temperature_c", "irradiance_wm2").cast(nw.Float64).mean(),
            nw.col("known_at").max(),
        )
        .with_columns(slot=slots.of("hour_start"))
        .sort("hour_start")
        .unique("slot", keep="first", maintain_order=True)
        .select("slot", "known_at", "temperature_c", "irradiance_wm2")
    )


def _select_known_weather(
    issues: nw.DataFrame[Any], weather: nw.DataFrame[Any], *, slots: Slots
) -> nw.DataFrame[Any]:
    """Return one row per issue time and known hour; `age` is slots since the last known hour."""
    reach = (OLDEST_NEWS_DAYS + LONGEST_MEAN_DAYS) * slots.per_day
    back = build_frame_like({"back": np.arange(reach, dtype=np.int64)}, issues)
    known = (
        issues.join(back, how="cross")
        .with_columns(slot=nw.col("known_slot") - nw.col("back"))
        .join(weather, on="slot", how="inner")
        .filter(nw.col("known_at") <= nw.col("issue_time"))
    )
    newest = known.group_by("issue_time").agg(nw.col("back").min().alias("newest"))
    return (
        known.join(newest, on="issue_time", how="left")
        .filter(nw.col("newest") < OLDEST_NEWS_DAYS * slots.per_day)
        .with_columns(age=nw.col("back") - nw.col("newest"))
    )


def _select_same_hour(known: nw.DataFrame[Any], *, slots: Slots) -> nw.DataFrame[Any]:
    """Return the newest known weather per issue time and time of day."""
    return (
        known.filter(nw.col("age") < OLDEST_NEWS_DAYS * slots.per_day)
        .with_columns(time_of_day=nw.col("slot") % slots.per_day)
        .sort("issue_time", "back")
        .unique(["issue_time", "time_of_day"], keep="first", maintain_order=True)
        .select(
            "issue_time",
            "time_of_day",
            temperature_1d_c="temperature_c",
            irradiance_1d_wm2="irradiance_wm2",
        )
    )


def _average_temperature(known: nw.DataFrame[Any], *, slots: Slots) -> nw.DataFrame[Any]:
    """Return mean temperatures up to the issue; null if under a quarter of the hours is known."""
    spans = {"temperature_mean_24h_c": 1, "temperature_mean_7d_c": LONGEST_MEAN_DAYS}
    temperature = nw.col("temperature_c")
    lengths = {name: days * slots.per_day for name, days in spans.items()}
    within = known.with_columns(
        **{name: nw.when(nw.col("age") < n).then(temperature) for name, n in lengths.items()}
    )
    means = within.group_by("issue_time").agg(
        *(nw.col(name).mean() for name in spans),
        *(nw.col(name).count().alias(f"{name}_hours") for name in spans),
    )
    return means.select(
        "issue_time",
        *(
            nw.when(nw.col(f"{name}_hours") >= n // 4).then(nw.col(name)).alias(name)
            for name, n in lengths.items()
        ),
    )
