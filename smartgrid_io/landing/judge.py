"""Blocks of raw rows into rows of a table: names mapped, wide tables made long, rows judged."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime

import polars as pl

from smartgrid_core.contracts.grid import Weather
from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.features.weather import add_known_at
from smartgrid_core.readings.parsing import is_blank
from smartgrid_core.readings.validation import Validated, validate_readings
from smartgrid_core.readings.validation_tables import validate_table
from smartgrid_io.landing.layout import ColumnPlan, LandingLayout

CELLS_PER_BATCH = 300_000
"""Cells of a wide table that are judged at a time: its rows may be thousands of columns long."""


def judge_rows(
    rows: pl.DataFrame,
    *,
    plan: ColumnPlan,
    layout: LandingLayout,
    now: datetime,
    source_id: str,
    at_once: bool = False,
) -> Iterator[Validated]:
    """The block's rows, split into good and bad, in the order of the file.

    ``rows``: the source's columns and `row_number`. In a wide table an empty cell is no reading,
    and each bad cell's refusal names its column; a row's cells with one fault share one refusal.
    `at_once`: the rows tell of each other and are judged together, however many there are.
    """
    if plan.shape == "wide":
        step = rows.height if at_once else max(CELLS_PER_BATCH // len(plan.wide), 1)
        for start in range(0, rows.height, step):
            long = _unpivot_wide(rows[start : start + step], plan=plan)
            found = _validate_rows(long, plan, layout, now, source_id)
            yield dataclasses.replace(found, bad=_merge_refusals(found.bad))
        return
    named = rows.select(
        *(pl.col(theirs).alias(name) for theirs, name in plan.names.items()), "row_number"
    )
    yield _validate_rows(named, plan, layout, now, source_id)


def _validate_rows(
    rows: pl.DataFrame, plan: ColumnPlan, layout: LandingLayout, now: datetime, source_id: str
) -> Validated:
    if plan.schema in (MeterReadings, SensorData):
        return validate_readings(
            plan.schema, rows, now=now, dialect=layout.dialect, source_id=source_id
        )
    found = validate_table(plan.schema, rows, dialect=layout.dialect)
    if plan.schema is Weather:
        return dataclasses.replace(found, good=add_known_at(found.good, now=now))
    return found


def _unpivot_wide(rows: pl.DataFrame, *, plan: ColumnPlan) -> pl.DataFrame:
    """One row per cell that has something written, row by row as the file stands."""
    (time,) = plan.names
    is_meter = plan.schema is MeterReadings
    subject, value = ("meter_id", "reading") if is_meter else ("sensor_id", "value")
    theirs = [column.theirs for column in plan.wide]
    schema = rows.schema
    dtypes = {schema[name] for name in theirs}
    common = pl.Float64() if all(dtype.is_numeric() for dtype in dtypes) else pl.String()
    dtype = dtypes.pop() if len(dtypes) == 1 else common
    cells = rows.select("row_number", pl.col(time).alias("timestamp"), pl.col(theirs).cast(dtype))
    long = cells.unpivot(
        on=theirs, index=["row_number", "timestamp"], variable_name="_wide_column", value_name=value
    ).filter(~is_blank(value, dtype=dtype))
    if dtype.is_float():
        long = long.filter(pl.col(value).is_not_nan())
    who = pl.DataFrame(
        {
            "_wide_column": theirs,
            subject: [column.subject for column in plan.wide],
            "sensor_type": [column.sensor_type for column in plan.wide],
            "column_number": range(1, len(theirs) + 1),
        },
        schema_overrides={"sensor_type": pl.String},
    )
    named = long.join(who.drop("sensor_type") if is_meter else who, on="_wide_column", how="left")
    return named.sort("row_number", "column_number")


def _merge_refusals(bad: pl.DataFrame) -> pl.DataFrame:
    """One refusal per row and reason, with all the columns that it concerns."""
    if bad.is_empty():
        return bad
    return (
        bad.group_by("row_number", "reason", maintain_order=True)
        .agg(
            pl.col("column").unique(maintain_order=True).str.join(", "),
            pl.col("message").first(),
            pl.col("raw").str.join(", "),
        )
        .select(bad.columns)
    )
