"""Anomalies of any series against an expected range; `detect` is the way in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from smartgrid_core.contracts.anomalies import ANOMALY_KINDS
from smartgrid_ml.mining.anomalies.day_loop import SCORES, DayLoop, DetectorInputs
from smartgrid_ml.mining.anomalies.episodes import ANOMALY, merge_day_parts
from smartgrid_ml.mining.anomalies.settings import DetectorSettings
from smartgrid_ml.mining.anomalies.state import STATES

__all__ = ["ANOMALY", "ANOMALY_KINDS", "THRESHOLD", "Detection", "detect"]

THRESHOLD = 3.5
"""A stretch so strange comes once in 3,000 days: about one false alarm a month on a hundred series
that are judged by their point values, shifts and drift alike."""

HISTORY_DAYS = 35
"""Five weeks: five of each weekday."""

WARM_UP_DAYS = 14
"""Before two weeks are known no value is out of place; limits, gaps and standstill show at once."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What is strange in the readings.

    Attributes:
        anomalies: One row per anomaly, by series and start: series, start_time, end_time
            (half-open), time of the worst moment; value, lower, upper at that time (null where
            unknown), score, kind, reason.
        scores: One row per reading, by series and time: series, time, value, lower, upper (null
            while a series is too new), score.
        parts: One row per anomaly and day of it: the columns of `anomalies` and `day`, as known
            when that day had ended.
        states: One row per series and day: what the next day needs.
    """

    anomalies: pl.DataFrame
    scores: pl.DataFrame
    parts: pl.DataFrame
    states: pl.DataFrame


def detect(
    readings: pl.DataFrame | pl.LazyFrame,
    *,
    step: timedelta,
    timezone: str = "UTC",
    country: str | None = None,
    context: pl.DataFrame | None = None,
    groups: pl.DataFrame | None = None,
    limits: pl.DataFrame | None = None,
    units: Mapping[str, str] | str = "",
    history_days: int = HISTORY_DAYS,
    warm_up_days: int = WARM_UP_DAYS,
    threshold: float = THRESHOLD,
    habits: bool = True,
    state: pl.DataFrame | None = None,
    every_state: bool = False,
    end: datetime | None = None,
) -> Detection:
    """Return what is strange, by the past of each series, its neighbours and the weather.

    Days are UTC days, judged one after the other by the state that the days before left. Days in
    one call or in many give the same rows. `score` is log10(1 + days until the series is expected
    to be as strange again), 0 while it is not known; it means the same for every series.

    Args:
        readings: series (text), time (UTC, or a wall clock taken for UTC), value (null is missing);
            one row per series and step, in any order. Times are cut to the step, of several rows in
            a step the last counts. A step without a row is missing from a series' first reading on.
        step: Time from one reading to the next: whole minutes that divide a day.
        timezone: IANA name of the zone that makes local hours and kinds of day.
        country: ISO 3166 code whose public holidays count as Sundays; None for no holidays.
        context: time and numeric columns, weather for example, on the same step or coarser (each
            row holds until the next, three hours at most).
        groups: series, peer_group, phase_set (either may be null): series of a peer group explain
            each other's common movement; the phases of one place share a phase set.
        limits: series, low, high (null for none), optional over_minutes (the mean over clock spans
            of so many minutes is held against them, by default each reading) and what (words for
            the band, such as "the rating").
        units: Unit of the series, for sentences: one, or by series.
        history_days: Days of the profile.
        warm_up_days: Days that must be known before values are judged.
        threshold: Score from which on a stretch is an anomaly.
        habits: Whether what came on four occasions is a habit of the series and no anomaly any
            more, as who watches a grid every day wants it; without, strange days may be many.
        state: Rows of `Detection.states` of one day; the readings are those of the days after it.
        every_state: Whether to return the states of all days, not of the last alone.
        end: What comes later is not expected yet; None for the end of the last step with a reading.

    Returns:
        Anomalies, scores and states.

    Raises:
        ValueError: For a step that does not divide a day, an unknown country, a missing column, or
            readings of a day that the state knows already.
    """
    loop = DayLoop.prepare(
        DetectorInputs(
            readings=readings.lazy().collect(),
            context=context,
            groups=groups,
            limits=limits,
            units=units,
            end=end,
        ),
        DetectorSettings(
            step=step,
            timezone=timezone,
            country=country,
            history_days=history_days,
            warm_up_days=warm_up_days,
            threshold=threshold,
            habits=habits,
        ),
        state=state,
    )
    after = loop.state
    rows: list[tuple[object, ...]] = []
    states: list[pl.DataFrame] = []
    scores = [pl.DataFrame(schema=SCORES)]
    for number, day in enumerate(loop.days):
        outcome = loop.judge_day(after, number)
        after = outcome.state
        rows.extend((*row, day) for row in outcome.anomalies)
        scores.append(outcome.scores)
        if every_state or day == loop.days[-1]:
            states.append(after.to_frame(day))
    parts = pl.DataFrame(rows, schema={**ANOMALY, "day": pl.Date()}, orient="row")
    return Detection(
        anomalies=merge_day_parts(parts),
        scores=pl.concat(scores).sort("series", "time"),
        parts=parts.sort("series", "start_time", "day"),
        states=pl.concat(states) if states else pl.DataFrame(schema=STATES),
    )
