"""Rows on their way into the stores: from PostgreSQL into the lake, or computed into both."""

import dataframely as dy
import polars as pl

from smartgrid_core.protocols import Lake, Warehouse, WriteResult
from smartgrid_core.time import Window

DAYS_IN_MEMORY = 3
"""A day of a hundred thousand meters at 15 minutes is ten million rows, about 1 GB."""


def copy_to_lake(
    schema: type[dy.Schema], *, warehouse: Warehouse, lake: Lake, window: Window
) -> WriteResult:
    """Copy a window's rows from PostgreSQL into the lake, never more than some days in memory.

    Args:
        schema: The contract of the table, which both stores hold.
        warehouse: Where the rows are read.
        lake: Where they become the whole content of the window's days.
        window: Whole UTC days.
    """
    count = 0
    for part in window.parts(days=DAYS_IN_MEMORY):
        count += lake.replace(schema, warehouse.read(schema, window=part), window=part).count
    return WriteResult(count, lake.scan(schema, window=window))


def replace_in_both(
    schema: type[dy.Schema],
    rows: pl.DataFrame | pl.LazyFrame,
    *,
    lake: Lake,
    warehouse: Warehouse,
    window: Window,
) -> WriteResult:
    """Make rows that are computed once the content of a window in PostgreSQL and in the lake.

    PostgreSQL comes first, in one transaction: where it refuses the rows, both stores keep what
    they had. The lake follows day by day, and nothing takes PostgreSQL's rows back if it fails or
    the process dies: then PostgreSQL holds the new rows, the lake the new ones of some days and the
    old ones of the others. The step has failed, so that it is tried again, and whoever computes the
    window again, as often as it takes, leaves the same rows in both.

    Args:
        schema: The contract of the table, which both stores hold.
        rows: All rows of the window; a lazy frame is collected once.
        lake: Keeps the history that other assets read.
        warehouse: Keeps what people and services ask for.
        window: Whole UTC days.

    Raises:
        ContractError: A row breaks the contract or lies outside the window; nothing is written.
        OSError: The lake's disk or bucket failed; PostgreSQL has the rows already.
    """
    frame = rows.lazy().collect(engine="streaming")
    warehouse.replace(schema, frame, window=window)
    return lake.replace(schema, frame, window=window)
