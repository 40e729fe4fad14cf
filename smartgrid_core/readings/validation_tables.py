"""Which rows of a weather or topology table are sound: judged by the table's own contract."""

import dataclasses

import dataframely as dy
import polars as pl

from smartgrid_core.readings.parsing import (
    Dialect,
    add_instants,
    is_blank,
    parse_identifier,
    parse_number,
)
from smartgrid_core.readings.validation import Validated, split_rows
from smartgrid_core.readings.validation_rules import AMBIGUOUS_TIME, Rule


def validate_table(schema: type[dy.Schema], frame: pl.DataFrame, *, dialect: Dialect) -> Validated:
    """Return raw rows split into rows of the contract and refused rows; one refusal per fault.

    `frame` has `row_number` and the contract's columns by name, as text or typed; optional ones may
    be absent. Of rows with one key the last counts.
    """
    columns = schema.columns()
    time = next((name for name, c in columns.items() if isinstance(c, dy.Datetime)), None)
    rows = frame
    if time is not None:
        key = [name for name in schema.primary_key() if name != time]
        rows = add_instants(frame, time, subject=key, zone=dialect.timezone).rename(
            {"event_time": f"_{time}"}
        )
    rows = rows.with_columns(
        _parse_value(frame, name, column.dtype, dialect).alias(f"_{name}")
        for name, column in columns.items()
        if name != time
    )
    rules = [rule for name, column in columns.items() for rule in _build_rules(frame, name, column)]
    if time is not None:
        rules.append(Rule("ambiguous_time", time, pl.col("is_ambiguous"), AMBIGUOUS_TIME))

    def finish(good: pl.DataFrame) -> pl.DataFrame:
        return good.select(pl.col(f"_{name}").alias(name) for name in columns)

    validated = split_rows(frame, rows, rules, finish)
    last = validated.good.unique(schema.primary_key(), keep="last", maintain_order=True)
    return dataclasses.replace(validated, good=last, overtaken=validated.good.height - last.height)


def _parse_value(frame: pl.DataFrame, name: str, dtype: pl.DataType, dialect: Dialect) -> pl.Expr:
    """Return a column in the contract's type; null where nothing or nothing sensible is written.

    Args:
        frame: Raw rows.
        name: The column, which may be absent.
        dtype: The contract's type.
        dialect: Whether numbers have a decimal comma.

    Returns:
        The expression over `frame`.
    """
    if name not in frame.columns:
        return pl.lit(None, dtype=dtype)
    if dtype.is_numeric():
        parsed = parse_number(name, dtype=frame.schema[name], decimal_comma=dialect.decimal_comma)
        return parsed.cast(dtype, strict=False)
    return parse_identifier(name, dtype=frame.schema[name])


def _build_rules(frame: pl.DataFrame, name: str, column: dy.Column) -> list[Rule]:
    """Return what the contract asks of one column."""
    parsed = pl.col(f"_{name}")
    written = (
        ~is_blank(name, dtype=frame.schema[name]) if name in frame.columns else pl.lit(value=False)
    )
    rules = []
    if not column.nullable:
        rules.append(Rule("missing_value", name, ~written, "every row needs one"))
    kind = "a time" if isinstance(column, dy.Datetime) else "a number"
    unread = written & parsed.is_null()
    if isinstance(column, dy.Datetime) and name in frame.columns:
        unread &= ~pl.col("is_ambiguous")
    rules.append(Rule("unparsable_value", name, unread, f"{kind} is expected"))
    for rule, holds in column.validation_rules(parsed).items():
        if rule != "nullability":
            rules.append(
                Rule(
                    "value_out_of_range",
                    name,
                    parsed.is_not_null() & ~holds.fill_null(value=True),
                    f"it breaks {rule}{_describe_limits(column)}",
                )
            )
    return rules


def _describe_limits(column: dy.Column) -> str:
    """Return the contract's limits as the end of a message; empty if there are none."""
    listed = (column.metadata or {}).get("one_of")
    if listed:
        return f": one of {', '.join(listed)} is expected"
    low, high = getattr(column, "min", None), getattr(column, "max", None)
    if low is None and high is None:
        return ""
    return f": {'...' if low is None else low} to {'...' if high is None else high} is expected"
