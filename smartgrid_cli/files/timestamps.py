"""Times as people write them in files: which formats there are, and which one a column has."""

from datetime import datetime
from typing import Literal

import polars as pl

from smartgrid_core.time import HOUR

TIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y%m%d%H%M",
    "%Y-%m-%d",
)
"""Tried in this order; the first that reads the most rows wins. American dates before European."""

OFFSET_FORMATS = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")


def is_no_epoch(raw: pl.Series) -> bool:
    """Return whether whole numbers would all lie within 1970 to 1973, and count something else."""
    return raw.dtype.is_integer() and bool((raw.abs() < 10**8).any())


def parse_times(raw: pl.Series, time_format: str | None) -> pl.Series:
    """Return the times of a column, null where not understood; naive or with a zone."""
    dtype = raw.dtype
    if isinstance(dtype, pl.Datetime):
        return raw
    if dtype == pl.Date:
        return raw.cast(pl.Datetime("us"))
    if dtype.is_integer():
        unit: Literal["s", "ms", "us"] = "s" if (raw.cast(pl.Float64) < 1e11).all() else "ms"
        return pl.select(pl.from_epoch(raw, time_unit=unit)).to_series().dt.replace_time_zone("UTC")
    text = raw.cast(pl.String).str.strip_chars()
    if time_format is not None:
        return text.str.to_datetime(time_format, strict=False, time_unit="us")
    best = text.str.to_datetime(TIME_FORMATS[0], strict=False, time_unit="us")
    for candidate in (*TIME_FORMATS[1:], *OFFSET_FORMATS):
        if not best.null_count():
            break
        zoned = candidate in OFFSET_FORMATS
        suffixed = text.str.replace("Z$", "+00:00") if zoned else text
        times = suffixed.str.to_datetime(candidate, strict=False, time_unit="us")
        if times.null_count() < best.null_count():
            best = times
    return best


def find_time_span(times: pl.Series) -> tuple[datetime, datetime]:
    """Return the first and the last of some times. Raises ValueError if there is none."""
    first, last = times.min(), times.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise ValueError(f"no time in {times.name!r}")
    return first, last


def convert_wall_to_utc(wall: pl.Expr, *, timezone: str) -> pl.Expr:
    """Return a wall clock carried as UTC as true UTC."""

    def localised(naive: pl.Expr) -> pl.Expr:
        return naive.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")

    naive = wall.dt.replace_time_zone(None)
    return pl.coalesce(localised(naive), localised(naive.dt.offset_by("1h"))).dt.convert_time_zone(
        "UTC"
    )


def to_instants(times: pl.Series, *, series: pl.Series, timezone: str) -> pl.Series:
    """Return times of rows as UTC, in microseconds. Naive ones are on the local clock."""
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        return times.dt.convert_time_zone("UTC")
    if timezone == "UTC":
        return times.dt.replace_time_zone("UTC")
    rows = pl.DataFrame({"wall": times, "series": series})
    again = pl.int_range(pl.len()).over("series", "wall") > 0
    which = pl.when(again).then(pl.lit("latest")).otherwise(pl.lit("earliest"))
    wall = pl.col("wall")
    local = wall.dt.replace_time_zone(timezone, ambiguous=which, non_existent="null")
    after = (wall + HOUR).dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    answer = rows.select(pl.coalesce(local, after).dt.convert_time_zone("UTC"))
    return answer.to_series().alias(times.name)


def is_second_of_a_doubled_hour(utc: pl.Expr, *, timezone: str) -> pl.Expr:
    """Return whether the local clock shows a time that it has shown an hour before."""
    local = utc.dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    before = (utc - HOUR).dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    return local == before
