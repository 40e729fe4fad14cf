"""The detectors over a whole file: some days at a time, and the first weeks judged by the next.

Detectors judge a day by the days before it. A file has no past, so its first weeks would go by
unjudged; they get those weeks beforehand, in reverse order of weeks, so that none ends where an
anomalous one begins. Later weeks are judged by their past only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

import polars as pl

from smartgrid_cli.files.readings import Readings
from smartgrid_cli.files.timestamps import find_time_span
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.time import DAY, Window

WEEK = 7 * DAY

REHEARSED_WEEKS = 5
"""As many as the detectors remember."""

THRESHOLD = 2.0
"""Expected once in a hundred days of a series: a person who asks about one file wants to look at
more than a control room that watches thousands of sensors every day."""

REHEARSED_WARM_UP_DAYS = 7
"""A week that was rehearsed is enough to judge by: a file of some days has no more."""

STEPS_AT_ONCE = 4_000_000
"""Steps of all series that are judged in one go: this bounds the memory."""

MEMORY_AT_ONCE = 300
"""Days times series in one go: of each the detectors hand out a memory of some 30 kB."""

Limits = Mapping[str, tuple[float | None, float | None]]
Teller = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DetectionSettings:
    """How the detectors judge a file.

    Attributes:
        timezone: Local time zone of the daily pattern.
        country: ISO country of the public holidays; None for none.
        threshold: Score from which a step is anomalous; None for THRESHOLD.
        limits: Pattern of series to its lowest and highest allowed value, None for no limit.
        phases: Triples of series that are the phases of one quantity.
        peers: Patterns of series that are of one kind, so that they explain what all of them do.
        past_only: Whether the first weeks of a file stay unjudged.
        habits: Whether what came on four occasions is a habit and no anomaly.
    """

    timezone: str
    country: str | None = None
    threshold: float | None = None
    limits: Limits = field(default_factory=dict)
    phases: Sequence[tuple[str, ...]] = ()
    peers: Sequence[str] = ()
    past_only: bool = False
    habits: bool = False


@dataclass(frozen=True, slots=True)
class DetectedAnomalies:
    """Anomalies and scores at the grid's times.

    Columns as of `smartgrid_ml.mining.anomalies.detect.Detection`.

    Attributes:
        spells: One row per anomaly, from start to end.
        scores: One row per series and step.
        threshold: Score from which a step is anomalous.
    """

    spells: pl.DataFrame
    scores: pl.DataFrame
    threshold: float


def detect_anomalies(
    readings: Readings, asked: DetectionSettings, *, tell: Teller = lambda _: None
) -> DetectedAnomalies:
    """Run the detectors over every series of the file.

    Raises ConfigurationError for limits or phases of a series that is not there.
    """
    from smartgrid_ml.mining.anomalies.detect import WARM_UP_DAYS, detect
    from smartgrid_ml.mining.anomalies.episodes import merge_day_parts

    grid = readings.grid.select("series", "time", "value")
    names = grid["series"].unique().sort().to_list()
    groups, limits = build_groups(names, asked), build_limits(names, asked.limits)
    threshold = THRESHOLD if asked.threshold is None else asked.threshold
    span = _find_span(grid, step=readings.step)
    begin, end = span.start, span.end
    rehearsal = None if asked.past_only else build_rehearsal(grid, begin=begin)
    context = readings.context
    if rehearsal is not None:
        grid = pl.concat([rehearsal, grid])
        if context is not None:
            context = pl.concat([_move_before(context, begin=begin), context])
    at_once = count_days_at_once(len(names), readings.step)
    state, parts, scores = None, [], []
    for part in _find_span(grid, step=readings.step).parts(days=at_once):
        tell(f"{part.start:%Y-%m-%d} of {begin:%Y-%m-%d} to {end:%Y-%m-%d}")
        detection = detect(
            grid.filter((pl.col("time") >= part.start) & (pl.col("time") < part.end)),
            step=readings.step,
            timezone="UTC" if readings.clock != "UTC" else asked.timezone,
            country=asked.country,
            context=context,
            threshold=threshold,
            warm_up_days=WARM_UP_DAYS if asked.habits else REHEARSED_WARM_UP_DAYS,
            habits=asked.habits,
            state=state,
            end=part.end,
            groups=groups,
            limits=limits,
        )
        state = detection.states.filter(pl.col("day") == pl.col("day").max())
        parts.append(detection.parts)
        scores.append(detection.scores.filter(pl.col("time") >= begin))
    return DetectedAnomalies(
        spells=merge_day_parts(pl.concat(parts)).filter(pl.col("end_time") > begin),
        scores=pl.concat(scores).sort("series", "time"),
        threshold=threshold,
    )


def build_rehearsal(grid: pl.DataFrame, *, begin: datetime) -> pl.DataFrame | None:
    """Return the first whole weeks of the grid, at most five, before `begin`: the first week last.

    None if the grid is shorter than a week.
    """
    weeks = min(REHEARSED_WEEKS, (find_time_span(grid["time"])[1] - begin) // WEEK)
    if not weeks:
        return None
    return _move_before(grid.filter(pl.col("time") < begin + weeks * WEEK), begin=begin)


def _move_before(rows: pl.DataFrame, *, begin: datetime) -> pl.DataFrame:
    """Return the rows with week n after `begin` moved to week n before it."""
    weeks = pl.col("time").is_between(begin, begin + REHEARSED_WEEKS * WEEK, closed="left")
    back = pl.duration(weeks=2 * ((pl.col("time") - begin).dt.total_days() // 7) + 1)
    return rows.filter(weeks).with_columns(time=pl.col("time") - back)


def count_days_at_once(series: int, step: timedelta) -> int:
    """Return how many days are judged in one call.

    >>> count_days_at_once(1, timedelta(hours=1))
    300
    """
    by_steps = STEPS_AT_ONCE // max(1, series * (DAY // step))
    return max(1, min(by_steps, MEMORY_AT_ONCE // max(1, series)))


def build_groups(names: Sequence[str], asked: DetectionSettings) -> pl.DataFrame | None:
    """Return series, peer_group, phase_set; None if nothing is known to belong together.

    Raises ConfigurationError for a phase that is no series.
    """
    for group in asked.phases:
        if absent := [name for name in group if name not in names]:
            raise ConfigurationError(
                f"--phases {','.join(group)}: {absent[0]!r} is no --target; there are"
                f" {', '.join(names[:12])}"
            )
    sets = {name: ",".join(group) for group in asked.phases for name in group}
    peers = {
        name: pattern for pattern in asked.peers for name in names if fnmatchcase(name, pattern)
    }
    if not sets and not peers:
        return None
    return pl.DataFrame(
        {
            "series": list(names),
            "peer_group": [peers.get(name) for name in names],
            "phase_set": [sets.get(name) for name in names],
        },
        schema={"series": pl.String, "peer_group": pl.String, "phase_set": pl.String},
    )


def build_limits(names: Sequence[str], limits: Limits) -> pl.DataFrame | None:
    """Return series, low, high; a later limit of the same series counts. None without limits.

    Raises ConfigurationError for a pattern that matches no series.
    """
    rows: dict[str, tuple[float | None, float | None]] = {}
    for pattern, (low, high) in limits.items():
        matched = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not matched:
            raise ConfigurationError(
                f"--limits {pattern}=...: {pattern!r} is no series; there are"
                f" {', '.join(names[:12])}"
            )
        rows |= dict.fromkeys(matched, (low, high))
    if not rows:
        return None
    table = [(name, *sides) for name, sides in rows.items()]
    schema = {"series": pl.String, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(table, schema=schema, orient="row")


def _find_span(grid: pl.DataFrame, *, step: timedelta) -> Window:
    """Return the span from the midnight before the first step to the end of the last one."""
    first, last = find_time_span(grid["time"])
    return Window(first.replace(hour=0, minute=0, second=0, microsecond=0), last + step)
