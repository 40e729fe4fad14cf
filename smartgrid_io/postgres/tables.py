"""SQLAlchemy tables made from the contracts; indexes and partitions stand here, columns never."""

from typing import Any

import dataframely as dy
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from smartgrid_core.contracts import alerts, forecasts, grid, readings
from smartgrid_core.contracts.tables import CONTRACT_TABLES, to_table_name

METADATA = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

LAKE_ONLY = frozenset(
    {
        "register_brackets",
        "meter_consumption",
        "load_features",
        "grid_events",
        "head_energy",
        "consumer_profiles",
        "anomaly_days",
        "anomaly_scores",
        "anomaly_states",
    }
)
"""Computed from other tables for one purpose, and only ever read in whole days, or as a whole."""

PARTITIONED = (readings.SensorData, readings.MeterReadings)
"""Cut into months by `event_time`; the months are made before a load needs them."""

JSON_COLUMNS = {
    readings.SensorData: ("metadata",),
    alerts.Alerts: ("metadata",),
    alerts.Outbox: ("payload",),
}
"""Text in the contract, `jsonb` here."""

TEXT_LIMIT = 128
"""Identifiers are the only texts with a limit that the database should hold."""


def _to_postgres_column(schema: type[dy.Schema], column: sa.Column[Any]) -> sa.Column[Any]:
    """Return the contract's column in the types that PostgreSQL has for it."""
    kind: sa.types.TypeEngine[Any] = column.type
    if isinstance(kind, sa.DateTime):
        kind = sa.TIMESTAMP(timezone=True)
    elif isinstance(kind, sa.Float):
        kind = sa.Double()
    elif column.name in JSON_COLUMNS.get(schema, ()):
        kind = postgresql.JSONB()
    elif isinstance(kind, sa.String) and kind.length != TEXT_LIMIT:
        kind = sa.Text()
    identity = (
        [sa.Identity(always=False)]
        if schema is readings.TouchedDays and column.name == "seq"
        else []
    )
    return sa.Column(
        column.name,
        kind,
        *identity,
        primary_key=column.primary_key,
        nullable=column.nullable,
    )


def _compose_check(name: str, column: Any) -> str | None:
    """Return the CHECK that a column's contract implies, None if the type says it all."""
    quoted = f'"{name}"'
    listed = (column.metadata or {}).get("one_of")
    if listed:
        return f"{quoted} IN ({', '.join(repr(value) for value in listed)})"
    if getattr(column, "min_length", None):
        return f"{quoted} <> ''"
    is_float = isinstance(column, dy.Float64)
    if not is_float and not isinstance(column, dy.Int32 | dy.Int64):
        return None
    bounds = [
        f"{quoted} {sign} {value}"
        for sign, value in (
            (">=", column.min),
            (">", column.min_exclusive),
            ("<=", column.max),
            ("<", column.max_exclusive),
        )
        if value is not None
    ]
    if is_float:
        # NaN is above Infinity in PostgreSQL's order, so a finite upper bound refuses both.
        if column.min is None and column.min_exclusive is None:
            bounds.append(f"{quoted} > '-Infinity'::double precision")
        if column.max is None and column.max_exclusive is None:
            bounds.append(f"{quoted} < 'Infinity'::double precision")
    return " AND ".join(bounds) or None


def _build_table(schema: type[dy.Schema]) -> sa.Table:
    """Return one contract as a table with its key and checks."""
    columns = schema.columns()
    checks = ((name, _compose_check(name, column)) for name, column in columns.items())
    return sa.Table(
        to_table_name(schema),
        METADATA,
        *(
            _to_postgres_column(schema, column)
            for column in schema.to_sqlalchemy_columns(postgresql.dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy types its dialect classes no further
        ),
        *(sa.CheckConstraint(check, name=name) for name, check in checks if check is not None),
        postgresql_partition_by="RANGE (event_time)" if schema in PARTITIONED else None,
    )


TABLES: dict[type[dy.Schema], sa.Table] = {
    schema: _build_table(schema)
    for schema, table in CONTRACT_TABLES.items()
    if table.name not in LAKE_ONLY
}


def _add_indexes() -> None:
    """Add indexes for frequent queries that are not by key: days, open alerts, due messages."""
    for schema, table in CONTRACT_TABLES.items():
        if schema not in TABLES or table.day_column is None:
            continue
        column = TABLES[schema].c[table.day_column]
        if schema in PARTITIONED:
            # A tenth of the cost of a B-tree on tables that take every reading; the key's own
            # B-tree serves the questions about one meter or sensor.
            sa.Index(
                None,
                column,
                postgresql_using="brin",
                postgresql_with={"pages_per_range": 32, "autosummarize": True},
            )
        else:
            sa.Index(None, column)
    sa.Index(None, TABLES[forecasts.LoadForecasts].c.hour_start)
    revisions = TABLES[readings.ReadingRevisions].c
    sa.Index(None, revisions.dataset, revisions.subject_id, revisions.event_time)
    sa.Index(None, TABLES[readings.LandedFiles].c.source)
    sa.Index(None, TABLES[readings.Quarantine].c.quarantined_at)
    sa.Index(None, TABLES[grid.GridTopology].c.parent_id)
    opened, outbox = TABLES[alerts.Alerts].c, TABLES[alerts.Outbox].c
    sa.Index(None, opened.state, opened.opened_at)
    sa.Index(None, outbox.next_attempt_at, postgresql_where=sa.text("state = 'pending'"))
    TABLES[alerts.Alerts].append_constraint(sa.UniqueConstraint("dedupe_key"))
    TABLES[forecasts.LoadForecasts].append_constraint(
        sa.CheckConstraint("p10 <= p50 AND p50 <= p90", name="quantiles_are_ordered")
    )


_add_indexes()
