"""Tables of readings, groups, limits and weather as arrays by row and step."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from smartgrid_core.time import DAY, EPOCH, MICROSECOND, Window, midnight
from smartgrid_ml.mining.anomalies.nan_arrays import Floats, Ints
from smartgrid_ml.mining.anomalies.settings import MINUTE, RowLimits

LONGEST_HOLD = timedelta(hours=3)
"""Weather of a coarser step holds so long."""

IMBALANCE, CONTEXT = "imbalance of ", "context "
"""What the rows are called that stand beside the judged series in a state."""


def align_to_steps(readings: pl.DataFrame, *, step: timedelta) -> pl.DataFrame:
    """Return series, time (cut to the step), reading_time (as it was), value; one row per step.

    Of several rows of a series in a step the last counts. Times without a zone are UTC. Raises
    ValueError for a missing column.
    """
    for name in ("series", "time", "value"):
        if name not in readings.columns:
            raise ValueError(f"readings: no column {name!r}, found {', '.join(readings.columns)}")
    zone = getattr(readings.schema["time"], "time_zone", None)
    time = pl.col("time").cast(pl.Datetime("us", zone))
    time = time.dt.replace_time_zone("UTC") if zone is None else time.dt.convert_time_zone("UTC")
    return (
        readings.select(
            pl.col("series").cast(pl.String),
            reading_time=time,
            time=time.dt.truncate(step),
            value=pl.col("value").cast(pl.Float64).fill_nan(None),
        )
        .sort("series", "reading_time")
        .unique(["series", "time"], keep="last", maintain_order=True)
    )


def list_days_to_judge(
    state: pl.DataFrame | None, rows: pl.DataFrame, *, end: datetime | None
) -> list[date]:
    """Return the UTC days from the one after the state's, or the first reading's, to the last.

    ``state``: rows of STATES of one day. ``rows``: aligned readings. ``end``: what comes later is
    not expected yet; None for the last reading. Raises ValueError for readings of a day that the
    state knows.
    """
    if rows.is_empty() and (state is None or state.is_empty() or end is None):
        return []
    first = get_first_time(rows) if rows.height else None
    if state is not None and state.height:
        known: date = state["day"].sort()[-1]
        if first is not None and first < midnight(known) + DAY:
            raise ValueError(f"the state knows {known} already, and there is a reading of {first}")
        first = midnight(known) + DAY
    last = end - MICROSECOND if end is not None else get_last_time(rows)
    if first is None or last < first:
        return []
    return list(Window(first, last + MICROSECOND).days())


def get_first_time(rows: pl.DataFrame) -> datetime:
    """Return the earliest `time` of rows that are not empty."""
    instant: datetime = rows["time"].sort()[0]
    return instant


def get_last_time(rows: pl.DataFrame) -> datetime:
    """Return the latest `time` of rows that are not empty."""
    instant: datetime = rows["time"].sort()[-1]
    return instant


def count_steps_to(
    end: datetime | None, rows: pl.DataFrame, days: Sequence[date], *, step: timedelta
) -> int:
    """Return how many steps lie between the first of the days and the end.

    Args:
        end: What comes later is not expected yet; None for the end of the last step with a reading.
        rows: Aligned readings.
        days: The days to judge.
        step: Time from one reading to the next.

    Returns:
        Steps from the first day's midnight on.
    """
    first = midnight(days[0]) if days else EPOCH
    if end is None:
        end = get_last_time(rows) + step if rows.height else first
    return int((end - first) / step)


def list_judged_series(state: pl.DataFrame | None) -> list[str]:
    """Return the series that a state knows, without the imbalances and weather beside them.

    >>> list_judged_series(pl.DataFrame({"series": ["S1/power", "context temperature_c"]}))
    ['S1/power']
    """
    if state is None:
        return []
    beside = pl.col("series").str.starts_with(IMBALANCE) | pl.col("series").str.starts_with(CONTEXT)
    return state.filter(~beside)["series"].to_list()


def build_matrix(
    rows: pl.DataFrame, names: Sequence[str], days: Sequence[date], *, step: timedelta
) -> Floats:
    """Return the values by name and step, (n_names, n_days * per_day); NaN where there is none.

    Args:
        rows: Aligned readings of these names and days.
        names: Series, in the order of the rows to come.
        days: Consecutive UTC days.
        step: Time from one reading to the next.

    Returns:
        float64, unit of each series.
    """
    values = np.full((len(names), len(days) * (DAY // step)), np.nan)
    if rows.is_empty():
        return values
    place = {name: row for row, name in enumerate(names)}
    index = rows.select(
        row=pl.col("series").replace_strict(place, return_dtype=pl.Int64),
        step=(pl.col("time") - midnight(days[0])).dt.total_minutes() // (step // MINUTE),
    )
    values[index["row"].to_numpy(), index["step"].to_numpy()] = rows["value"].to_numpy()
    return values


def build_context_matrix(
    context: pl.DataFrame | None, channels: Sequence[str], days: Sequence[date], *, step: timedelta
) -> Floats:
    """Return the context by channel and step; a row holds until the next, LONGEST_HOLD at most.

    Args:
        context: Column `time` and one numeric column per channel; None for nothing.
        channels: Columns to take, in the order of the rows to come.
        days: Consecutive UTC days.
        step: Time from one reading to the next.

    Returns:
        float64 (n_channels, n_days * per_day); NaN is unknown.
    """
    if context is None or not days or not channels:
        return np.full((len(channels), len(days) * (DAY // step)), np.nan)
    long = context.unpivot(on=list(channels), index="time", variable_name="series")
    rows = align_to_steps(long, step=step).filter(
        pl.col("time").dt.date().is_between(days[0], days[-1])
    )
    values = build_matrix(rows, channels, days, step=step)
    filled = pl.DataFrame(values.T, schema=list(channels)).with_columns(
        pl.all().fill_nan(None).forward_fill(limit=max(int(LONGEST_HOLD / step), 1))
    )
    return filled.to_numpy().T.astype(np.float64)


def find_peer_groups(groups: pl.DataFrame | None, judged: Sequence[str]) -> list[Ints]:
    """Return the rows of each peer group, int64 (n_members,), groups by name."""
    return _collect_members(groups, judged, "peer_group")


def find_phase_sets(groups: pl.DataFrame | None, judged: Sequence[str]) -> list[Ints]:
    """Return the rows of each phase set of two or more, int64 (n_members,), sets by name."""
    return [rows for rows in _collect_members(groups, judged, "phase_set") if len(rows) > 1]


def read_limits(limits: pl.DataFrame | None, names: Sequence[str], *, step: timedelta) -> RowLimits:
    """Return the limits of the rows of these names; those of other series do not count.

    ``limits``: series, low, high (null for none), optional over_minutes and what. A span that is no
    whole number of steps or does not divide a day is taken for one step.
    """
    low, high = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    over_steps = np.ones(len(names), dtype=np.int64)
    limit_names: list[str | None] = [None] * len(names)
    place = {name: row for row, name in enumerate(names)}
    minutes = step // MINUTE
    for limit in [] if limits is None else limits.iter_rows(named=True):
        row = place.get(limit["series"])
        if row is None:
            continue
        low[row] = -np.inf if limit["low"] is None else limit["low"]
        high[row] = np.inf if limit["high"] is None else limit["high"]
        span = limit.get("over_minutes") or minutes
        is_whole = span % minutes == 0 and (24 * 60) % span == 0
        over_steps[row] = span // minutes if is_whole else 1
        limit_names[row] = limit.get("what")
    return RowLimits(low, high, over_steps, limit_names)


def _collect_members(groups: pl.DataFrame | None, judged: Sequence[str], column: str) -> list[Ints]:
    if groups is None or column not in groups.columns:
        return []
    place = {name: row for row, name in enumerate(judged)}
    known = groups.filter(pl.col("series").is_in(list(judged)), pl.col(column).is_not_null())
    rows: dict[str, list[int]] = {}
    for name, group in known.sort("series").select("series", column).iter_rows():
        rows.setdefault(group, []).append(place[name])
    return [np.array(rows[group], dtype=np.int64) for group in sorted(rows)]
