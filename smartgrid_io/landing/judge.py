"""Blocks of raw rows into rows of a table: names mapped, wide tables made long, rows judged."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from smartgrid_core.contracts.grid import Weather
from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.features.weather import add_known_at
from smartgrid_core.readings.parsing import Dialect, is_blank
from smartgrid_core.readings.validation import Validated, validate_readings
from smartgrid_core.readings.validation_tables import validate_table
from smartgrid_io.landing.layout import ColumnPlan

CELLS_PER_BATCH = 300_000
"""Cells of a wide table that are judged at a time: its rows may be thousands of columns long."""


@dataclass(frozen=True, slots=True)
class RowJudge:
    """Splits the rows of one file into good and bad ones."""

    plan: ColumnPlan
    """What the file's columns become."""
    dialect: Dialect
    """How times, numbers and units are written in the file."""
    now: datetime
    """The instant of the landing, UTC: later readings are refused."""
    source_id: str
    """Begins the event id of every reading of the file."""

    def judge(self, rows: pl.DataFrame, *, at_once: bool = False) -> Iterator[Validated]:
        """Yield the rows of a block, split into good and bad, in the order of the file.

        ``rows``: the source's columns and `row_number`. In a wide table an empty cell is no
        reading, and each bad cell's refusal names its column; a row's cells with one fault share
        one refusal. `at_once`: the rows bear on each other and are judged together, however many
        there are.
        """
        if self.plan.shape == "long":
            yield self._validate(
                rows.select(
                    *(pl.col(theirs).alias(name) for theirs, name in self.plan.names.items()),
                    "row_number",
                )
            )
            return
        step = rows.height if at_once else max(CELLS_PER_BATCH // len(self.plan.wide), 1)
        for start in range(0, rows.height, step):
            validated = self._validate(_unpivot_wide(rows[start : start + step], self.plan))
            yield dataclasses.replace(validated, bad=_merge_refusals(validated.bad))

    def _validate(self, rows: pl.DataFrame) -> Validated:
        """Return rows with our column names, split by the rules of their table."""
        schema = self.plan.schema
        if schema in (MeterReadings, SensorData):
            return validate_readings(
                schema, rows, now=self.now, dialect=self.dialect, source_id=self.source_id
            )
        validated = validate_table(schema, rows, dialect=self.dialect)
        if schema is Weather:
            return dataclasses.replace(validated, good=add_known_at(validated.good, now=self.now))
        return validated


def _unpivot_wide(rows: pl.DataFrame, plan: ColumnPlan) -> pl.DataFrame:
    """Return one row per cell of a wide table that has something written, in the file's order.

    Columns: `row_number`, `timestamp`, the subject's id, for sensors `sensor_type`, the value, and
    `column_number`, which counts the wide columns from 1.
    """
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
    subjects = pl.DataFrame(
        {
            "_wide_column": theirs,
            subject: [column.subject for column in plan.wide],
            "sensor_type": [column.sensor_type for column in plan.wide],
            "column_number": range(1, len(theirs) + 1),
        },
        schema_overrides={"sensor_type": pl.String},
    )
    if is_meter:
        subjects = subjects.drop("sensor_type")
    named = long.join(subjects, on="_wide_column", how="left")
    return named.sort("row_number", "column_number")


def _merge_refusals(bad: pl.DataFrame) -> pl.DataFrame:
    """Return one refusal per row and reason, with all the columns that it concerns."""
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
