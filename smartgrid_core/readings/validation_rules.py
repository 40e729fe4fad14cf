"""The faults that a reading can have: each as an expression, with its reason and its remedy."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from smartgrid_core.readings.parsing import Dialect, is_blank

FUTURE_GRACE = timedelta(minutes=15)
"""Clocks in the field run ahead by minutes; an hour ahead is a wrong zone."""
LONGEST_IDENTIFIER = 128


AMBIGUOUS_TIME = (
    "the clock shows this hour twice on that day, and the rows around it do not tell which is "
    "meant: send times with an offset (2026-10-25T02:30:00+01:00) or in UTC"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault that a row can have."""

    reason: str
    """The refusal's reason, as `Quarantine` keeps it."""
    column: str
    """The column that is at fault."""
    breaks: pl.Expr
    """True in rows that have the fault."""
    message: str
    """What was expected, for people."""


def build_common_rules(
    rows: pl.DataFrame, *, subject: str, value: str, now: datetime, dialect: Dialect
) -> list[Rule]:
    """Return the rules for every reading: a name, a finite value, an instant that has passed.

    Args:
        rows: Raw rows with `_subject`, `_value`, `event_time` and `is_ambiguous` beside them.
        subject: The column of the meter or sensor.
        value: The column of the reading.
        now: When the rows arrived, UTC.
        dialect: How old readings may be; the decimal comma chooses the example in a message.

    Returns:
        Rules over the columns of `rows`.
    """
    no_id = is_blank(subject, dtype=rows.schema[subject])
    return [
        Rule("missing_id", subject, no_id, "every reading needs one"),
        Rule(
            "unparsable_id",
            subject,
            ~no_id & pl.col("_subject").is_null(),
            "an identifier is text or a whole number",
        ),
        *build_text_rules(rows, subject, parsed="_subject"),
        *_build_number_rules(rows, value, dialect=dialect),
        *_build_time_rules(rows, now=now, dialect=dialect),
    ]


def _build_number_rules(rows: pl.DataFrame, value: str, *, dialect: Dialect) -> list[Rule]:
    """Return the rules that the reading, in the column `value`, is a finite number."""
    point = ("12.5", "12,5 needs SMARTGRID_LANDING_DECIMAL_COMMA=true")
    comma = ("1.234,5", "12.5 needs SMARTGRID_LANDING_DECIMAL_COMMA=false")
    example, mend = comma if dialect.decimal_comma else point
    no_value = is_blank(value, dtype=rows.schema[value])
    return [
        Rule("missing_value", value, no_value, "every reading needs one"),
        Rule(
            "unparsable_number",
            value,
            ~no_value & pl.col("_value").is_null(),
            f"a number such as {example} is expected; {mend}",
        ),
        Rule(
            "not_finite",
            value,
            pl.col("_value").is_nan() | pl.col("_value").is_infinite(),
            "NaN and infinity are no measurements",
        ),
    ]


def _build_time_rules(rows: pl.DataFrame, *, now: datetime, dialect: Dialect) -> list[Rule]:
    """Return the rules that the time is one instant, which has passed and is not too long ago."""
    no_time = is_blank("timestamp", dtype=rows.schema["timestamp"])
    at, latest = pl.col("event_time"), now + FUTURE_GRACE
    oldest = now - timedelta(days=dialect.oldest_days)
    return [
        Rule("missing_time", "timestamp", no_time, "every reading needs one"),
        Rule(
            "unparsable_time",
            "timestamp",
            ~no_time & at.is_null() & ~pl.col("is_ambiguous"),
            "ISO 8601 is expected, such as 2026-03-01T00:15:00Z; local time needs "
            "SMARTGRID_LANDING_TIMEZONE, and the hour that the clock skips in spring is none",
        ),
        Rule("ambiguous_time", "timestamp", pl.col("is_ambiguous"), AMBIGUOUS_TIME),
        Rule(
            "future_time", "timestamp", at > latest, "it has not happened yet: is the zone right?"
        ),
        Rule(
            "ancient_time",
            "timestamp",
            at < oldest,
            f"before {oldest:%Y-%m-%d}: was the clock set? Older readings need "
            "SMARTGRID_LANDING_OLDEST_DAYS",
        ),
    ]


def build_listed_rule(reason: str, column: str, breaks: pl.Expr, allowed: Iterable[str]) -> Rule:
    """Return the rule that a word is one of the allowed ones.

    Args:
        reason: The refusal's reason.
        column: The column that is judged.
        breaks: True where the word is none of them.
        allowed: The words, for the message.

    Returns:
        The rule.
    """
    names = ", ".join(allowed)
    return Rule(reason, column, breaks, f"one of {names} is expected")


def build_text_rules(rows: pl.DataFrame, column: str, *, parsed: str | None = None) -> list[Rule]:
    """Return the rules that an identifier fits its column and has no zero bytes."""
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


def build_place_rules(rows: pl.DataFrame) -> list[Rule]:
    """Return the rules that degrees are numbers within their circle."""
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


def build_metadata_rules(rows: pl.DataFrame) -> list[Rule]:
    """Return the rule that metadata is JSON that PostgreSQL can keep; none if all of it is."""
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
