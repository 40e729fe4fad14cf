"""What Dagster shows of a table's columns, taken from its contract."""

from collections.abc import Sequence

import dagster as dg
import dataframely as dy

COLUMN_SCHEMA = "dagster/column_schema"
"""The metadata key under which Dagster looks for an asset's columns."""

BOUNDS = {
    "min": ">=",
    "min_exclusive": ">",
    "max": "<=",
    "max_exclusive": "<",
    "min_length": "length >=",
    "max_length": "length <=",
}
"""Attributes of a contract's column, and how they read before their value."""


def build_column_schema(
    schema: type[dy.Schema], *, columns: Sequence[str] | None = None
) -> dg.TableSchema:
    """Return the columns of a contract with type, constraints and description, and its key.

    ``columns``: the ones to show, in this order; all of them for None.
    """
    key = schema.primary_key()
    contract = schema.columns()
    shown = list(contract) if columns is None else list(columns)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type=str(contract[name].dtype),
                description=contract[name].description,
                constraints=dg.TableColumnConstraints(
                    nullable=contract[name].nullable,
                    unique=key == [name],
                    other=_list_bounds(contract[name]),
                ),
            )
            for name in shown
        ],
        constraints=dg.TableConstraints(
            [f"({', '.join(key)}) is unique"] if columns is None and key else []
        ),
    )


def _list_bounds(column: dy.Column) -> list[str]:
    bounds = [
        f"{sign} {getattr(column, name)}"
        for name, sign in BOUNDS.items()
        if getattr(column, name, None) is not None
    ]
    listed = (column.metadata or {}).get("one_of")
    return [f"one of {', '.join(listed)}"] if listed else bounds
