"""Anyone's file of time series, read and brought onto a regular grid; every repair is noted.

Times are kept as the file's own wall clock: a time with an offset is converted to the local clock,
one without is taken as it stands. So a clock change makes a missing or a doubled hour, never a
shifted one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import polars as pl

from smartgrid_cli.files.durations import format_duration, round_to_step
from smartgrid_cli.files.table import (
    Columns,
    SeriesFileError,
    build_missing_column_error,
    find_usual_gap,
    has_zone,
    parse_numbers,
    read_table,
    read_times,
    resolve_targets,
)
from smartgrid_core.time import DAY

How = Literal["mean", "sum"]


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """Regular series out of a file.

    Attributes:
        loads: feeder_id, hour_start, load_kw (the target, in its own unit; null where missing),
            every step from a series' first to its last. `hour_start` is the local wall clock,
            carried as if it were UTC.
        exog: feeder_id, hour_start and a column per exogenous one; None without.
        step: Distance of the steps.
        notes: What was repaired or left out, in sentences.
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
    """Return the regular series of a CSV or Parquet file; several targets become several series.

    Rows of the same series and time are averaged.

    Args:
        path: The file.
        columns: Which columns mean what.
        timezone: Local time zone, to which times with an offset are converted.
        step: Distance of the steps; None for the file's own.
        how: Whether the rows of a longer step are averaged or summed; a sum over a step with
            missing rows is scaled up if half of them are there.
        total: Replaces the series by their sum under this name; None keeps them.
        min_coverage: Series with a smaller share of known steps, 0 to 1, are left out.

    Raises:
        SeriesFileError: If the file cannot be used; names the column and what to do.
    """
    notes: list[str] = []
    long = _to_long(read_table(path), columns, path=path, timezone=timezone, notes=notes)
    native = round_to_step(find_usual_gap(long, path=path))
    if step is None:
        step = native
    elif step < native:
        raise SeriesFileError(
            f"{path}: its step is {format_duration(native)}; it cannot be split to "
            f"{format_duration(step)}"
        )
    loads = _build_regular(long, native=native, step=step, how=how, notes=notes)
    loads = _drop_incomplete(loads, min_coverage=min_coverage, path=path, notes=notes)
    if total is not None:
        loads = _sum_series(loads, name=total, notes=notes)
    if loads["feeder_id"].eq("all").any():
        raise SeriesFileError(
            f"{path}: a series is named 'all', which stands for every series together; rename it"
        )
    exog = _average_exogenous(long, columns.exog, step=step, total=total) if columns.exog else None
    return SeriesTable(loads=loads, exog=exog, step=step, notes=notes)


def _to_long(
    table: pl.DataFrame, columns: Columns, *, path: Path, timezone: str, notes: list[str]
) -> pl.DataFrame:
    """Return series, time (naive wall clock), value and the exogenous columns, as read.

    Args:
        table: The file as it was read.
        columns: Which columns mean what.
        path: The file, for errors.
        timezone: Local time zone, to which times with an offset are converted.
        notes: Where repairs are added.

    Raises:
        SeriesFileError: If a column is missing or the file has no rows.
    """
    for name in (columns.time, columns.series, *columns.exog):
        if name is not None and name not in table.columns:
            raise build_missing_column_error(name, table, path=path)
    targets = resolve_targets(table, columns, path=path)
    wall = read_times(table, columns, path=path, notes=notes)
    if has_zone(wall):
        wall = wall.dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    numbers = [*targets, *columns.exog]
    table = table.with_columns(
        [parse_numbers(table[name], path=path, notes=notes) for name in numbers]
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


def _build_regular(
    long: pl.DataFrame, *, native: timedelta, step: timedelta, how: How, notes: list[str]
) -> pl.DataFrame:
    """Return every step of each series: duplicates averaged, rows moved to the grid, gaps null.

    Args:
        long: series, time, value of every row.
        native: Distance of the file's own steps.
        step: Distance of the steps that are returned, a multiple of `native`.
        how: Whether the rows of a longer step are averaged or summed.
        notes: Where repairs are added.
    """
    known = long.select("series", "time", "value")
    ordered = known.select((pl.col("time").diff().over("series") >= timedelta(0)).all()).item()
    if not ordered:
        notes.append("rows were not in order of time")
    on_grid = pl.col("time").dt.truncate(native)
    if moved := known.filter(pl.col("time") != on_grid).height:
        notes.append(f"{moved} rows off the {format_duration(native)} grid moved back onto it")
    slots = known.group_by("series", time=on_grid).agg(pl.col("value").mean(), rows=pl.len())
    if doubled := int((slots["rows"] - 1).sum()):
        notes.append(f"{doubled} duplicate {_format_plural(native)} averaged")
    slots = _open_gaps(slots, native)
    if gaps := slots["value"].null_count():
        notes.append(f"{gaps} missing {_format_plural(native)} of {slots.height} left unknown")
    if step == native:
        return _name_series(slots)
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
        notes.append(f"{partial} {_format_plural(step)} made from part of their rows")
    notes.append(f"{format_duration(native)} rows brought to {format_duration(step)} by {how}")
    return _name_series(_open_gaps(resampled, step))


def _open_gaps(slots: pl.DataFrame, step: timedelta) -> pl.DataFrame:
    """Return every step of a series between its first and its last known value."""
    spans = (
        slots.filter(pl.col("value").is_not_null())
        .group_by("series")
        .agg(time=pl.datetime_range(pl.col("time").min(), pl.col("time").max(), step))
    )
    return spans.explode("time").join(
        slots.select("series", "time", "value"), on=["series", "time"], how="left"
    )


def _name_series(slots: pl.DataFrame) -> pl.DataFrame:
    """Return the slots under the column names of a load table, ordered."""
    return slots.select(
        feeder_id="series", hour_start=pl.col("time").dt.replace_time_zone("UTC"), load_kw="value"
    ).sort("feeder_id", "hour_start")


def _drop_incomplete(
    loads: pl.DataFrame, *, min_coverage: float, path: Path, notes: list[str]
) -> pl.DataFrame:
    """Return the series that are known for a sufficient share of the steps.

    Args:
        loads: Every step of each series.
        min_coverage: Share of known steps, 0 to 1.
        path: The file, for errors.
        notes: Where the number of dropped series is added.

    Raises:
        SeriesFileError: If no series is left.
    """
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


def _sum_series(loads: pl.DataFrame, *, name: str, notes: list[str]) -> pl.DataFrame:
    """Return the sum of all series by step, as one series of that name."""
    members = loads["feeder_id"].n_unique()
    notes.append(f"{members} series summed to {name!r}")
    return (
        loads.drop_nulls("load_kw")
        .group_by("hour_start")
        .agg(pl.col("load_kw").sum())
        .select(pl.lit(name).alias("feeder_id"), "hour_start", "load_kw")
        .sort("hour_start")
    )


def _average_exogenous(
    long: pl.DataFrame, names: Sequence[str], *, step: timedelta, total: str | None
) -> pl.DataFrame:
    """Return the means of the exogenous columns by series and step.

    Args:
        long: series, time and the exogenous columns of every row.
        names: The exogenous columns.
        step: Distance of the steps.
        total: Name of the sum that replaces all series; None keeps them.
    """
    series = pl.col("series") if total is None else pl.lit(total)
    hour = pl.col("time").dt.truncate(step).dt.replace_time_zone("UTC")
    return long.group_by(feeder_id=series, hour_start=hour).agg(pl.col(*names).mean())


def _format_plural(step: timedelta) -> str:
    return {timedelta(hours=1): "hours", DAY: "days"}.get(step, f"{format_duration(step)} steps")
