"""Which rows of a delivery are readings, and why the others are not: pure, for every way in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.readings import (
    READING_KINDS,
    SENSOR_TYPES,
    MeterReadings,
    SensorData,
)
from smartgrid_core.readings.parsing import (
    METER_UNITS,
    SENSOR_UNITS,
    Dialect,
    add_instants,
    expand_unit_spellings,
    parse_identifier,
    parse_number,
)
from smartgrid_core.readings.validation_rules import (
    LONGEST_IDENTIFIER,
    Rule,
    build_common_rules,
    build_listed_rule,
    build_metadata_rules,
    build_place_rules,
    build_text_rules,
)

METER_RANGE = (0.0, 1e9)
"""kWh. A register never runs below zero, and a thousand GWh is more than any customer draws."""
SENSOR_RANGES = {
    "voltage": (0.0, 1_200_000.0),
    "current": (-200_000.0, 200_000.0),
    "power": (-50_000_000.0, 50_000_000.0),
    "frequency": (0.0, 1_000.0),
}
"""V, A, kW, Hz: what physics and the largest equipment allow. Narrower bands are for the checks."""

REFUSED_COLUMNS = {
    "row_number": pl.Int64(),
    "reason": pl.String(),
    "column": pl.String(),
    "message": pl.String(),
    "raw": pl.String(),
}
"""Columns of refused rows: one row per row and reason."""


@dataclass(frozen=True, slots=True)
class Validated:
    """`good` keeps its contract; `bad` has the columns of BAD: every fault of `refused` rows.

    Readings with one key are all in `good`, in order: the later is a repeat or a revision. Of
    other tables the last row of a key is; `overtaken` counts the ones before.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    refused: int = 0
    overtaken: int = 0


def validate_readings(
    schema: type[dy.Schema],
    frame: pl.DataFrame,
    *,
    now: datetime,
    dialect: Dialect,
    source_id: str,
) -> Validated:
    """Return the rows split into readings and refused rows; a row has one refusal per fault.

    Args:
        schema: `SensorData` or `MeterReadings`.
        frame: `row_number` and the contract's columns by name, as text or typed, the time as
            `timestamp`; optional columns may be absent.
        now: When the rows arrived, UTC; readings from the future are refused.
        dialect: What the source's rows leave unsaid.
        source_id: With the row number it makes an `event_id` for rows without.

    Returns:
        Good rows in the contract's columns, refused ones in REFUSED_COLUMNS.

    Raises:
        KeyError: The contract is not one of raw readings.
    """
    judge = {SensorData: _validate_sensor_data, MeterReadings: _validate_meter_readings}[schema]
    return judge(frame, now, dialect, source_id)


def _validate_meter_readings(
    frame: pl.DataFrame, now: datetime, dialect: Dialect, source_id: str
) -> Validated:
    """Return meter readings split into rows of `MeterReadings` and refused rows.

    Args:
        frame: Raw rows, as in `validate_readings`.
        now: When the rows arrived, UTC.
        dialect: What the source's rows leave unsaid.
        source_id: What event identifiers are made of.

    Returns:
        Good and refused rows.
    """
    known = expand_unit_spellings(METER_UNITS)
    rows = _parse_columns(
        frame, subject="meter_id", value="reading", kind="reading_kind", dialect=dialect
    )
    rows = rows.with_columns(
        _read_optional_text(rows, "customer_id"),
        _unit=_read_text(rows, "unit", dialect.unit or "kWh"),
    ).with_columns(
        _factor=pl.col("_unit").replace_strict(known, default=None, return_dtype=pl.Float64)
    )
    rows = rows.with_columns(_result=pl.col("_value") * pl.col("_factor"))
    rules = _build_meter_rules(rows, now=now, dialect=dialect)

    def finish(good: pl.DataFrame) -> pl.DataFrame:
        return good.select(
            _derive_event_id(good, source_id),
            pl.col("_subject").alias("meter_id"),
            pl.col("customer_id"),
            pl.col("_result").alias("reading"),
            pl.lit("kWh").alias("unit"),
            pl.col("_kind").alias("reading_kind"),
            pl.when(pl.col("_kind") == "interval")
            .then(pl.col("event_time").dt.offset_by(f"{dialect.starts_interval_minutes}m"))
            .otherwise("event_time")
            .alias("event_time"),
            pl.lit(now).cast(pl.Datetime("us", "UTC")).alias("ingested_at"),
        )

    return split_rows(frame, rows, rules, finish)


def _build_meter_rules(rows: pl.DataFrame, *, now: datetime, dialect: Dialect) -> list[Rule]:
    """Return the faults that a meter reading can have."""
    low, high = METER_RANGE
    return [
        *build_common_rules(rows, subject="meter_id", value="reading", now=now, dialect=dialect),
        build_listed_rule("unknown_unit", "unit", pl.col("_factor").is_null(), METER_UNITS),
        build_listed_rule(
            "unknown_reading_kind",
            "reading_kind",
            ~pl.col("_kind").is_in(READING_KINDS),
            READING_KINDS,
        ),
        Rule(
            "value_out_of_range",
            "reading",
            ~pl.col("_result").is_between(low, high) & pl.col("_value").is_finite(),
            f"a reading lies between {low:g} and {high:g} kWh",
        ),
        *build_text_rules(rows, "customer_id"),
    ]


def _validate_sensor_data(
    frame: pl.DataFrame, now: datetime, dialect: Dialect, source_id: str
) -> Validated:
    """Return sensor readings split into rows of `SensorData` and refused rows.

    Args:
        frame: Raw rows, as in `validate_readings`.
        now: When the rows arrived, UTC.
        dialect: What the source's rows leave unsaid.
        source_id: What event identifiers are made of.

    Returns:
        Good and refused rows.
    """
    rows = _parse_columns(
        frame, subject="sensor_id", value="value", kind="sensor_type", dialect=dialect
    )
    rows = rows.with_columns(
        _unit=_read_text(rows, "unit", dialect.unit),
        _latitude=_read_optional_number(rows, "latitude", dialect),
        _longitude=_read_optional_number(rows, "longitude", dialect),
        metadata=_read_optional_text(rows, "metadata"),
    )
    rows = rows.with_columns(_factor=_find_sensor_factor()).with_columns(
        _result=pl.col("_value") * pl.col("_factor")
    )
    rules = _build_sensor_rules(rows, now=now, dialect=dialect)

    def finish(good: pl.DataFrame) -> pl.DataFrame:
        return good.select(
            _derive_event_id(good, source_id),
            pl.col("_subject").alias("sensor_id"),
            pl.col("_kind").alias("sensor_type"),
            pl.col("_result").alias("value"),
            pl.col("_latitude").alias("latitude"),
            pl.col("_longitude").alias("longitude"),
            pl.col("event_time"),
            pl.lit(now).cast(pl.Datetime("us", "UTC")).alias("ingested_at"),
            pl.col("metadata"),
        )

    return split_rows(frame, rows, rules, finish)


def _find_sensor_factor() -> pl.Expr:
    """Return the factor from `_unit` to the unit of the sensor type; null for another's unit."""
    factor = pl.lit(None, dtype=pl.Float64)
    for name, units in SENSOR_UNITS.items():
        known: dict[str | None, float] = {None: 1.0}
        known.update(expand_unit_spellings(units))
        of_type = pl.col("_unit").replace_strict(known, default=None, return_dtype=pl.Float64)
        factor = pl.when(pl.col("_kind") == name).then(of_type).otherwise(factor)
    return factor


def _is_out_of_range() -> pl.Expr:
    """Return whether `_result` lies outside the range of its sensor type."""
    outside = pl.lit(value=False)
    for name, (low, high) in SENSOR_RANGES.items():
        is_beyond = ~pl.col("_result").is_between(low, high)
        outside = pl.when(pl.col("_kind") == name).then(is_beyond).otherwise(outside)
    return outside


def _build_sensor_rules(rows: pl.DataFrame, *, now: datetime, dialect: Dialect) -> list[Rule]:
    """Return the faults that a sensor reading can have."""
    kind = pl.col("_kind")
    return [
        *build_common_rules(rows, subject="sensor_id", value="value", now=now, dialect=dialect),
        build_listed_rule(
            "unknown_sensor_type",
            "sensor_type",
            ~kind.is_in(SENSOR_TYPES).fill_null(value=False),
            SENSOR_TYPES,
        ),
        Rule(
            "unknown_unit",
            "unit",
            kind.is_in(SENSOR_TYPES) & pl.col("_factor").is_null(),
            "the unit does not belong to the sensor_type: "
            + "; ".join(f"{name} in {', '.join(units)}" for name, units in SENSOR_UNITS.items()),
        ),
        Rule(
            "value_out_of_range",
            "value",
            _is_out_of_range() & pl.col("_value").is_finite(),
            "no equipment reaches it: "
            + "; ".join(
                f"{name} {low:g} to {high:g}" for name, (low, high) in SENSOR_RANGES.items()
            ),
        ),
        *build_place_rules(rows),
        *build_metadata_rules(rows),
    ]


def _parse_columns(
    frame: pl.DataFrame, *, subject: str, value: str, kind: str, dialect: Dialect
) -> pl.DataFrame:
    """Return the rows with `_subject`, `_value`, `_kind` and `event_time` beside the raw columns.

    Args:
        frame: Raw rows.
        subject: The column of the meter or sensor.
        value: The column of the reading.
        kind: The column of the reading kind or sensor type.
        dialect: What the source's rows leave unsaid.

    Returns:
        The same rows in the same order.
    """
    default = dialect.reading_kind if kind == "reading_kind" else dialect.sensor_type
    named = frame.with_columns(
        _subject=parse_identifier(subject, dtype=frame.schema[subject]),
        _value=parse_number(value, dtype=frame.schema[value], decimal_comma=dialect.decimal_comma),
        _kind=_read_text(frame, kind, default).str.to_lowercase(),
    )
    # The cells of a wide table's row have one clock, and one order.
    series = () if "column_number" in frame.columns else ("_subject", "_kind")
    return add_instants(named, "timestamp", subject=series, zone=dialect.timezone)


def _read_text(rows: pl.DataFrame, column: str, default: str | None) -> pl.Expr:
    """Return what the row itself writes, else the source's default."""
    fallback = pl.lit(default, dtype=pl.String)
    if column not in rows.columns:
        return fallback
    text = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text).otherwise(fallback)


def _read_optional_text(rows: pl.DataFrame, column: str) -> pl.Expr:
    """Return the column's text under its own name; null if it is blank or absent."""
    return _read_text(rows, column, None).alias(column)


def _read_optional_number(rows: pl.DataFrame, column: str, dialect: Dialect) -> pl.Expr:
    """Return the column's number; null if it is blank, absent or no number."""
    if column not in rows.columns:
        return pl.lit(None, dtype=pl.Float64)
    return parse_number(column, dtype=rows.schema[column], decimal_comma=dialect.decimal_comma)


def _derive_event_id(rows: pl.DataFrame, source_id: str) -> pl.Expr:
    """Return the source's own name of the event, else the place where the row stood."""
    place = pl.format("{}-{}", pl.lit(source_id), pl.col("row_number"))
    if "column_number" in rows.columns:
        place = pl.format("{}-{}", place, pl.col("column_number"))
    if "event_id" not in rows.columns:
        return place.alias("event_id")
    own = pl.col("event_id").cast(pl.String).str.strip_chars().str.head(LONGEST_IDENTIFIER)
    return pl.when(own != "").then(own).otherwise(place).alias("event_id")


def split_rows(
    raw: pl.DataFrame,
    rows: pl.DataFrame,
    rules: list[Rule],
    finish: Callable[[pl.DataFrame], pl.DataFrame],
) -> Validated:
    """Return good rows, finished, and refused ones as `raw` has them, once per broken rule.

    Args:
        raw: Rows as the source wrote them.
        rows: The same rows with the parsed columns that the rules look at.
        rules: The faults.
        finish: Makes rows of the contract from good `rows`.

    Returns:
        Good and refused rows.
    """
    flags = [
        rule.breaks.fill_null(value=False).alias(f"_breaks_{index}")
        for index, rule in enumerate(rules)
    ]
    broken = rows.select(pl.any_horizontal(flags).alias("any"))["any"]
    if not broken.any():
        return Validated(finish(rows), pl.DataFrame(schema=REFUSED_COLUMNS))
    failing = rows.filter(broken).select(flags)
    texts = raw.filter(broken)
    described = texts.select("row_number", raw=as_text(texts))
    if "column_number" in texts.columns:
        described = described.with_columns(subject=texts["_wide_column"])
    bad = [
        described.filter(failing[f"_breaks_{index}"]).select(
            "row_number",
            pl.lit(rule.reason).alias("reason"),
            (pl.col("subject") if "subject" in described.columns else pl.lit(rule.column)).alias(
                "column"
            ),
            pl.lit(f"{rule.column}: {rule.message}").alias("message"),
            "raw",
        )
        for index, rule in enumerate(rules)
    ]
    return Validated(
        finish(rows.filter(~broken)),
        pl.concat(bad).sort("row_number", "reason"),
        refused=int(broken.sum()),
    )


def as_text(rows: pl.DataFrame) -> pl.Expr:
    """Return every row as JSON of what the source wrote."""
    own = [name for name in rows.columns if not name.startswith("_") and name != "row_number"]
    return pl.struct(own).struct.json_encode()
