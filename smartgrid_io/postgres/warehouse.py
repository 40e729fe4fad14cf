"""The Warehouse protocol on PostgreSQL; a connection per call: none is held between runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import dataframely as dy
import polars as pl
import psycopg
from psycopg import sql

from smartgrid_core.contracts.readings import RegisterBrackets, TouchedDays
from smartgrid_core.contracts.tables import get_table, to_table_name
from smartgrid_core.errors import ContractError
from smartgrid_core.protocols import WriteResult
from smartgrid_core.time import Window
from smartgrid_io.postgres.copy import Connection, connect, copy_in, copy_out, quote_identifiers
from smartgrid_io.postgres.loading import Load, list_days, load_rows
from smartgrid_io.postgres.schema import ensure_months, upgrade_tables
from smartgrid_io.postgres.tables import PARTITIONED, TABLES
from smartgrid_io.postgres.upsert_statement import REVISION_COLUMNS
from smartgrid_io.validate_rows import to_polars_types, validate_rows


class PostgresWarehouse:
    """The operational store at `url` (`postgresql://...`), whose tables `upgrade` has made."""

    def __init__(self, url: str) -> None:
        self.url = url

    def upgrade(self) -> None:
        """Bring the tables up to date; two at once wait for each other."""
        upgrade_tables(self.url)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a connection that commits at the end of the block and rolls back on an error."""
        with connect(self.url) as connection:
            yield connection

    def read(self, schema: type[dy.Schema], *, window: Window | None = None) -> pl.DataFrame:
        """Return the rows of the window (all of them for None), ordered by key."""
        types = to_polars_types(schema)
        query = sql.SQL("SELECT {} FROM {}").format(
            quote_identifiers(types), sql.Identifier(_require_stored(schema))
        )
        if window is not None:
            query += sql.SQL(" WHERE {}").format(_compose_window_condition(schema, window))
        with connect(self.url) as connection:
            rows = copy_out(connection, query, types)
        return rows.sort(get_table(schema).key)

    def upsert(self, schema: type[dy.Schema], rows: pl.DataFrame) -> WriteResult:
        """Insert new keys, update changed rows, leave equal rows alone; one transaction.

        Raw readings and weather go the way of a landing: a changed reading leaves a revision, and
        the touched days are journalled. Raises ContractError.
        """
        _require_stored(schema)
        frame = validate_rows(schema, rows)
        self._make_months(schema, frame)
        with self.transaction() as connection, _raise_contract_errors(schema):
            load_rows(Load(connection, schema, source="upsert", now=datetime.now(UTC)), frame)
        return WriteResult(frame.height, frame)

    def replace(
        self, schema: type[dy.Schema], rows: pl.DataFrame, *, window: Window | None = None
    ) -> WriteResult:
        """Make `rows` the whole content of the window (of the table for None); one transaction.

        Rows that stay equal are not written again. Raises ContractError for a row outside the
        window, and for raw readings, which only grow.
        """
        name = _require_stored(schema)
        if schema in REVISION_COLUMNS:
            raise ContractError(f"{name}: readings are never replaced, upsert them")
        frame = validate_rows(schema, rows)
        inside = sql.SQL("true") if window is None else _compose_window_condition(schema, window)
        with self.transaction() as connection, _raise_contract_errors(schema):
            load = Load(connection, schema, source="replace", now=datetime.now(UTC))
            load.begin()
            with connection.cursor() as cursor:
                copy_in(cursor, "load_batch", frame)
                _refuse_outside(cursor, name, inside)
                _delete_missing(cursor, schema, inside)
                cursor.execute("TRUNCATE load_batch")
            load.add(frame)
            load.end()
        return WriteResult(frame.height, frame)

    def read_register_brackets(self, days: Sequence[date]) -> pl.DataFrame:
        """Return rows of `RegisterBrackets` for each of the days, from the raw readings.

        A meter has brackets for the days from its first register reading to its last: outside
        there is no energy that they could bound.
        """
        types = to_polars_types(RegisterBrackets)
        if not days:
            return pl.DataFrame(schema=types)
        query = sql.SQL(_BRACKETS).format(days=sql.Literal(list(days)))
        with connect(self.url) as connection:
            rows = copy_out(connection, query, types)
        return rows.sort(get_table(RegisterBrackets).key)

    def read_touched_since(self, seq: int, *, limit: int = 1000) -> pl.DataFrame:
        """Return rows of `TouchedDays` with a larger `seq`, in order."""
        types = to_polars_types(TouchedDays)
        query = sql.SQL("SELECT {} FROM touched_days WHERE seq > {} ORDER BY seq LIMIT {}").format(
            quote_identifiers(types), sql.Literal(seq), sql.Literal(limit)
        )
        with connect(self.url) as connection:
            return copy_out(connection, query, types).sort("seq")

    def count_nodes(self) -> dict[str, int]:
        """Return how many nodes of each kind the tree holds; empty before there is one."""
        with connect(self.url) as connection:
            rows = connection.execute(
                "SELECT node_kind, count(*) FROM grid_topology GROUP BY node_kind"
            ).fetchall()
        return {str(kind): int(nodes) for kind, nodes in rows}

    def _make_months(self, schema: type[dy.Schema], rows: pl.DataFrame) -> None:
        if schema in PARTITIONED:
            ensure_months(self.url, schema, list_days(schema, rows))


def _require_stored(schema: type[dy.Schema]) -> str:
    """Return the table's name. Raises ContractError for a table that only the lake holds."""
    if schema not in TABLES:
        raise ContractError(f"{to_table_name(schema)} is not a table of the warehouse")
    return to_table_name(schema)


def _compose_window_condition(schema: type[dy.Schema], window: Window) -> sql.Composed:
    """Return the condition that a row lies in the window, by the table's day column."""
    column = get_table(schema).day_column
    if column is None:
        raise ContractError(f"{to_table_name(schema)} is kept whole: it has no window")
    start: Any = window.start
    end: Any = window.end
    if isinstance(schema.columns()[column], dy.Date):
        days = list(window.days())
        if not days:
            return sql.SQL("false").format()
        return sql.SQL("{0} BETWEEN {1} AND {2}").format(
            sql.Identifier(column), sql.Literal(days[0]), sql.Literal(days[-1])
        )
    return sql.SQL("{0} >= {1} AND {0} < {2}").format(
        sql.Identifier(column), sql.Literal(start), sql.Literal(end)
    )


def _refuse_outside(cursor: psycopg.Cursor[Any], name: str, inside: sql.Composable) -> None:
    """Raise ContractError if the batch has a row outside the window."""
    outside = cursor.execute(
        sql.SQL("SELECT row_to_json(b)::text FROM load_batch b WHERE NOT ({}) LIMIT 1").format(
            inside
        )
    ).fetchone()
    if outside is not None:
        raise ContractError(f"{name}: a row lies outside the window: {outside[0]}")


def _delete_missing(
    cursor: psycopg.Cursor[Any], schema: type[dy.Schema], inside: sql.Composable
) -> None:
    """Delete the table's rows within the condition `inside` whose key the batch does not have."""
    name = sql.Identifier(to_table_name(schema))
    same_key = sql.SQL(" AND ").join(
        sql.SQL("b.{0} = {1}.{0}").format(sql.Identifier(column), name)
        for column in get_table(schema).key
    )
    cursor.execute(
        sql.SQL(
            "DELETE FROM {} WHERE {} AND NOT EXISTS (SELECT 1 FROM load_batch b WHERE {})"
        ).format(name, inside, same_key)
    )


@contextmanager
def _raise_contract_errors(schema: type[dy.Schema]) -> Iterator[None]:
    """Raise ContractError naming the table for what the database refused."""
    try:
        yield
    except psycopg.errors.IntegrityError as error:
        raise ContractError(f"{to_table_name(schema)}: {str(error).strip()}") from error


_BRACKETS = """
WITH RECURSIVE meter AS (
    (SELECT meter_id FROM meter_readings ORDER BY meter_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.meter_id FROM meter_readings r WHERE r.meter_id > meter.meter_id
            ORDER BY r.meter_id LIMIT 1)
    FROM meter WHERE meter.meter_id IS NOT NULL
), edge AS (
    SELECT day, day::timestamp AT TIME ZONE 'UTC' AS start_time,
           (day + 1)::timestamp AT TIME ZONE 'UTC' AS end_time
    FROM (SELECT DISTINCT unnest({days}::date[]) AS day) AS wanted
)
SELECT edge.day, meter.meter_id, bracket.event_time, bracket.reading, bracket.side
FROM edge CROSS JOIN meter CROSS JOIN LATERAL (
    (SELECT event_time, reading, 'before' AS side FROM meter_readings r
     WHERE r.meter_id = meter.meter_id AND r.reading_kind = 'register'
       AND r.event_time < edge.start_time
       AND EXISTS (SELECT 1 FROM meter_readings l
                   WHERE l.meter_id = meter.meter_id AND l.reading_kind = 'register'
                     AND l.event_time >= edge.start_time)
     ORDER BY event_time DESC LIMIT 4)
    UNION ALL
    (SELECT event_time, reading, 'after' AS side FROM meter_readings r
     WHERE r.meter_id = meter.meter_id AND r.reading_kind = 'register'
       AND r.event_time >= edge.end_time
       AND EXISTS (SELECT 1 FROM meter_readings e
                   WHERE e.meter_id = meter.meter_id AND e.reading_kind = 'register'
                     AND e.event_time < edge.end_time)
     ORDER BY event_time LIMIT 4)
) AS bracket
WHERE meter.meter_id IS NOT NULL
"""
