"""Anyone's file of readings for the detectors: its rows as they stand, and a regular grid of them.

Unlike a backtest's, these times are instants: a clock change neither doubles nor loses an hour.
Rows keep their own times, so that an anomaly has a time that the file has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

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
from smartgrid_cli.files.timestamps import (
    convert_wall_to_utc,
    is_second_of_a_doubled_hour,
    to_instants,
)
from smartgrid_core.time import DAY, HOUR

MOST_STEPS = 50_000_000
"""More steps than this, of all series together, do not fit into the memory of a usual machine."""

LONGEST_GAP = 1.5 * DAY
"""Days are not the same length everywhere; weeks are no days."""

MOSTLY_EMPTY = 100
"""A grid with so many steps per row says that the step is not the file's."""

FEWEST_VALUES = 2
"""Of one value nobody can say whether it is unusual."""

WORDS = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes"), True),
    **dict.fromkeys(("0", "0.0", "false", "f", "no"), False),
}


@dataclass(frozen=True, slots=True)
class Readings:
    """Rows of a file, and the same on a regular grid.

    Attributes:
        rows: series, time (UTC), slot (the grid's time that it belongs to), value (null where it
            has none), label (null where unknown or not asked for); one row per (series, time),
            ordered.
        grid: series, time, instant, value (mean of its rows), expected (whether a row is missed
            where none is); every step from a series' first value to its last row, ordered. `time`
            is the grid's own clock, carried as UTC: UTC for steps up to an hour, the local wall
            clock for longer ones; `instant` is UTC in both.
        context: time and a column per exogenous one, mean by step of the grid; None without.
        unjudged: series, time, label of rows without a value that cannot be judged, because their
            series has no value yet, or none at all.
        step: Distance of the grid's steps.
        clock: The zone of the grid's own clock.
        written_on: The zone on whose clock the file has its times without an offset; None if they
            carry one.
        notes: What was repaired or left out, in sentences.
    """

    rows: pl.DataFrame
    grid: pl.DataFrame
    context: pl.DataFrame | None
    unjudged: pl.DataFrame
    step: timedelta
    clock: str
    written_on: str | None
    notes: Sequence[str] = field(default_factory=tuple)


def read_readings(
    path: Path, columns: Columns, *, timezone: str, step: timedelta | None = None
) -> Readings:
    """Return the readings of a CSV or Parquet file; several targets become series of their own.

    Rows of the same series and time are averaged, as are the rows of one step.

    Args:
        path: The file.
        columns: Which columns mean what.
        timezone: Local time zone; times without an offset are on its clock.
        step: Distance of the grid's steps; None for the file's own, the most frequent distance of
            its rows but a minute at least.

    Raises:
        SeriesFileError: If the file cannot be used; names the column and what to do.
    """
    notes: list[str] = []
    long = _to_long(read_table(path), columns, path=path, timezone=timezone, notes=notes)
    long, unjudged = _split_by_values(long, path=path, notes=notes)
    if step is None:
        gap = find_usual_gap(long, path=path)
        if gap > LONGEST_GAP:
            raise SeriesFileError(
                f"{path}: its rows are {format_duration(gap)} apart; detectors judge days and "
                "what is"
                " shorter: give a file with at least a value a day"
            )
        step = round_to_step(gap)
    clock = timezone if step > HOUR else "UTC"
    known = (
        long.drop("naive")
        .group_by("series", "time")
        .agg(pl.col("value", *columns.exog).mean(), pl.col("label").max())
        .sort("series", "time")
    )
    if doubled := long.height - known.height:
        notes.append(f"{doubled} rows share series and time with another: averaged")
    slots = _assign_slots(known, step=step, clock=clock)
    if off := slots.filter(pl.col("slot") != pl.col("clocked")).height:
        notes.append(
            f"{off} rows stand off the {format_duration(step)} grid; they keep their own times"
        )
    grid = _build_grid(slots, step=step, clock=clock, path=path)
    written_on = timezone if long["naive"].any() else None
    if written_on not in (None, "UTC"):
        doubled_hour = is_second_of_a_doubled_hour(pl.col("instant"), timezone=timezone)
        grid = grid.with_columns(expected=pl.col("expected") & ~doubled_hour)
    if gaps := grid.filter(pl.col("value").is_null() & pl.col("expected")).height:
        notes.append(f"{gaps} of {grid.height} steps have no value")
    return Readings(
        rows=slots.select("series", "time", "slot", "value", "label"),
        grid=grid,
        context=_build_context(slots, columns.exog),
        unjudged=unjudged,
        step=step,
        clock=clock,
        written_on=written_on,
        notes=notes,
    )


def _to_long(
    table: pl.DataFrame, columns: Columns, *, path: Path, timezone: str, notes: list[str]
) -> pl.DataFrame:
    """Return series, time (UTC), naive, label, value and the exogenous columns, one row per value.

    Args:
        table: The file as it was read.
        columns: Which columns mean what.
        path: The file, for errors.
        timezone: Local time zone; times without an offset are on its clock.
        notes: Where repairs are added.

    Raises:
        SeriesFileError: If a column is missing, empty or has two meanings.
    """
    named = (columns.time, columns.series, columns.label, *columns.exog)
    for name in named:
        if name is not None and name not in table.columns:
            raise build_missing_column_error(name, table, path=path)
    targets = resolve_targets(table, columns, path=path)
    if table.is_empty():
        raise SeriesFileError(f"{path}: has no rows below its header")
    if columns.label in targets:
        raise SeriesFileError(f"{path}: column {columns.label!r} is both --label and --target")
    if columns.series is not None and len(targets) > 1:
        raise SeriesFileError(f"{path}: --series goes with one --target, not with {len(targets)}")
    times = read_times(table, columns, path=path, notes=notes)
    if times.null_count() == len(times):
        raise SeriesFileError(f"{path}: column {columns.time!r} is empty")
    names = (
        pl.repeat("", table.height, eager=True)
        if columns.series is None
        else table[columns.series].cast(pl.String).fill_null("(no name)")
    )
    shared = [
        names.alias("series"),
        to_instants(times, series=names, timezone=timezone).alias("time"),
        pl.repeat(not has_zone(times), table.height, eager=True).alias("naive"),
        parse_labels(table, columns.label, path=path, notes=notes).alias("label"),
        *(parse_numbers(table[name], path=path, notes=notes) for name in columns.exog),
    ]
    parts = []
    for target in targets:
        _note_infinite(table[target], notes=notes)
        value = parse_numbers(table[target], path=path, notes=notes).alias("value")
        part = pl.DataFrame([*shared, value]).filter(pl.col("time").is_not_null())
        if columns.series is None:
            part = part.with_columns(series=pl.lit(target))
        parts.append(part)
    return pl.concat(parts)


def parse_labels(
    table: pl.DataFrame, name: str | None, *, path: Path, notes: list[str]
) -> pl.Series:
    """Return the label column as Boolean; null where a row has none.

    Empty cells are rows without a label, which no figure judges; but where no row is labelled 0,
    only the anomalies were marked, and an empty cell is a row without one.

    Args:
        table: The file as it was read.
        name: Name of the label column; None gives nulls.
        path: The file, for errors.
        notes: Where the meaning of empty cells is added.

    Raises:
        SeriesFileError: For a cell that is neither 0 nor 1, true nor false.
    """
    if name is None:
        return pl.repeat(None, table.height, dtype=pl.Boolean, eager=True)
    raw = table[name]
    if raw.dtype == pl.Boolean:
        labels = raw
    else:
        words = raw.cast(pl.String).str.strip_chars().str.to_lowercase()
        labels = words.replace_strict(WORDS, default=None, return_dtype=pl.Boolean)
        bad = labels.is_null() & words.is_not_null() & (words != "")
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise SeriesFileError(
                f"{path}: column {name!r}, row {row + 1}: {raw[row]!r} is no label; labels are 0"
                " and 1, or true and false"
            )
    if labels.any() and labels.all():
        notes.append(f"{name!r} marks anomalies only: its empty cells are rows without one")
        return labels.fill_null(value=False)
    if unknown := labels.null_count():
        notes.append(f"{unknown} rows have no label in {name!r}: no figure judges them")
    return labels


def _split_by_values(
    long: pl.DataFrame, *, path: Path, notes: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return series from their first value on; and series, time, label of the other rows.

    Raises SeriesFileError if no series has two values.
    """
    known = long.filter(pl.col("value").is_not_null())
    begins = known.group_by("series").agg(begin=pl.col("time").min(), values=pl.len())
    empty = sorted(set(long["series"].unique()) - set(begins["series"]))
    if begins.is_empty():
        raise SeriesFileError(
            f"{path}: no value in {', '.join(map(repr, empty[:5]))}: nothing to judge"
        )
    if empty:
        shown_names = ", ".join(map(repr, empty[:5])) + (
            ", ..." if len(empty) > len(empty[:5]) else ""
        )
        notes.append(f"{len(empty)} series without any value, not judged: {shown_names}")
    if (begins["values"] < FEWEST_VALUES).all():
        raise SeriesFileError(
            f"{path}: one value per series is too little to say what is usual; give a file with"
            " some days of readings"
        )
    dated = long.join(
        begins.select("series", "begin"), on="series", how="left", maintain_order="left"
    )
    is_kept = (pl.col("time") >= pl.col("begin")).fill_null(value=False)
    kept = dated.filter(is_kept)
    if before := long.height - kept.height - long["series"].is_in(empty).sum():
        notes.append(f"{before} rows before the first value of their series, not judged")
    rest = dated.filter(~is_kept).group_by("series", "time").agg(pl.col("label").max())
    return kept.drop("begin"), rest.sort("series", "time")


def _assign_slots(known: pl.DataFrame, *, step: timedelta, clock: str) -> pl.DataFrame:
    """Return each row's time on the grid's clock, `clocked`, and the start of its step, `slot`.

    The grid stands where most rows do: at a quarter past, if that is when a file's hours begin.
    """
    wall = pl.col("time").dt.convert_time_zone(clock).dt.replace_time_zone("UTC")
    clocked = known.with_columns(clocked=wall if clock != "UTC" else pl.col("time"))
    length = step // timedelta(microseconds=1)
    past = (clocked["clocked"].dt.timestamp("us") % length).mode().min()
    micros = pl.col("clocked").dt.timestamp("us")
    start = micros - (micros - past) % length
    return clocked.with_columns(slot=start.cast(pl.Datetime("us", "UTC")))


def _build_grid(slots: pl.DataFrame, *, step: timedelta, clock: str, path: Path) -> pl.DataFrame:
    """Return every step of each series: time, instant, value, expected.

    Args:
        slots: Rows with their `slot`.
        step: Distance of the grid's steps.
        clock: The zone of the grid's own clock.
        path: The file, for errors.

    Raises:
        SeriesFileError: If nearly all steps would be empty, or too many for the memory.
    """
    spans = slots.group_by("series").agg(
        first=pl.col("slot").min(), last=pl.col("slot").max(), rows=pl.len()
    )
    steps = int(spans.select(((pl.col("last") - pl.col("first")) / step + 1).sum()).item())
    if steps > MOST_STEPS or steps > MOSTLY_EMPTY * max(slots.height, 10_000):
        raise SeriesFileError(
            f"{path}: {slots.height} rows would be {steps:.3g} steps of "
            f"{format_duration(step)}, nearly all"
            " empty; give the step that you mean, such as --step 1h"
        )
    means = slots.group_by("series", time="slot").agg(pl.col("value").mean())
    every = spans.select("series", time=pl.datetime_ranges("first", "last", interval=step)).explode(
        "time"
    )
    grid = every.join(means, on=["series", "time"], how="left").sort("series", "time")
    instant = (
        pl.col("time") if clock == "UTC" else convert_wall_to_utc(pl.col("time"), timezone=clock)
    )
    return grid.select(
        "series", "time", instant.alias("instant"), "value", expected=pl.lit(value=True)
    )


def _build_context(slots: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame | None:
    if not names:
        return None
    return slots.group_by(time="slot").agg(pl.col(*names).mean()).sort("time")


def _note_infinite(column: pl.Series, *, notes: list[str]) -> None:
    if column.dtype.is_float() and (count := int(column.is_infinite().sum())):
        notes.append(f"{count} infinite values of {column.name!r} taken as missing")
