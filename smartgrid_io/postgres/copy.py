"""Frames in and out of PostgreSQL by COPY; text on the wire, nothing is built row by row."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import psycopg
from psycopg import pq, sql

from smartgrid_core.errors import ServerError

SESSION = "-c timezone=UTC -c datestyle=ISO,YMD"
"""Instants go over the wire without a zone; the session says that they are UTC."""

OUT_BLOCK_BYTES = 16_000_000
"""Text that is parsed at a time while rows are fetched."""

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(url: str) -> Connection:
    """Return a connection whose session keeps UTC.

    Raises ServerError naming the server, not the password.
    """
    try:
        return psycopg.connect(url, options=SESSION)
    except psycopg.OperationalError as error:
        place = url.rpartition("@")[2]
        raise ServerError(f"no connection to PostgreSQL at {place}: {error}") from error


def quote_identifiers(names: Iterable[str]) -> sql.Composed:
    """Return names, quoted and separated by commas.

    >>> quote_identifiers(["meter_id", "day"]).as_string(None)
    '"meter_id", "day"'
    """
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def copy_in(cursor: psycopg.Cursor[Any], table: str, frame: pl.DataFrame) -> None:
    """Append all rows of `frame` to the columns of the same name."""
    text = io.BytesIO()
    frame.write_csv(text, include_header=False, datetime_format="%Y-%m-%d %H:%M:%S%.6f")
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), quote_identifiers(frame.columns)
    )
    with cursor.copy(statement) as copy:
        copy.write(text.getbuffer())


def copy_out(
    connection: Connection, query: sql.Composable, schema: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """Return the rows of a query whose columns are those of `schema`, in its order.

    The rows are taken from libpq itself: its message is a row, and psycopg's loop costs ten times
    as much for each.
    """
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    wire = connection.pgconn
    started = wire.exec_(statement.as_bytes(connection))
    if started.status != pq.ExecStatus.COPY_OUT:
        raise psycopg.errors.error_from_result(started)
    frames, rows, size = [], [], 0
    while True:
        length, row = wire.get_copy_data(0)
        if length <= 0:
            break
        rows.append(bytes(row))
        size += length
        if size >= OUT_BLOCK_BYTES:
            frames.append(_parse_csv(b"".join(rows), schema))
            rows, size = [], 0
    frames.append(_parse_csv(b"".join(rows), schema))
    while (ended := wire.get_result()) is not None:
        if ended.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(ended)
    return pl.concat(frames)


def _parse_csv(block: bytes, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return CSV text of PostgreSQL as a frame of exact types."""
    if not block:
        return pl.DataFrame(schema=dict(schema))
    numeric = {name: dtype for name, dtype in schema.items() if dtype.is_numeric()}
    raw = pl.read_csv(
        block, has_header=False, schema={name: numeric.get(name, pl.String()) for name in schema}
    )
    return raw.with_columns(_parse_column(name, dtype) for name, dtype in schema.items())


def _parse_column(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column's value out of PostgreSQL's text for it."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", time_unit="us", time_zone="UTC")
    if isinstance(dtype, pl.Date):
        return column.str.to_date("%Y-%m-%d")
    if isinstance(dtype, pl.Boolean):
        return column == "t"
    return column
