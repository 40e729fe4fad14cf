"""Column builders shared by the contracts, so that one quantity has one dtype everywhere."""

import dataframely as dy
import polars as pl


def utc(*, description: str, primary_key: bool = False, nullable: bool = False) -> dy.Datetime:
    """Return the column of an instant: UTC, microseconds, `timestamptz` in PostgreSQL."""
    return dy.Datetime(
        primary_key=primary_key,
        nullable=nullable,
        time_zone="UTC",
        time_unit="us",
        description=description,
    )


def one_of(
    *values: str, description: str, primary_key: bool = False, nullable: bool = False
) -> dy.String:
    """Return a column of text out of a closed list: a plain string, for engines to join on."""

    def is_listed(column: pl.Expr) -> pl.Expr:
        return column.is_in(values)

    return dy.String(
        primary_key=primary_key,
        nullable=nullable,
        check=is_listed,
        metadata={"one_of": values},
        max_length=max(len(value) for value in values),
        description=description,
    )


def identifier(*, description: str, primary_key: bool = False, nullable: bool = False) -> dy.String:
    """Return the column that names a thing of the grid: 1 to 128 characters."""
    return dy.String(
        primary_key=primary_key,
        nullable=nullable,
        min_length=1,
        max_length=128,
        description=description,
    )
