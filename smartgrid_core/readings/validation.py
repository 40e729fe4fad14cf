"""Which rows of what arrives are readings, and why the others are not: pure, for every way in."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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
    factors,
    identifier,
    is_blank,
    number,
    with_instants,
)

FUTURE_GRACE = timedelta(minutes=15)
"""Clocks in the field run ahead by minutes; an hour ahead is a wrong zone."""
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
"""Before it no meter was read remotely: 1970 is a clock that was never set."""
LONGEST_IDENTIFIER = 128

METER_RANGE = (0.0, 1e9)
"""kWh. A register never runs below zero, and a thousand GWh is more than any customer draws."""
SENSOR_RANGES = {
    "voltage": (0.0, 1_200_000.0),
    "current": (-200_000.0, 200_000.0),
    "power": (-50_000_000.0, 50_000_000.0),
    "frequency": (0.0, 1_000.0),
}
"""V, A, kW, Hz: what physics and the largest equipment allow. Narrower bands are for the checks."""

BAD = {
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


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault: rows where `breaks` is true are refused for `reason`."""

    reason: str
    column: str
    breaks: pl.Expr
    message: str


def validate(
    schema: type[dy.Schema],
    frame: pl.DataFrame,
    *,
    now: datetime,
    dialect: Dialect,
    source_id: str,
) -> Validated:
    """Split rows of raw columns into readings and refused rows.

    ``frame``: `row_number` and the contract's columns by name, as text or typed, the time as
    `timestamp`. What a row may leave out may be absent as a column. `source_id` and the row number
    make an `event_id` for rows without. A row has one refusal per fault. Raises KeyError for a
    table that is not one of raw readings.
    """
    judge = {SensorData: _sensor_data, MeterReadings: _meter_readings}[schema]
    return judge(frame, now, dialect, source_id)


def _meter_readings(
    frame: pl.DataFrame, now: datetime, dialect: Dialect, source_id: str
) -> Validated:
    known = factors(METER_UNITS)
    low, high = METER_RANGE
    rows = _typed(frame, subject="meter_id", value="reading", dialect=dialect)
    rows = rows.with_columns(
        _optional(rows, "customer_id"),
        _unit=_said(rows, "unit", dialect.unit or "kWh"),
        _kind=_said(rows, "reading_kind", dialect.reading_kind).str.to_lowercase(),
    ).with_columns(
        _factor=pl.col("_unit").replace_strict(known, default=None, return_dtype=pl.Float64)
    )
    rows = rows.with_columns(_result=pl.col("_value") * pl.col("_factor"))
    rules = [
        *_common_rules(rows, subject="meter_id", value="reading", now=now),
        _listed("unknown_unit", "unit", pl.col("_factor").is_null(), METER_UNITS),
        _listed(
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
        *_text_rules(rows, "customer_id"),
    ]

    def finish(good: pl.DataFrame) -> pl.DataFrame:
        return good.select(
            _event_id(good, source_id),
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

    return split(frame, rows, rules, finish)


def _sensor_data(frame: pl.DataFrame, now: datetime, dialect: Dialect, source_id: str) -> Validated:
    rows = _typed(frame, subject="sensor_id", value="value", dialect=dialect)
    scale = pl.lit(None, dtype=pl.Float64)
    outside = pl.lit(value=False)
    kind, unit, result = pl.col("_kind"), pl.col("_unit"), pl.col("_result")
    for name, units in SENSOR_UNITS.items():
        known: dict[str | None, float] = {None: 1.0}
        known.update(factors(units))
        scale = (
            pl.when(kind == name)
            .then(unit.replace_strict(known, default=None, return_dtype=pl.Float64))
            .otherwise(scale)
        )
        low, high = SENSOR_RANGES[name]
        outside = pl.when(kind == name).then(~result.is_between(low, high)).otherwise(outside)
    rows = rows.with_columns(
        _kind=_said(rows, "sensor_type", dialect.sensor_type).str.to_lowercase(),
        _unit=_said(rows, "unit", dialect.unit),
        _latitude=_optional_number(rows, "latitude", dialect),
        _longitude=_optional_number(rows, "longitude", dialect),
        metadata=_optional(rows, "metadata"),
    )
    rows = rows.with_columns(_factor=scale).with_columns(
        _result=pl.col("_value") * pl.col("_factor")
    )
    rules = [
        *_common_rules(rows, subject="sensor_id", value="value", now=now),
        _listed(
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
            outside & pl.col("_value").is_finite(),
            "no equipment reaches it: "
            + "; ".join(
                f"{name} {low:g} to {high:g}" for name, (low, high) in SENSOR_RANGES.items()
            ),
        ),
        *_place_rules(rows),
        *_metadata_rules(rows),
    ]

    def finish(good: pl.DataFrame) -> pl.DataFrame:
        return good.select(
            _event_id(good, source_id),
            pl.col("_subject").alias("sensor_id"),
            pl.col("_kind").alias("sensor_type"),
            pl.col("_result").alias("value"),
            pl.col("_latitude").alias("latitude"),
            pl.col("_longitude").alias("longitude"),
            pl.col("event_time"),
            pl.lit(now).cast(pl.Datetime("us", "UTC")).alias("ingested_at"),
            pl.col("metadata"),
        )

    return split(frame, rows, rules, finish)


def _typed(frame: pl.DataFrame, *, subject: str, value: str, dialect: Dialect) -> pl.DataFrame:
    """`_subject`, `_value`, `event_time` beside the raw columns."""
    named = frame.with_columns(
        _subject=identifier(subject, dtype=frame.schema[subject]),
        _value=number(value, dtype=frame.schema[value], decimal_comma=dialect.decimal_comma),
    )
    return with_instants(named, "timestamp", subject="_subject", zone=dialect.timezone)


def _common_rules(rows: pl.DataFrame, *, subject: str, value: str, now: datetime) -> list[Rule]:
    """What every reading needs: a name, a finite value, an instant that has passed."""
    no_value = is_blank(value, dtype=rows.schema[value])
    no_time = is_blank("timestamp", dtype=rows.schema["timestamp"])
    at, latest = pl.col("event_time"), now + FUTURE_GRACE
    return [
        Rule("missing_id", subject, pl.col("_subject").is_null(), "every reading needs one"),
        *_text_rules(rows, subject, parsed="_subject"),
        Rule("missing_value", value, no_value, "every reading needs one"),
        Rule(
            "unparsable_number",
            value,
            ~no_value & pl.col("_value").is_null(),
            "a number such as 12.5 is expected; 12,5 needs SMARTGRID_LANDING_DECIMAL_COMMA=true",
        ),
        Rule(
            "not_finite",
            value,
            pl.col("_value").is_nan() | pl.col("_value").is_infinite(),
            "NaN and infinity are no measurements",
        ),
        Rule("missing_time", "timestamp", no_time, "every reading needs one"),
        Rule(
            "unparsable_time",
            "timestamp",
            ~no_time & at.is_null(),
            "ISO 8601 is expected, such as 2026-03-01T00:15:00Z; local time needs "
            "SMARTGRID_LANDING_TIMEZONE, and the hour that the clock skips in spring is none",
        ),
        Rule(
            "future_time", "timestamp", at > latest, "it has not happened yet: is the zone right?"
        ),
        Rule("ancient_time", "timestamp", at < OLDEST, f"before {OLDEST:%Y}: was the clock set?"),
    ]


def _listed(reason: str, column: str, breaks: pl.Expr, allowed: Iterable[str]) -> Rule:
    names = ", ".join(allowed)
    return Rule(reason, column, breaks, f"one of {names} is expected")


def _text_rules(rows: pl.DataFrame, column: str, *, parsed: str | None = None) -> list[Rule]:
    """An identifier fits its column and has no characters that a database refuses."""
    if column not in rows.columns:
        return []
    text = pl.col(parsed or column).cast(pl.String)
    return [
        Rule(
            "too_long_id",
            column,
            text.str.len_bytes() > LONGEST_IDENTIFIER,
            f"an identifier has at most {LONGEST_IDENTIFIER} characters",
        ),
        Rule(
            "control_character",
            column,
            text.str.contains("\x00", literal=True),
            "the file holds zero bytes where text is expected",
        ),
    ]


def _place_rules(rows: pl.DataFrame) -> list[Rule]:
    """Degrees are numbers within their circle."""
    rules = []
    for name, limit in (("latitude", 90.0), ("longitude", 180.0)):
        if name in rows.columns:
            parsed = pl.col(f"_{name}")
            broken = ~is_blank(name, dtype=rows.schema[name]) & ~parsed.is_between(
                -limit, limit
            ).fill_null(value=False)
            rules.append(
                Rule(
                    "bad_place", name, broken, f"degrees from {-limit:g} to {limit:g} are expected"
                )
            )
    return rules


def _metadata_rules(rows: pl.DataFrame) -> list[Rule]:
    """Metadata is JSON that PostgreSQL can keep."""
    if rows["metadata"].null_count() == rows.height:
        return []
    texts = rows["metadata"].drop_nulls().unique().to_list()
    broken = [text for text in texts if not _is_json(text)]
    if not broken:
        return []
    return [
        Rule("bad_metadata", "metadata", pl.col("metadata").is_in(broken), "JSON text is expected")
    ]


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return False
    return "\\u0000" not in text and "\x00" not in text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _said(rows: pl.DataFrame, column: str, default: str | None) -> pl.Expr:
    """What a row says of itself, else the source's default."""
    unsaid = pl.lit(default, dtype=pl.String)
    if column not in rows.columns:
        return unsaid
    text = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text).otherwise(unsaid)


def _optional(rows: pl.DataFrame, column: str) -> pl.Expr:
    return _said(rows, column, None).alias(column)


def _optional_number(rows: pl.DataFrame, column: str, dialect: Dialect) -> pl.Expr:
    if column not in rows.columns:
        return pl.lit(None, dtype=pl.Float64)
    return number(column, dtype=rows.schema[column], decimal_comma=dialect.decimal_comma)


def _event_id(rows: pl.DataFrame, source_id: str) -> pl.Expr:
    """The source's own name of the event, else the place where the row stood."""
    place = pl.format("{}-{}", pl.lit(source_id), pl.col("row_number"))
    if "column_number" in rows.columns:
        place = pl.format("{}-{}", place, pl.col("column_number"))
    if "event_id" not in rows.columns:
        return place.alias("event_id")
    own = pl.col("event_id").cast(pl.String).str.strip_chars().str.head(LONGEST_IDENTIFIER)
    return pl.when(own != "").then(own).otherwise(place).alias("event_id")


def split(
    raw: pl.DataFrame,
    rows: pl.DataFrame,
    rules: list[Rule],
    finish: Callable[[pl.DataFrame], pl.DataFrame],
) -> Validated:
    """Good rows, finished; bad ones as `raw` has them, once for every rule that they break."""
    flags = [
        rule.breaks.fill_null(value=False).alias(f"_breaks_{index}")
        for index, rule in enumerate(rules)
    ]
    broken = rows.select(pl.any_horizontal(flags).alias("any"))["any"]
    if not broken.any():
        return Validated(finish(rows), pl.DataFrame(schema=BAD))
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
    """Every row as JSON of what the source wrote."""
    own = [name for name in rows.columns if not name.startswith("_") and name != "row_number"]
    return pl.struct(own).struct.json_encode()
