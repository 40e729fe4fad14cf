"""Anyone's file as a table: which of its columns hold times, numbers and targets.

What is not understood is refused, naming file, column and remedy; what is left out is noted.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl

from smartgrid_cli.files.timestamps import is_no_epoch, parse_times
from smartgrid_core.errors import SmartGridError

LEFT_OUT_AT_MOST = 0.01
"""A file with a larger share of unreadable times is not understood, and refused."""


class SeriesFileError(SmartGridError):
    """A file cannot be used; the text names the file, the column and what to do."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of the file mean what.

    Attributes:
        time: Column of times.
        targets: Columns of values; a target may be a pattern such as `MAC*`.
        series: Column that names a row's series; None if each target is a series.
        exog: Columns that explain the targets.
        time_format: Format of the times, as of strptime; None to recognise it.
        label: Column of labels, 0 and 1; None without.
    """

    time: str
    targets: Sequence[str]
    series: str | None = None
    exog: Sequence[str] = ()
    time_format: str | None = None
    label: str | None = None


def read_table(path: Path) -> pl.DataFrame:
    """Return all rows of a CSV (also .gz) or Parquet file. Raises SeriesFileError."""
    if not path.is_file():
        raise SeriesFileError(f"{path}: no such file")
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            return pl.read_parquet(path)
        if name.endswith((".csv", ".txt", ".csv.gz", ".tsv")):
            return _read_csv(path)
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        raise SeriesFileError(f"{path}: cannot be read: {error}") from error
    raise SeriesFileError(
        f"{path}: neither CSV nor Parquet by its name; end it with .csv or .parquet"
    )


def _read_csv(path: Path) -> pl.DataFrame:
    """Return the rows of a CSV file.

    Comma, semicolon or tab, whichever the header has most of; with a semicolon 1,5 is 1.5.
    """
    header = pl.read_csv(path, has_header=False, n_rows=1, separator="\x01", quote_char=None)
    line = str(header.item())
    separator = max(",;\t", key=line.count)
    return pl.read_csv(
        path,
        separator=separator,
        decimal_comma=separator == ";" and not _has_decimal_points(path),
        infer_schema_length=10_000,
        ignore_errors=False,
        null_values=["", "NA", "NaN", "nan", "null", "?"],
    )


def _has_decimal_points(path: Path) -> bool:
    sample = pl.read_csv(
        path, has_header=False, skip_rows=1, n_rows=50, separator="\x01", quote_char=None
    )
    return (
        bool(sample.to_series(0).cast(pl.String).str.contains(r"\d\.\d+(;|$)").any())
        if sample.height
        else False
    )


def resolve_targets(table: pl.DataFrame, columns: Columns, *, path: Path) -> list[str]:
    """Return the target columns, patterns resolved. Raises SeriesFileError if one matches none."""
    taken = {columns.time, columns.series, columns.label, *columns.exog}
    found: list[str] = []
    for pattern in columns.targets:
        names = (
            [pattern]
            if pattern in table.columns
            else [
                name for name in table.columns if name not in taken and fnmatchcase(name, pattern)
            ]
        )
        if not names:
            raise build_missing_column_error(pattern, table, path=path)
        found += [name for name in names if name not in found]
    return found


def build_missing_column_error(name: str, table: pl.DataFrame, *, path: Path) -> SeriesFileError:
    """Return the error of a column that is not there, with the nearest name that is."""
    close = difflib.get_close_matches(name, table.columns, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    known = ", ".join(map(repr, table.columns[:12])) + (", ..." if table.width > 12 else "")
    return SeriesFileError(f"{path}: no column {name!r}.{meant} It has {known}")


def read_times(table: pl.DataFrame, columns: Columns, *, path: Path, notes: list[str]) -> pl.Series:
    """Return the time column in microseconds, naive or with a zone; null in rows to leave out.

    Args:
        table: The file as it was read.
        columns: Which columns mean what.
        path: The file, for errors.
        notes: Where the number of rows without a time is added.

    Raises:
        SeriesFileError: If more than LEFT_OUT_AT_MOST of the times cannot be read.
    """
    raw = table[columns.time]
    if (raw.dtype.is_numeric() and not raw.dtype.is_integer()) or is_no_epoch(raw):
        raise SeriesFileError(
            f"{path}: column {columns.time!r} holds numbers such as {raw[0]!r}, not times; name the"
            " column of times, or give seconds or milliseconds since 1970"
        )
    times = parse_times(raw, columns.time_format)
    bad = times.is_null()
    if (count := int(bad.sum())) > LEFT_OUT_AT_MOST * len(raw):
        row = int(bad.arg_max() or 0)
        raise SeriesFileError(
            f"{path}: column {columns.time!r}, row {row + 1}: {raw[row]!r} is not read as a time"
            f" ({count} of {len(raw)} rows); give --time-format, such as '%d.%m.%Y %H:%M'"
        )
    if count:
        notes.append(f"{count} rows without a readable time left out")
    return times.dt.cast_time_unit("us")


def has_zone(times: pl.Series) -> bool:
    """Return whether times carry their zone or offset."""
    return isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None


def parse_numbers(column: pl.Series, *, path: Path, notes: list[str]) -> pl.Series:
    """Return finite float64 or null; text that is no number is noted. Raises SeriesFileError."""
    if column.dtype == pl.String:
        numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
        bad = numbers.is_null() & column.is_not_null() & (column.str.strip_chars() != "")
        if count := int(bad.sum()):
            first = column.filter(bad)[0]
            if count > len(column) / 2:
                raise SeriesFileError(
                    f"{path}: column {column.name!r} is text such as {first!r}, not numbers"
                )
            notes.append(f"{count} values of {column.name!r} are no numbers, such as {first!r}")
    elif column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        numbers = column.cast(pl.Float64)
    else:
        raise SeriesFileError(f"{path}: column {column.name!r} is {column.dtype}, not numbers")
    return numbers.set(~numbers.is_finite(), None)


def find_usual_gap(long: pl.DataFrame, *, path: Path) -> timedelta:
    """Return the most frequent distance between neighbours of a series. ``long``: series, time."""
    gaps = (
        long.select("series", "time")
        .unique()
        .sort("series", "time")
        .select(pl.col("time").diff().over("series").alias("gap"))
        .drop_nulls()
    )
    if gaps.is_empty():
        raise SeriesFileError(f"{path}: one row per series is too little to see the time step")
    usual = gaps["gap"].mode().min()
    assert isinstance(usual, timedelta)  # noqa: S101 - a mode of durations is a duration
    return usual
