"""The register readings around a day: the pure definition of what `RegisterBrackets` holds."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from smartgrid_core.contracts.readings import RegisterBrackets
from smartgrid_core.readings.touched import NEIGHBOURS
from smartgrid_core.time import Window


def select_register_brackets(readings: pl.DataFrame, *, days: Sequence[date]) -> pl.DataFrame:
    """Return the rows of `RegisterBrackets` of the days, ordered by key.

    `readings` has rows of `MeterReadings`, one per key, as far around the days as brackets are
    wanted.
    """
    registers = (
        readings.filter(pl.col("reading_kind") == "register")
        .select("meter_id", "event_time", "reading")
        .sort("meter_id", "event_time")
    )
    columns = ("day", "meter_id", "event_time", "reading", "side")
    nothing = pl.lit(None, pl.Date).alias("day"), pl.lit("before").alias("side")
    parts = [registers.clear().with_columns(*nothing).select(columns)]
    for day in days:
        window = Window.of_day(day)
        before = registers.filter(pl.col("event_time") < window.start)
        after = registers.filter(pl.col("event_time") >= window.end)
        for side, rows in (
            ("before", before.group_by("meter_id").tail(NEIGHBOURS)),
            ("after", after.group_by("meter_id").head(NEIGHBOURS)),
        ):
            labelled = rows.with_columns(pl.lit(day).alias("day"), pl.lit(side).alias("side"))
            parts.append(labelled.select(columns))
    brackets = pl.concat(parts).sort(RegisterBrackets.primary_key())
    return RegisterBrackets.validate(brackets, cast=True)
