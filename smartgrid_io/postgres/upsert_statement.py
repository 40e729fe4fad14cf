"""The SQL statement that loads a batch: upsert, revisions, touched days and counts in one.

Needs PostgreSQL 18: `RETURNING old.*` says whether a row is new or was changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dataframely as dy
from psycopg import sql

from smartgrid_core.contracts.grid import Weather
from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.contracts.tables import get_table
from smartgrid_io.postgres.copy import quote_identifiers
from smartgrid_io.postgres.tables import TABLES

JOURNALLED: tuple[type[dy.Schema], ...] = (SensorData, MeterReadings, Weather)
"""Tables whose changes re-open days."""


@dataclass(frozen=True, slots=True)
class RevisionColumns:
    """Which columns of a raw table hold the measurement, and which only describe it."""

    subject: str
    """The meter or sensor."""
    quantity: str
    """What was measured: the reading kind or the sensor type."""
    value: str
    """The measured value; a change of it leaves a revision."""
    attributes: tuple[str, ...]
    """Columns that describe without measuring; a change of them leaves no revision."""


REVISION_COLUMNS: dict[type[dy.Schema], RevisionColumns] = {
    SensorData: RevisionColumns(
        "sensor_id", "sensor_type", "value", ("latitude", "longitude", "metadata")
    ),
    MeterReadings: RevisionColumns("meter_id", "reading_kind", "reading", ("customer_id",)),
}
"""Tables whose changed values leave a revision."""

FIRST_VALUE_COLUMNS: dict[type[dy.Schema], tuple[str, ...]] = {Weather: ("known_at",)}
"""Columns that keep the value with which a row first came."""

_UPSERT = """
WITH written AS (
    INSERT INTO {table} AS stored ({columns})
    SELECT {columns} FROM load_batch
    ON CONFLICT ({key}) {action}
    RETURNING old.{first_key} IS NULL AS is_new{returned}
){revisions}{touched_days}
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""

_UPDATE_ROW = "DO UPDATE SET {assignments} WHERE {is_changed}"

_UPDATE_READING = """
    DO UPDATE SET
        {value} = excluded.{value},
        event_id = excluded.event_id,
        ingested_at = CASE WHEN stored.{value} IS DISTINCT FROM excluded.{value}
                      THEN excluded.ingested_at ELSE stored.ingested_at END,
        {filled_attributes}
    WHERE stored.{value} IS DISTINCT FROM excluded.{value} OR {is_attribute_changed}
"""
"""A reading whose description alone changed did not arrive again: `ingested_at` stays. A later
message that leaves a description out does not take it away."""

_RETURNED_READING = """,
        new.{subject} AS subject, new.{quantity} AS quantity, new.event_time AS at,
        old.{value} AS old_value, new.{value} AS new_value"""

_RETURNED_DAY = ", new.{day} AS at"

_KEEP_REVISIONS = """, revisions AS (
    INSERT INTO reading_revisions
    SELECT gen_random_uuid()::text, {dataset}, subject, quantity, at, old_value, new_value,
           %(now)s, %(source)s
    FROM written
    WHERE NOT is_new AND old_value IS DISTINCT FROM new_value
)"""

_NOTE_TOUCHED_DAYS = """, touched AS (
    INSERT INTO load_touched
    SELECT {subject}, {quantity}, (at AT TIME ZONE 'UTC')::date, min(at), max(at)
    FROM written
    WHERE {is_touched}
    GROUP BY 1, 2, 3
)"""

_VALUE_IS_NEW = "is_new OR old_value IS DISTINCT FROM new_value"


def compose_upsert(schema: type[dy.Schema]) -> sql.Composed:
    """Return the statement that moves the rows of `load_batch` into the table of `schema`.

    Its parameters are `now` and `source`, which go into revisions; its one result row has the
    number of new and of changed rows. Rows that are equal to the stored ones are not written.
    """
    table = get_table(schema)
    return sql.SQL(_UPSERT).format(
        table=sql.Identifier(table.name),
        columns=quote_identifiers(_list_columns(schema)),
        key=quote_identifiers(table.key),
        first_key=sql.Identifier(table.key[0]),
        action=_compose_action(schema),
        returned=_compose_returned(schema),
        revisions=_compose_revisions(schema),
        touched_days=_compose_touched_days(schema),
    )


def _list_columns(schema: type[dy.Schema]) -> list[str]:
    return [column.name for column in TABLES[schema].columns]


def _compose_action(schema: type[dy.Schema]) -> sql.Composable:
    """Return what happens to a row whose key is stored already."""
    revision = REVISION_COLUMNS.get(schema)
    if revision is not None:
        filled = "coalesce(excluded.{0}, stored.{0})"
        return sql.SQL(_UPDATE_READING).format(
            value=sql.Identifier(revision.value),
            filled_attributes=_repeat("{0} = " + filled, revision.attributes, separator=", "),
            is_attribute_changed=_repeat(
                "stored.{0} IS DISTINCT FROM " + filled, revision.attributes, separator=" OR "
            ),
        )
    fixed = (*get_table(schema).key, *FIRST_VALUE_COLUMNS.get(schema, ()))
    changing = [name for name in _list_columns(schema) if name not in fixed]
    if not changing:
        return sql.SQL("DO NOTHING")
    return sql.SQL(_UPDATE_ROW).format(
        assignments=_repeat("{0} = excluded.{0}", changing, separator=", "),
        is_changed=_repeat("stored.{0} IS DISTINCT FROM excluded.{0}", changing, separator=" OR "),
    )


def _compose_returned(schema: type[dy.Schema]) -> sql.Composable:
    """Return the columns of a written row that revisions and touched days need."""
    revision = REVISION_COLUMNS.get(schema)
    if revision is not None:
        return sql.SQL(_RETURNED_READING).format(
            subject=sql.Identifier(revision.subject),
            quantity=sql.Identifier(revision.quantity),
            value=sql.Identifier(revision.value),
        )
    day = get_table(schema).day_column
    if schema in JOURNALLED and day is not None:
        return sql.SQL(_RETURNED_DAY).format(day=sql.Identifier(day))
    return sql.SQL("")


def _compose_revisions(schema: type[dy.Schema]) -> sql.Composable:
    """Return the step that keeps replaced values; nothing for tables without revisions."""
    if schema not in REVISION_COLUMNS:
        return sql.SQL("")
    return sql.SQL(_KEEP_REVISIONS).format(dataset=sql.Literal(get_table(schema).name))


def _compose_touched_days(schema: type[dy.Schema]) -> sql.Composable:
    """Return the step that notes touched days; only meters need them by subject and quantity."""
    if schema not in JOURNALLED:
        return sql.SQL("")
    is_meter = schema is MeterReadings
    return sql.SQL(_NOTE_TOUCHED_DAYS).format(
        subject=sql.SQL("subject" if is_meter else "''"),
        quantity=sql.SQL("quantity" if is_meter else "''"),
        is_touched=sql.SQL(_VALUE_IS_NEW if schema in REVISION_COLUMNS else "true"),
    )


def _repeat(template: str, columns: Sequence[str], *, separator: str) -> sql.Composed:
    """Return the template once per column, whose quoted name takes the place of `{0}`."""
    return sql.SQL(separator).join(
        sql.SQL(template).format(sql.Identifier(name)) for name in columns
    )
