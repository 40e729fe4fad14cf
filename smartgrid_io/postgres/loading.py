"""Raw readings into their tables: upsert, revisions and the journal of touched days.

Landed files and direct upserts load through here, in the caller's transaction.
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

from smartgrid_core.contracts.readings import MeterReadings
from smartgrid_core.contracts.tables import get_table, to_table_name
from smartgrid_io.postgres.copy import Connection, copy_in, quote_identifiers
from smartgrid_io.postgres.tables import TEXT_LIMIT
from smartgrid_io.postgres.upsert_statement import (
    JOURNALLED,
    REVISION_COLUMNS,
    RevisionColumns,
    compose_upsert,
)

JOURNAL_LOCK = 0x736D6A6F
"""Held from a journal's first row to its commit, so that `seq` grows in the order of commits."""


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """Rows of a load by what they did."""

    new: int = 0
    """Rows whose key was not stored."""
    changed: int = 0
    """Rows that replaced a stored value, or a value earlier in the same batch."""
    repeated: int = 0
    """Rows without effect."""

    def __add__(self, other: "LoadCounts") -> "LoadCounts":
        return LoadCounts(
            self.new + other.new, self.changed + other.changed, self.repeated + other.repeated
        )


@dataclass(slots=True)
class Load:
    """One load into one table: `begin`, `add` any number of batches, `end`; one transaction."""

    connection: Connection
    """Has a transaction open, which is the caller's to commit."""
    schema: type[dy.Schema]
    """The contract of the table."""
    source: str
    """Where the rows come from, as revisions name it."""
    now: datetime
    """The instant of the load, UTC."""
    delivery: str | None = None
    """Name for the traces of repeated readings, if `source` is shared by several deliveries."""
    _has_batch: bool = False
    """Whether `load_batch` holds rows: to empty it costs as much as to load a small file."""

    def begin(self) -> None:
        """Make the temporary tables that the load works with."""
        tables = "CREATE TEMP TABLE load_batch (LIKE {} INCLUDING DEFAULTS) ON COMMIT DROP"
        if self.schema in JOURNALLED:
            tables += (
                "; CREATE TEMP TABLE load_touched (subject text, quantity text, day date, "
                "first_time timestamptz, last_time timestamptz) ON COMMIT DROP"
            )
        name = sql.Identifier(to_table_name(self.schema))
        self.connection.execute(sql.SQL(tables).format(name))  # one round trip for both

    def add(self, rows: pl.DataFrame) -> LoadCounts:
        """Upsert rows that keep their contract, and return what they did.

        Of rows with one key the last stands; a value that it replaces becomes a revision, be it in
        the table or earlier in the batch.
        """
        if rows.is_empty():
            return LoadCounts()
        key = get_table(self.schema).key
        final = rows
        overtaken = LoadCounts()
        if rows.select(pl.struct(key).is_duplicated().any()).item():
            final = rows.unique(key, keep="last", maintain_order=True)
            overtaken = self._record_overtaken(rows, key=key)
        with self.connection.cursor() as cursor:
            if self._has_batch:
                cursor.execute("TRUNCATE load_batch")
            self._has_batch = True
            # In the order of the key: the index grows leaf by leaf, and loads that meet in the
            # same rows wait for each other instead of blocking one another.
            copy_in(cursor, "load_batch", final.sort(key))
            cursor.execute(compose_upsert(self.schema), {"source": self.source, "now": self.now})
            new, changed = cursor.fetchone() or (0, 0)
        return overtaken + LoadCounts(new, changed, final.height - new - changed)

    def end(self) -> Sequence[date]:
        """Journal the days whose readings or brackets the load changed, and return them."""
        days: list[date] = []
        with self.connection.cursor() as cursor:
            if self.schema in JOURNALLED:
                reach = _REGISTER_REACH if self.schema is MeterReadings else _OWN_DAYS
                days = [day for (day,) in cursor.execute(reach).fetchall()]
            if days:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [JOURNAL_LOCK])
                cursor.execute(
                    "INSERT INTO touched_days (dataset, day, touched_at) "
                    "SELECT %s, day, %s FROM unnest(%s::date[]) AS day ORDER BY day",
                    [to_table_name(self.schema), self.now, days],
                )
            used = ("load_batch", *(("load_touched",) if self.schema in JOURNALLED else ()))
            cursor.execute(sql.SQL("DROP TABLE {}").format(quote_identifiers(used)))
        return days

    def _record_overtaken(self, rows: pl.DataFrame, *, key: Sequence[str]) -> LoadCounts:
        """Turn the values that a later row of the same batch replaces into revisions."""
        revision = REVISION_COLUMNS.get(self.schema)
        if revision is None:
            return LoadCounts(repeated=rows.height - rows.n_unique(key))
        value = pl.col(revision.value)
        pairs = rows.select(*key, value.shift(1).over(key).alias("old_value"), value).filter(
            pl.col("old_value").is_not_null()
        )
        changed = pairs.filter(pl.col("old_value") != value)
        repeated = pairs.filter(pl.col("old_value") == value)
        with self.connection.cursor() as cursor:
            self._record_repeats(cursor, repeated, subject=revision.subject)
            copy_in(cursor, "reading_revisions", self._to_revisions(changed, revision))
        return LoadCounts(changed=changed.height, repeated=repeated.height)

    def _to_revisions(self, changed: pl.DataFrame, revision: RevisionColumns) -> pl.DataFrame:
        """Return rows of `ReadingRevisions` for readings whose earlier value is `old_value`."""
        identifiers = [str(uuid.uuid4()) for _ in range(changed.height)]
        return changed.select(
            revision_id=pl.Series(identifiers, dtype=pl.String),
            dataset=pl.lit(to_table_name(self.schema)),
            subject_id=pl.col(revision.subject),
            quantity=pl.col(revision.quantity),
            event_time=pl.col("event_time"),
            old_value=pl.col("old_value"),
            new_value=pl.col(revision.value),
            replaced_at=pl.lit(self.now),
            source=pl.lit(self.source),
        )

    def _record_repeats(
        self, cursor: psycopg.Cursor[Any], repeated: pl.DataFrame, *, subject: str
    ) -> None:
        """Leave a trace per subject of the readings that one delivery has more than once."""
        delivery = (self.delivery or self.source)[:TEXT_LIMIT]
        traces = repeated.group_by(subject).agg(
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
            [(delivery, to_table_name(self.schema), *trace) for trace in traces.iter_rows()],
        )


def load_rows(load: Load, rows: pl.DataFrame) -> LoadCounts:
    """Begin a load, add one batch, end it, and return what the rows did."""
    load.begin()
    counts = load.add(rows)
    load.end()
    return counts


def list_days(schema: type[dy.Schema], rows: pl.DataFrame) -> list[date]:
    """Return the UTC days that rows lie in, for the months that they need."""
    column = get_table(schema).day_column
    if column is None:
        return []
    return rows[column].dt.date().unique().sort().to_list()


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
