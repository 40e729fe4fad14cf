"""Anyone's file of time series, read and brought onto a regular grid; every repair is told.

Times are kept as the file's own wall clock: a time with an offset is converted to the local clock,
one without is taken as it stands. So a clock change makes a missing or a doubled hour, never a
shifted one.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import polars as pl

from smartgrid_cli.durations import shown, step_of
from smartgrid_cli.file_times import is_no_epoch, parsed_times
from smartgrid_core.errors import SmartGridError
from smartgrid_core.time import DAY

LEFT_OUT_AT_MOST = 0.01
"""A file with a larger share of unreadable times is not understood, and refused."""

How = Literal["mean", "sum"]


class SeriesFileError(SmartGridError):
    """A file cannot be backtested; the text names the file, the column and the mend."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of the file mean what. A target may be a pattern such as `MAC*`."""

    time: str
    targets: Sequence[str]
    series: str | None = None
    exog: Sequence[str] = ()
    time_format: str | None = None


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """Regular series out of a file.

    `loads`: feeder_id, hour_start, load_kw (the target, in its own unit; null where missing), every
    step from a series' first to its last. `exog`: feeder_id, hour_start and a column per exogenous
    one. `hour_start` is the local wall clock, carried as if it were UTC.
    """

    loads: pl.DataFrame
    exog: pl.DataFrame | None
    step: timedelta
    notes: Sequence[str] = field(default_factory=tuple)


def read_series(
    path: Path,
    columns: Columns,
    *,
    timezone: str,
    step: timedelta | None = None,
    how: How = "mean",
    total: str | None = None,
    min_coverage: float = 0.0,
) -> SeriesTable:
    """Read a CSV or Parquet file; several targets become series of their own.

    Rows of the same series and time are averaged. With `step`, the rows of each step are averaged
    or summed; a sum over a step with missing rows is scaled up if half of them are there. `total`
    replaces the series by their sum under that name. Series with a smaller share of known steps
    than `min_coverage` are left out.

    Raises SeriesFileError.
    """
    notes: list[str] = []
    long = _long(_read(path), columns, path=path, timezone=timezone, notes=notes)
    native = _native_step(long, path=path)
    if step is None:
        step = native
    elif step < native:
        raise SeriesFileError(
            f"{path}: its step is {shown(native)}; it cannot be split to {shown(step)}"
        )
    loads = _regular(long, native=native, step=step, how=how, notes=notes)
    loads = _complete(loads, min_coverage=min_coverage, path=path, notes=notes)
    if total is not None:
        loads = _summed(loads, name=total, notes=notes)
    if loads["feeder_id"].eq("all").any():
        raise SeriesFileError(
            f"{path}: a series is named 'all', which stands for every series together; rename it"
        )
    exog = _exogenous(long, columns.exog, step=step, total=total) if columns.exog else None
    return SeriesTable(loads=loads, exog=exog, step=step, notes=notes)


def _read(path: Path) -> pl.DataFrame:
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
    """Comma, semicolon or tab, whichever the header has most of; with a semicolon 1,5 is 1.5."""
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


def _long(
    table: pl.DataFrame, columns: Columns, *, path: Path, timezone: str, notes: list[str]
) -> pl.DataFrame:
    """Columns series, time (naive wall clock), value and the exogenous ones, as read."""
    for name in (columns.time, columns.series, *columns.exog):
        if name is not None and name not in table.columns:
            raise _missing(name, table, path=path)
    targets = _targets(table, columns, path=path)
    wall = _wall_clock(table, columns, path=path, timezone=timezone, notes=notes)
    numbers = [*targets, *columns.exog]
    table = table.with_columns(
        [_number(table[name], path=path, notes=notes) for name in numbers]
    ).with_columns(wall.alias("__time"))
    table = table.filter(pl.col("__time").is_not_null())
    if table.is_empty():
        raise SeriesFileError(f"{path}: has no rows")
    exog = [pl.col(name) for name in columns.exog]
    if columns.series is None:
        return pl.concat(
            [
                table.select(
                    pl.lit(target).alias("series"), pl.col("__time").alias("time"),
                    pl.col(target).alias("value"), *exog,
                )
                for target in targets
            ]
        )  # fmt: skip
    if len(targets) > 1:
        raise SeriesFileError(f"{path}: --series goes with one --target, not with {len(targets)}")
    series = pl.col(columns.series).cast(pl.String).fill_null("(no name)")
    return table.select(
        series.alias("series"),
        pl.col("__time").alias("time"),
        pl.col(targets[0]).alias("value"),
        *exog,
    )


def _targets(table: pl.DataFrame, columns: Columns, *, path: Path) -> list[str]:
    taken = {columns.time, columns.series, *columns.exog}
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
            raise _missing(pattern, table, path=path)
        found += [name for name in names if name not in found]
    return found


def _missing(name: str, table: pl.DataFrame, *, path: Path) -> SeriesFileError:
    close = difflib.get_close_matches(name, table.columns, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    some = ", ".join(map(repr, table.columns[:12])) + (", ..." if table.width > 12 else "")
    return SeriesFileError(f"{path}: no column {name!r}.{meant} It has {some}")


def _wall_clock(
    table: pl.DataFrame, columns: Columns, *, path: Path, timezone: str, notes: list[str]
) -> pl.Series:
    """The time column as naive local time; null in rows that are left out."""
    raw = table[columns.time]
    if (raw.dtype.is_numeric() and not raw.dtype.is_integer()) or is_no_epoch(raw):
        raise SeriesFileError(
            f"{path}: column {columns.time!r} holds numbers such as {raw[0]!r}, not times; name the"
            " column of times, or give seconds or milliseconds since 1970"
        )
    times = parsed_times(raw, columns.time_format)
    zone = times.dtype.time_zone if isinstance(times.dtype, pl.Datetime) else None
    if zone is not None:
        times = times.dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    bad = times.is_null()
    if (count := int(bad.sum())) > LEFT_OUT_AT_MOST * len(raw):
        row = int(bad.arg_max() or 0)
        raise SeriesFileError(
            f"{path}: column {columns.time!r}, row {row + 1}: {raw[row]!r} is not read as a time"
            f" ({count} of {len(raw)} rows); give --time-format, such as '%d.%m.%Y %H:%M'"
        )
    if count:
        notes.append(f"{count} rows without a readable time left out")
    return times.cast(pl.Datetime("us"))


def _number(column: pl.Series, *, path: Path, notes: list[str]) -> pl.Series:
    """Finite float64 or null; text that is no number is told."""
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


def _native_step(long: pl.DataFrame, *, path: Path) -> timedelta:
    """The most frequent distance between neighbours of a series, brought to a divisor of a day."""
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
    return step_of(usual)


def _regular(
    long: pl.DataFrame, *, native: timedelta, step: timedelta, how: How, notes: list[str]
) -> pl.DataFrame:
    """Duplicates averaged, rows put on the grid, gaps opened as nulls."""
    known = long.select("series", "time", "value")
    ordered = known.select((pl.col("time").diff().over("series") >= timedelta(0)).all()).item()
    if not ordered:
        notes.append("rows were not in order of time")
    on_grid = pl.col("time").dt.truncate(native)
    if moved := known.filter(pl.col("time") != on_grid).height:
        notes.append(f"{moved} rows off the {shown(native)} grid moved back onto it")
    slots = known.group_by("series", time=on_grid).agg(pl.col("value").mean(), rows=pl.len())
    if doubled := int((slots["rows"] - 1).sum()):
        notes.append(f"{doubled} duplicate {_plural(native)} averaged")
    slots = _opened(slots, native)
    if gaps := slots["value"].null_count():
        notes.append(f"{gaps} missing {_plural(native)} of {slots.height} left unknown")
    if step == native:
        return _named(slots)
    share = step / native
    resampled = (
        slots.group_by("series", time=pl.col("time").dt.truncate(step))
        .agg(pl.col("value").mean(), known=pl.col("value").count())
        .with_columns(
            value=pl.when(pl.col("known") >= share / 2).then(
                pl.col("value") * (share if how == "sum" else 1.0)
            )
        )
    )
    if partial := resampled.filter(
        (pl.col("known") < share) & pl.col("value").is_not_null()
    ).height:
        notes.append(f"{partial} {_plural(step)} made from part of their rows")
    notes.append(f"{shown(native)} rows brought to {shown(step)} by {how}")
    return _named(_opened(resampled, step))


def _opened(slots: pl.DataFrame, step: timedelta) -> pl.DataFrame:
    """Every step of a series between its first and its last known value."""
    spans = (
        slots.filter(pl.col("value").is_not_null())
        .group_by("series")
        .agg(time=pl.datetime_range(pl.col("time").min(), pl.col("time").max(), step))
    )
    return spans.explode("time").join(
        slots.select("series", "time", "value"), on=["series", "time"], how="left"
    )


def _named(slots: pl.DataFrame) -> pl.DataFrame:
    return slots.select(
        feeder_id="series", hour_start=pl.col("time").dt.replace_time_zone("UTC"), load_kw="value"
    ).sort("feeder_id", "hour_start")


def _complete(
    loads: pl.DataFrame, *, min_coverage: float, path: Path, notes: list[str]
) -> pl.DataFrame:
    steps = loads["hour_start"].n_unique()
    shares = loads.group_by("feeder_id").agg(share=pl.col("load_kw").count() / max(1, steps))
    kept = shares.filter(pl.col("share") >= min_coverage)["feeder_id"]
    if kept.is_empty():
        raise SeriesFileError(f"{path}: no series has values in {min_coverage:.0%} of the steps")
    if dropped := shares.height - len(kept):
        notes.append(
            f"{dropped} of {shares.height} series left out: known for less than {min_coverage:.0%}"
        )
    return loads.filter(pl.col("feeder_id").is_in(kept.implode()))


def _summed(loads: pl.DataFrame, *, name: str, notes: list[str]) -> pl.DataFrame:
    members = loads["feeder_id"].n_unique()
    notes.append(f"{members} series summed to {name!r}")
    return (
        loads.drop_nulls("load_kw")
        .group_by("hour_start")
        .agg(pl.col("load_kw").sum())
        .select(pl.lit(name).alias("feeder_id"), "hour_start", "load_kw")
        .sort("hour_start")
    )


def _exogenous(
    long: pl.DataFrame, names: Sequence[str], *, step: timedelta, total: str | None
) -> pl.DataFrame:
    """Means of the exogenous columns by series and step."""
    series = pl.col("series") if total is None else pl.lit(total)
    hour = pl.col("time").dt.truncate(step).dt.replace_time_zone("UTC")
    return long.group_by(feeder_id=series, hour_start=hour).agg(pl.col(*names).mean())


def _plural(step: timedelta) -> str:
    return {timedelta(hours=1): "hours", DAY: "days"}.get(step, f"{shown(step)} steps")
