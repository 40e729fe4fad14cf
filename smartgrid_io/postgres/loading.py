"""Raw readings into their tables: upsert, revisions and the journal of touched days.

Files, Kafka and HTTP all load through here. Everything happens in the caller's transaction.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import dataframely as dy
import polars as pl
import psycopg
from psycopg import sql

from smartgrid_core.contracts.grid import Weather
from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.contracts.tables import CONTRACT_TABLES, get_table, to_table_name
from smartgrid_io.postgres.copy import Connection, copy_in, quote_identifiers
from smartgrid_io.postgres.tables import TABLES, TEXT_LIMIT

JOURNAL_LOCK = 0x736D6A6F
"""Held from a journal's first row to its commit, so that `seq` grows in the order of commits."""

JOURNALLED: tuple[type[dy.Schema], ...] = (SensorData, MeterReadings, Weather)
"""Tables whose changes re-open days."""


@dataclass(frozen=True, slots=True)
class RevisionColumns:
    """How a raw table says what was measured, and which columns describe without measuring."""

    subject: str
    quantity: str
    value: str
    attributes: tuple[str, ...]


REVISION_COLUMNS: dict[type[dy.Schema], RevisionColumns] = {
    SensorData: RevisionColumns(
        "sensor_id", "sensor_type", "value", ("latitude", "longitude", "metadata")
    ),
    MeterReadings: RevisionColumns("meter_id", "reading_kind", "reading", ("customer_id",)),
}
"""Tables whose changed values leave a revision."""


FIRST_VALUE_COLUMNS: dict[type[dy.Schema], tuple[str, ...]] = {Weather: ("known_at",)}
"""What a row says when it first comes, and what no later one changes."""


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """Rows of a load by what they did: `new` keys, `changed` ones, `repeated` without effect."""

    new: int = 0
    changed: int = 0
    repeated: int = 0

    def __add__(self, other: "LoadCounts") -> "LoadCounts":
        return LoadCounts(
            self.new + other.new, self.changed + other.changed, self.repeated + other.repeated
        )


def begin_load(connection: Connection, schema: type[dy.Schema]) -> None:
    """Open a load of any number of batches in the present transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "CREATE TEMP TABLE load_batch (LIKE {} INCLUDING DEFAULTS) ON COMMIT DROP"
            ).format(sql.Identifier(to_table_name(schema)))
        )
        if schema in JOURNALLED:
            cursor.execute(
                "CREATE TEMP TABLE load_touched (subject text, quantity text, day date, "
                "first_time timestamptz, last_time timestamptz) ON COMMIT DROP"
            )


def load_batch(
    connection: Connection,
    schema: type[dy.Schema],
    good: pl.DataFrame,
    *,
    source: str,
    now: datetime,
    delivery: str | None = None,
) -> LoadCounts:
    """Upsert rows that keep their contract; a load must be open.

    Of rows with one key the last stands; a value that it replaces becomes a revision, be it in the
    table or earlier in the batch. `delivery` is what the traces of repeated readings go under, if
    `source` does not tell it from others.
    """
    if good.is_empty():
        return LoadCounts()
    key = get_table(schema).key
    final = good
    inner = LoadCounts()
    if good.select(pl.struct(key).is_duplicated().any()).item():
        final = good.unique(key, keep="last", maintain_order=True)
        inner = _record_overtaken(
            connection, schema, good, source=source, now=now, delivery=delivery or source
        )
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE load_batch")
        # In the order of the key: the index grows leaf by leaf, and loads that meet in the same
        # rows wait for each other instead of blocking one another.
        copy_in(cursor, "load_batch", final.sort(key))
        cursor.execute(_compose_upsert(schema), {"source": source, "now": now})
        new, changed = cursor.fetchone() or (0, 0)
    return inner + LoadCounts(new, changed, final.height - new - changed)


def end_load(connection: Connection, schema: type[dy.Schema], *, now: datetime) -> Sequence[date]:
    """Close the load: journal the days whose readings or brackets it changed, and name them."""
    with connection.cursor() as cursor:
        days: list[date] = []
        if schema in JOURNALLED:
            reach = _REGISTER_REACH if schema is MeterReadings else _OWN_DAYS
            days = [day for (day,) in cursor.execute(reach).fetchall()]
        if days:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [JOURNAL_LOCK])
            cursor.execute(
                "INSERT INTO touched_days (dataset, day, touched_at) "
                "SELECT %s, day, %s FROM unnest(%s::date[]) AS day ORDER BY day",
                [to_table_name(schema), now, days],
            )
        cursor.execute("DROP TABLE load_batch")
        cursor.execute("DROP TABLE IF EXISTS load_touched")
    return days


def load_rows(
    connection: Connection,
    schema: type[dy.Schema],
    good: pl.DataFrame,
    *,
    source: str,
    now: datetime,
) -> LoadCounts:
    """One whole load of one batch: what a message or a small file needs."""
    begin_load(connection, schema)
    loaded = load_batch(connection, schema, good, source=source, now=now)
    end_load(connection, schema, now=now)
    return loaded


def list_days(schema: type[dy.Schema], rows: pl.DataFrame) -> list[date]:
    """The UTC days that rows lie in, for the months that they need."""
    column = CONTRACT_TABLES[schema].day_column
    if column is None:
        return []
    return rows[column].dt.date().unique().sort().to_list()


def _record_overtaken(
    connection: Connection,
    schema: type[dy.Schema],
    good: pl.DataFrame,
    *,
    source: str,
    now: datetime,
    delivery: str,
) -> LoadCounts:
    """Turn the values that a later row of the same batch replaces into revisions."""
    key = get_table(schema).key
    revised = REVISION_COLUMNS.get(schema)
    if revised is None:
        return LoadCounts(repeated=good.height - good.n_unique(key))
    value = pl.col(revised.value)
    pairs = good.select(*key, value.shift(1).over(key).alias("old_value"), value).filter(
        pl.col("old_value").is_not_null()
    )
    changed = pairs.filter(pl.col("old_value") != value)
    repeated = pairs.filter(pl.col("old_value") == value)
    with connection.cursor() as cursor:
        _record_repeats(cursor, schema, repeated, source=delivery)
        copy_in(
            cursor,
            "reading_revisions",
            changed.select(
                revision_id=pl.Series([str(uuid.uuid4()) for _ in range(changed.height)]).cast(
                    pl.String
                ),
                dataset=pl.lit(to_table_name(schema)),
                subject_id=pl.col(revised.subject),
                quantity=pl.col(revised.quantity),
                event_time=pl.col("event_time"),
                old_value=pl.col("old_value"),
                new_value=value,
                replaced_at=pl.lit(now),
                source=pl.lit(source),
            ),
        )
    return LoadCounts(changed=changed.height, repeated=repeated.height)


def _record_repeats(
    cursor: psycopg.Cursor[Any], schema: type[dy.Schema], repeated: pl.DataFrame, *, source: str
) -> None:
    """Leave a trace of the readings that one delivery said more than once."""
    traces = repeated.group_by(REVISION_COLUMNS[schema].subject).agg(
        start=pl.col("event_time").min(), end=pl.col("event_time").max(), rows=pl.len()
    )
    cursor.executemany(
        "INSERT INTO repeated_readings AS known"
        " (source, dataset, subject_id, start_time, end_time, rows)"
        " VALUES (%s, %s, %s, %s, %s + interval '1 microsecond', %s)"
        " ON CONFLICT (source, dataset, subject_id) DO UPDATE SET"
        " start_time = least(known.start_time, excluded.start_time),"
        " end_time = greatest(known.end_time, excluded.end_time),"
        " rows = known.rows + excluded.rows",
        [(source[:TEXT_LIMIT], to_table_name(schema), *trace) for trace in traces.iter_rows()],
    )


def _compose_upsert(schema: type[dy.Schema]) -> sql.Composed:
    """One statement: upsert, keep replaced values as revisions, note what was touched, count."""
    table = get_table(schema)
    columns = [column.name for column in TABLES[schema].columns]
    revised = REVISION_COLUMNS.get(schema)
    if revised is None:
        kept = FIRST_VALUE_COLUMNS.get(schema, ())
        facts = [name for name in columns if name not in table.key and name not in kept]
        assignments = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in facts]
    else:
        facts = [revised.value, *revised.attributes]
        assignments = (
            [
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
                for name in (revised.value, "event_id")
            ]
            + [
                # A reading whose description alone changed did not arrive again.
                sql.SQL(
                    "ingested_at = CASE WHEN t.{0} IS DISTINCT FROM excluded.{0}"
                    " THEN excluded.ingested_at ELSE t.ingested_at END"
                ).format(sql.Identifier(revised.value))
            ]
            + [
                # A later message that leaves a description out does not take it away.
                sql.SQL("{0} = coalesce(excluded.{0}, t.{0})").format(sql.Identifier(name))
                for name in revised.attributes
            ]
        )
    differs = sql.SQL(" OR ").join(
        sql.SQL(
            "t.{0} IS DISTINCT FROM coalesce(excluded.{0}, t.{0})"
            if revised is not None and name in revised.attributes
            else "t.{0} IS DISTINCT FROM excluded.{0}"
        ).format(sql.Identifier(name))
        for name in facts
    )
    action = (
        sql.SQL("DO UPDATE SET {} WHERE {}").format(sql.SQL(", ").join(assignments), differs)
        if facts
        else sql.SQL("DO NOTHING")
    )
    parts = {
        "table": sql.Identifier(table.name),
        "columns": quote_identifiers(columns),
        "key": quote_identifiers(table.key),
        "first_key": sql.Identifier(table.key[0]),
        "action": action,
        "returned": _returned(schema),
        "followers": _followers(schema),
    }
    return sql.SQL(
        "WITH done AS (INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM load_batch "
        "ON CONFLICT ({key}) {action} "
        "RETURNING old.{first_key} IS NULL AS is_new{returned}){followers} "
        "SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM done"
    ).format(**parts)


def _returned(schema: type[dy.Schema]) -> sql.Composable:
    """What the revisions and the journal need to know of a row that was written."""
    revised = REVISION_COLUMNS.get(schema)
    day = get_table(schema).day_column
    if revised is not None:
        return sql.SQL(
            ", new.{} AS subject, new.{} AS quantity, new.event_time AS at, "
            "old.{} AS old_value, new.{} AS new_value"
        ).format(
            *(
                sql.Identifier(name)
                for name in (revised.subject, revised.quantity, revised.value, revised.value)
            )
        )
    if schema in JOURNALLED and day is not None:
        return sql.SQL(", '' AS subject, '' AS quantity, new.{} AS at").format(sql.Identifier(day))
    return sql.SQL("")


def _followers(schema: type[dy.Schema]) -> sql.Composable:
    """The statements that ride on the upsert: revisions, and the touched days of each subject."""
    if schema not in JOURNALLED:
        return sql.SQL("")
    is_measured = sql.SQL("")
    revisions: sql.Composable = sql.SQL("")
    if schema in REVISION_COLUMNS:
        is_measured = sql.SQL("WHERE is_new OR old_value IS DISTINCT FROM new_value ")
        revisions = sql.SQL(
            ", kept AS (INSERT INTO reading_revisions "
            "SELECT gen_random_uuid()::text, {}, subject, quantity, at, old_value, new_value, "
            "%(now)s, %(source)s FROM done "
            "WHERE NOT is_new AND old_value IS DISTINCT FROM new_value)"
        ).format(sql.Literal(to_table_name(schema)))
    subject = sql.SQL("subject" if schema is MeterReadings else "''")
    quantity = sql.SQL("quantity" if schema is MeterReadings else "''")
    return sql.SQL(
        "{}, noted AS (INSERT INTO load_touched "
        "SELECT {}, {}, (at AT TIME ZONE 'UTC')::date, min(at), max(at) "
        "FROM done {}GROUP BY 1, 2, 3)"
    ).format(revisions, subject, quantity, is_measured)


_OWN_DAYS = "SELECT DISTINCT day FROM load_touched ORDER BY day"
"""A sensor's or station's reading bears on its own day alone."""

_REGISTER_REACH = """
WITH own AS MATERIALIZED (
    SELECT DISTINCT day FROM load_touched
    UNION
    SELECT DISTINCT ((last_time - interval '1 minute') AT TIME ZONE 'UTC')::date
    FROM load_touched WHERE quantity = 'interval'
    UNION
    SELECT DISTINCT ((first_time - interval '1 minute') AT TIME ZONE 'UTC')::date
    FROM load_touched WHERE quantity = 'interval'
), block AS MATERIALIZED (
    SELECT day, day - (row_number() OVER (ORDER BY day))::int AS id FROM own
), edge AS MATERIALIZED (
    SELECT t.subject, b.id, min(t.first_time) AS first_time, max(t.last_time) AS last_time
    FROM load_touched t JOIN block b USING (day)
    WHERE t.quantity = 'register'
    GROUP BY t.subject, b.id
), reach AS MATERIALIZED (
    SELECT DISTINCT
        coalesce(
            (SELECT min(event_time) FROM (
                SELECT event_time FROM meter_readings r
                WHERE r.meter_id = e.subject AND r.reading_kind = 'register'
                  AND r.event_time < e.first_time
                ORDER BY event_time DESC LIMIT 4) AS before),
            e.first_time) AS first_time,
        coalesce(
            (SELECT max(event_time) FROM (
                SELECT event_time FROM meter_readings r
                WHERE r.meter_id = e.subject AND r.reading_kind = 'register'
                  AND r.event_time > e.last_time
                ORDER BY event_time LIMIT 4) AS after),
            e.last_time) AS last_time
    FROM edge e
)
SELECT day FROM own
UNION
SELECT generate_series(
    (first_time AT TIME ZONE 'UTC')::date, (last_time AT TIME ZONE 'UTC')::date, interval '1 day'
)::date
FROM reach
ORDER BY 1
"""
"""A register reading bears on its own day and on all days of which it is a bracket.

Those reach from its fourth neighbour before to its fourth after, as `touched_days` in
smartgrid_core says reading by reading. Within a block of touched days the first and last reading
of a meter reach furthest, so two look-ups per meter and block are enough.
"""
