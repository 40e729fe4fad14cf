"""Rows validated against their contract before a store takes them."""

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.tables import to_table_name
from smartgrid_core.errors import ContractError


def to_polars_types(schema: type[dy.Schema]) -> dict[str, pl.DataType]:
    """Return a contract's columns and their Polars types."""
    return {name: column.dtype for name, column in schema.columns().items()}


def validate_rows(schema: type[dy.Schema], rows: pl.DataFrame) -> pl.DataFrame:
    """Return the contract's columns of `rows`, in its order, when every row keeps the contract.

    Raises ContractError naming the table, the first bad column and how many rows are bad.
    """
    wanted = to_polars_types(schema)
    for name, dtype in wanted.items():
        if name not in rows.columns:
            raise ContractError(f"{to_table_name(schema)}: column {name!r} is missing")
        if rows.schema[name] != dtype:
            raise ContractError(
                f"{to_table_name(schema)}: column {name!r} is {rows.schema[name]}, expected {dtype}"
            )
    frame = rows.select(list(wanted))
    good, failures = schema.filter(frame)
    counts = failures.counts()
    if not counts:
        return pl.DataFrame(good)
    # In the contract's order, so that the same fault is always reported by the same name.
    rules = sorted(counts, key=lambda rule: [*wanted, rule.split("|")[0]].index(rule.split("|")[0]))
    column, _, rule = rules[0].rpartition("|")
    first = failures.invalid().head(1).to_dicts()[0]
    raise ContractError(
        f"{to_table_name(schema)}: column {column or 'of the key or row'!r} breaks its rule "
        f"{rule!r} in {counts[rules[0]]} of {rows.height} rows, the first is {first}"
    )
