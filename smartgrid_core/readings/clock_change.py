"""The hour that the local clock shows twice in autumn: which of the two a reading means.

A time without an offset does not tell. The readings around it may: their order, if the hour is
there twice, or that they lead up to it or follow from it. Where they do not, the answer is null.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl

from smartgrid_core.time import DAY

NEAR = timedelta(hours=2)
"""So close to the hour lie two readings of an hourly series, which tell its step."""

FIRST_YEAR, LAST_YEAR = 1990, 2060
"""Before it no meter was read remotely; after it somebody will have to move this on."""


@dataclass(frozen=True, slots=True)
class RepeatedHour:
    """What the local clock shows twice, usually an hour: [`start`, `end`), without a zone."""

    start: datetime
    end: datetime


@lru_cache(maxsize=64)
def list_repeated_hours(zone: str) -> tuple[RepeatedHour, ...]:
    """Return all repeated hours of a zone from FIRST_YEAR to LAST_YEAR, in order.

    >>> hours = list_repeated_hours("Europe/Tirane")
    >>> [hour.start.isoformat() for hour in hours if hour.start.year == 2026]
    ['2026-10-25T02:00:00']
    """
    clock = ZoneInfo(zone)
    repeated = []
    day = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    while day.year <= LAST_YEAR:
        following = day + DAY
        if _get_offset(day, clock) > _get_offset(following, clock):
            change = _find_change(day, following, clock)
            plain = change.replace(tzinfo=None)
            before = _get_offset(day, clock)
            repeated.append(RepeatedHour(plain + _get_offset(change, clock), plain + before))
        day = following
    return tuple(repeated)


def _get_offset(instant: datetime, clock: ZoneInfo) -> timedelta:
    """Return the clock's offset from UTC at an instant."""
    return instant.astimezone(clock).utcoffset() or timedelta(0)


def _find_change(start: datetime, end: datetime, clock: ZoneInfo) -> datetime:
    """Return the first minute with another offset than `start` has."""
    before = _get_offset(start, clock)
    while end - start > timedelta(minutes=1):
        middle = start + (end - start) // timedelta(minutes=2) * timedelta(minutes=1)
        if _get_offset(middle, clock) == before:
            start = middle
        else:
            end = middle
    return end


def find_nearby_change(local: pl.Series, *, zone: str) -> pl.Series:
    """Return per local time the start of the repeated hour in or near which it lies, else null."""
    answer = pl.lit(None, dtype=pl.Datetime("us"))
    times = local.to_frame("local")
    for hour in _list_hours_near(local, zone=zone):
        is_near = pl.col("local").is_between(hour.start - NEAR, hour.end + NEAR, closed="left")
        answer = (
            pl.when(is_near).then(pl.lit(hour.start, dtype=pl.Datetime("us"))).otherwise(answer)
        )
    return times.with_columns(change=answer)["change"]


def resolve_repeated_times(
    frame: pl.DataFrame, *, local: str, order: str, subject: Sequence[str], zone: str
) -> pl.Series:
    """Return 0 for the first pass of a repeated hour, 1 for the second, null where unknown.

    One after the other the times of one subject rise, and step back once where the hour begins
    again. A time that only stands there twice is no step back if the series' step is known to be
    shorter than the hour. If an hour is there once, readings right before it make it the first pass
    and readings right after it the second, provided that the step is no longer than the hour: a
    longer one may step over a whole pass. Rows outside the hour count as first.

    Args:
        frame: Rows in the order in which they stand in their source.
        local: The column of local times, Datetime without zone.
        order: The column whose equal values are cells beside each other.
        subject: The columns that name a series; none for one series.
        zone: IANA name of the clock.

    Returns:
        Int32 (n_rows,).
    """
    keys = [*subject] or ["_all"]
    rows = frame.select(
        pl.lit(0).alias("_all"), *subject, pl.col(local).alias("_local"), pl.col(order).alias("_at")
    ).with_row_index("_row")
    parts = [
        _resolve_hour(rows, hour, keys=keys) for hour in _list_hours_near(frame[local], zone=zone)
    ]
    passes = (
        pl.concat(parts) if parts else pl.DataFrame(schema={"_row": pl.UInt32, "_pass": pl.Int32})
    )
    joined = rows.select("_row").join(
        passes.with_columns(_is_inside=pl.lit(value=True)),
        on="_row",
        how="left",
        maintain_order="left",
    )
    return joined.select(
        pl.when(pl.col("_is_inside").is_null()).then(0).otherwise("_pass").alias("pass")
    )["pass"]


def _list_hours_near(local: pl.Series, *, zone: str) -> Iterator[RepeatedHour]:
    """Yield the repeated hours in or near which some of the local times lie."""
    first, last = local.min(), local.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return
    for hour in list_repeated_hours(zone):
        if hour.start - NEAR <= last and first < hour.end + NEAR:
            yield hour


def _resolve_hour(rows: pl.DataFrame, hour: RepeatedHour, *, keys: list[str]) -> pl.DataFrame:
    """Return `_row` and `_pass` of the rows within the hour; `_pass` is null where unknown."""
    local = pl.col("_local")
    is_inside = local.is_between(hour.start, hour.end, closed="left")
    near = rows.filter(local.is_between(hour.start - NEAR, hour.end + NEAR, closed="left"))
    side = (local >= hour.start).cast(pl.Int8) + (local >= hour.end).cast(pl.Int8)
    # one row per place in the source, with the step from the place before on the same side
    places = (
        near.unique([*keys, "_at"], keep="first", maintain_order=True)
        .with_columns(_side=side)
        .with_columns(_step=(local - local.shift(1)).over([*keys, "_side"]))
    )
    inside = places.filter(is_inside).join(
        _summarise_surroundings(places, hour, keys=keys),
        on=keys,
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    judged = _assign_passes(inside, length=hour.end - hour.start, keys=keys)
    return (
        near.filter(is_inside)
        .join(judged.select(*keys, "_at", "_pass"), on=[*keys, "_at"], how="left", nulls_equal=True)
        .select("_row", "_pass")
    )


def _summarise_surroundings(
    places: pl.DataFrame, hour: RepeatedHour, *, keys: list[str]
) -> pl.DataFrame:
    """Return one row per series: what stands before, within and after the hour, and its step."""
    local, at = pl.col("_local"), pl.col("_at")
    is_inside = local.is_between(hour.start, hour.end, closed="left")
    length = hour.end - hour.start
    return places.group_by(keys).agg(
        before=at.filter(local < hour.start).max(),
        after=at.filter(local >= hour.end).min(),
        leads_up=local.filter(local < hour.start).max() >= hour.start - length,
        follows=local.filter(local >= hour.end).min() < hour.end + length,
        step=pl.col("_step").filter(pl.col("_step") > timedelta(0)).min(),
        first=at.filter(is_inside).min(),
        last=at.filter(is_inside).max(),
    )


def _assign_passes(inside: pl.DataFrame, *, length: timedelta, keys: list[str]) -> pl.DataFrame:
    """Return the places within the hour with `_pass`: 0, 1, or null where unknown."""
    local = pl.col("_local")
    # a time that stands there twice is a duplicate where steps are shorter than a pass
    is_back = local < local.shift(1)
    is_again = (local == local.shift(1)) & (pl.col("step") >= length).fill_null(value=True)
    runs_back = (is_back | is_again).fill_null(value=False).cast(pl.Int32)
    numbered = inside.with_columns(_run=runs_back.cum_sum().over(keys))
    runs = numbered.group_by(keys).agg(runs=pl.col("_run").max() + 1)
    is_in_order = (pl.col("before") < pl.col("first")).fill_null(value=True) & (
        pl.col("after") > pl.col("last")
    ).fill_null(value=True)
    leads_up = pl.col("leads_up").fill_null(value=False)
    follows = pl.col("follows").fill_null(value=False)
    one_side = pl.col("before").is_null() | pl.col("after").is_null()
    is_fine = (pl.col("step") <= length).fill_null(value=False)
    return numbered.join(runs, on=keys, how="left", nulls_equal=True).with_columns(
        _pass=pl.when(is_in_order & (pl.col("runs") == 2))
        .then("_run")
        .when(is_in_order & is_fine & one_side & (pl.col("runs") == 1) & (leads_up | follows))
        .then(follows.cast(pl.Int32))
    )
