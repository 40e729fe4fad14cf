"""Times as people write them in files: which formats there are, and which one a column has."""

from typing import Literal

import polars as pl

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
    """Whole numbers that would all lie within 1970 to 1973, and therefore count something else."""
    return raw.dtype.is_integer() and bool((raw.abs() < 10**8).any())


def parsed_times(raw: pl.Series, time_format: str | None) -> pl.Series:
    """Times of a column as read from a file, null where not understood; naive or with a zone.

    Whole numbers are seconds or milliseconds since 1970, UTC. Without a format, the one of
    TIME_FORMATS and OFFSET_FORMATS that reads most rows counts.
    """
    dtype = raw.dtype
    if isinstance(dtype, pl.Datetime):
        return raw
    if dtype == pl.Date:
        return raw.cast(pl.Datetime("us"))
    if dtype.is_integer():
        unit: Literal["s", "ms", "us"] = "s" if (raw.max() or 0) < 10**11 else "ms"  # type: ignore[operator]
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
