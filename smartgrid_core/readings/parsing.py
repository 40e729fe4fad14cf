"""Numbers, instants and units out of what files and messages write; no row is judged here."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from smartgrid_core.readings.clock_change import resolve_repeated_times

WHOLE_FLOATS = 2.0**53
"""Up to here a float holds every whole number."""
GROUP_MARKS = r"[.\s'\x{2019}]"
GROUPED = r"^[+-]?\d{1,3}([.\s'\x{2019}]\d{3})+(,\d*)?$"
"""Thousands marked off in a number with a decimal comma; elsewhere a dot is a decimal point."""
ISO_ZONED = "%Y-%m-%dT%H:%M:%S%.f%#z"
ISO_LOCAL = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
)
ZONE = r"[T ]\d{1,2}:\d{2}.*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
"""A zone stands after a time of day: the end of `2026-03-01` is none."""

METER_UNITS = {"kWh": 1.0, "Wh": 1e-3, "MWh": 1e3, "GWh": 1e6}
"""Factors to kWh."""
SENSOR_UNITS = {
    "voltage": {"V": 1.0, "mV": 1e-3, "kV": 1e3},
    "current": {"A": 1.0, "mA": 1e-3, "kA": 1e3},
    "power": {"kW": 1.0, "W": 1e-3, "MW": 1e3, "GW": 1e6},
    "frequency": {"Hz": 1.0, "mHz": 1e-3, "kHz": 1e3},
}
"""Factors to V, A, kW and Hz."""
MILLI_OR_MEGA = frozenset({"mw", "mwh", "mv", "ma", "mhz"})
"""In these the letter's case is a factor of a thousand million: they are taken as written only."""


OLDEST_DAYS = 9_131
"""25 years: a clock that was never set shows 1970, 1980, 1990 or 2000, by its maker. One such
register reading would re-open every day from there to the meter's next one."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a source writes: what its rows leave unsaid."""

    timezone: str = "UTC"
    """Zone of instants that are written without one."""
    decimal_comma: bool = False
    """`1.234,5` instead of `1234.5`."""
    unit: str | None = None
    """Unit of values without one; kWh, V, A, kW or Hz if unset."""
    reading_kind: str = "register"
    """What a meter reading is that does not say."""
    sensor_type: str | None = None
    """What a sensor measures that does not say."""
    starts_interval_minutes: int = 0
    """Length of the interval whose start the source writes; 0: it writes the end, as the table."""
    oldest_days: int = OLDEST_DAYS
    """How old a reading may be when it arrives."""


def parse_number(column: str, *, dtype: pl.DataType, decimal_comma: bool = False) -> pl.Expr:
    """Return the column as Float64; null where it is no number.

    With a decimal comma, `1.234,5` is 1234.5 and `13.5` is no number: a dot marks off thousands.

    >>> texts = pl.DataFrame({"kwh": ["1.234,5", "13.5"]})
    >>> texts.select(parse_number("kwh", dtype=pl.String(), decimal_comma=True))["kwh"].to_list()
    [1234.5, None]
    """
    if dtype.is_numeric():
        return pl.col(column).cast(pl.Float64)
    text = pl.col(column).cast(pl.String).str.strip_chars()
    if decimal_comma:
        ungrouped = text.str.replace_all(GROUP_MARKS, "")
        text = (
            pl.when(text.str.contains(GROUPED))
            .then(ungrouped)
            .when(ungrouped == text)
            .then(text)
            .str.replace(",", ".", literal=True)
        )
    return text.cast(pl.Float64, strict=False)


def is_blank(column: str, *, dtype: pl.DataType) -> pl.Expr:
    """Return whether nothing is written in the column."""
    if isinstance(dtype, pl.String):
        return pl.col(column).str.strip_chars().fill_null("") == ""
    return pl.col(column).is_null()


def parse_identifier(column: str, *, dtype: pl.DataType) -> pl.Expr:
    """Return the column as an identifier without white space around it; null where there is none.

    A float is one if it is a whole number that it holds exactly: others would lose digits.
    """
    if dtype.is_float():
        value = pl.col(column).cast(pl.Float64)
        is_exact = (value == value.floor()) & (value.abs() <= WHOLE_FLOATS)
        return pl.when(is_exact).then(value.cast(pl.Int64, strict=False).cast(pl.String))
    text = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text)


def add_instants(
    frame: pl.DataFrame, column: str, *, subject: Sequence[str], zone: str
) -> pl.DataFrame:
    """Return the frame with `event_time` (UTC), `is_local` and `is_ambiguous` added.

    `event_time` is null where the text cannot be read, where the clock skipped that hour, and where
    it showed that hour twice and the other rows of the `subject` do not tell which is meant
    (`is_ambiguous`): see `resolve_repeated_times`.

    Args:
        frame: Rows in the order of their source; rows with one `row_number` are cells beside each
            other.
        column: The time column: ISO 8601 text with or without a zone, Date or Datetime.
        subject: The columns that name a series.
        zone: IANA name of the clock of times that are written without a zone.

    Returns:
        The same rows in the same order, with three columns more.
    """
    return (
        _parse_instants(frame, column, subject=subject, zone=zone)
        .with_columns(is_ambiguous=pl.col("_is_ambiguous").fill_null(value=False))
        .drop("_is_ambiguous")
    )


def read_local_times(frame: pl.DataFrame, column: str) -> pl.Series:
    """Return the column's times that are written without a zone; null for all others."""
    dtype = frame.schema[column]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return pl.Series("local", [None] * frame.height, dtype=pl.Datetime("us"))
    if isinstance(dtype, pl.Datetime | pl.Date):
        return frame[column].cast(pl.Datetime("us")).alias("local")
    if not isinstance(dtype, pl.String):
        return pl.Series("local", [None] * frame.height, dtype=pl.Datetime("us"))
    text = _to_iso_text(column)
    return frame.select(pl.when(_is_local(text)).then(_read_local(text)).alias("local"))["local"]


def _to_iso_text(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars().str.replace(" ", "T", literal=True)


def _is_local(text: pl.Expr) -> pl.Expr:
    return ~text.str.contains(ZONE).fill_null(value=False)


def _read_local(text: pl.Expr) -> pl.Expr:
    return pl.coalesce(
        text.str.to_datetime(form, time_unit="us", strict=False) for form in ISO_LOCAL
    )


def _parse_instants(
    frame: pl.DataFrame, column: str, *, subject: Sequence[str], zone: str
) -> pl.DataFrame:
    """Return the frame with `event_time`, `is_local` and `_is_ambiguous` (possibly null) added.

    Args:
        frame: Rows in the order of their source.
        column: The time column.
        subject: The columns that name a series.
        zone: IANA name of the clock of times without a zone.

    Returns:
        The same rows in the same order.
    """
    dtype = frame.schema[column]
    certain = pl.lit(value=False).alias("_is_ambiguous")
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        instant = pl.col(column).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        return frame.with_columns(certain, event_time=instant, is_local=pl.lit(value=False))
    if isinstance(dtype, pl.Datetime | pl.Date):
        local = frame.with_columns(_local=pl.col(column).cast(pl.Datetime("us")))
        return _place_local_times(local, subject=subject, zone=zone).with_columns(
            is_local=pl.lit(value=True)
        )
    if not isinstance(dtype, pl.String):
        return frame.with_columns(
            certain,
            event_time=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
            is_local=pl.lit(value=False),
        )
    plain = _read_plain_utc(frame, column)
    if plain is not None:
        return frame.with_columns(certain, plain, is_local=pl.lit(value=False))
    text = _to_iso_text(column)
    is_local = _is_local(text)
    zoned = text.str.replace(r"(T\d{1,2}:\d{2})(Z|z|[+-])", "$1:00$2").str.replace(r"z$", "Z")
    parsed = frame.with_columns(
        is_local=is_local,
        _zoned=zoned.str.to_datetime(ISO_ZONED, time_unit="us", time_zone="UTC", strict=False),
        _local=pl.when(is_local).then(_read_local(text)),
    )
    if not parsed["is_local"].any():
        return parsed.rename({"_zoned": "event_time"}).drop("_local").with_columns(certain)
    placed = _place_local_times(parsed, subject=subject, zone=zone)
    return placed.with_columns(
        event_time=pl.when("is_local").then("event_time").otherwise("_zoned")
    ).drop("_zoned")


def _read_plain_utc(frame: pl.DataFrame, column: str) -> pl.Series | None:
    """Return `event_time` if all texts are whole seconds in UTC, the common case; else None."""
    text = pl.col(column).str.strip_chars()
    for suffix in ("Z", "+00:00"):
        plain = frame.select(
            text.str.strip_suffix(suffix)
            .str.replace(" ", "T", literal=True)
            .str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
            .dt.replace_time_zone("UTC")
            .alias("event_time"),
            text.str.ends_with(suffix).all().alias("all"),
        )
        if frame.height and plain["all"][0] and plain["event_time"].null_count() == 0:
            return plain["event_time"]
    return None


def _place_local_times(frame: pl.DataFrame, *, subject: Sequence[str], zone: str) -> pl.DataFrame:
    """Return the frame with the local times of `_local` as the instant `event_time`."""
    local = pl.col("_local")

    def put(ambiguous: str) -> pl.Expr:
        return local.dt.replace_time_zone(
            zone,
            ambiguous=ambiguous,  # type: ignore[arg-type]  # one of Polars' literals
            non_existent="null",
        ).dt.convert_time_zone("UTC")

    both = frame.with_columns(event_time=put("earliest"), _second=put("latest"))
    is_twice = pl.col("event_time") != pl.col("_second")
    if not both.select(is_twice.any()).item():
        return both.drop("_local", "_second").with_columns(_is_ambiguous=pl.lit(value=False))
    numbered = both if "row_number" in both.columns else both.with_row_index("row_number")
    turn = resolve_repeated_times(
        numbered, local="_local", order="row_number", subject=subject, zone=zone
    )
    placed = both.with_columns(_pass=turn, _is_ambiguous=is_twice & turn.is_null()).with_columns(
        event_time=pl.when(is_twice & (pl.col("_pass") == 1))
        .then("_second")
        .when(~pl.col("_is_ambiguous"))
        .then("event_time")
    )
    return placed.drop("_local", "_second", "_pass")


def expand_unit_spellings(units: dict[str, float]) -> dict[str, float]:
    """Return the factors by every spelling of their unit: as written, and in upper and lower case.

    Where the letter's case is a factor (mW and MW) the unit is taken as written only.

    >>> expand_unit_spellings({"kWh": 1.0, "MW": 1e3})
    {'kWh': 1.0, 'MW': 1000.0, 'kwh': 1.0, 'KWH': 1.0}
    """
    spelled = dict(units)
    for name, factor in units.items():
        if name.lower() not in MILLI_OR_MEGA:
            spelled.setdefault(name.lower(), factor)
            spelled.setdefault(name.upper(), factor)
    return spelled
