"""The judgement on insights: whether the evidence that each of them links to exists."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import polars as pl

from smartgrid_core.checks.outcome import CheckOutcome, list_names
from smartgrid_core.time import Window


def judge_insights(insights: pl.DataFrame, *, evidence: Mapping[str, pl.DataFrame]) -> CheckOutcome:
    """Judge whether every insight rests on rows that are there.

    Args:
        insights: Rows of `Insights` of one day.
        evidence: The rows of every evidence table, by table name; a missing name is a fault.

    Returns:
        The judgement; an insight without evidence is a warning.
    """
    unfounded = [
        f"{row['section']} {row['position']} ({row['evidence_table']} {row['evidence_key']})"
        for row in insights.sort("section", "position").iter_rows(named=True)
        if not _has_evidence(row, evidence.get(row["evidence_table"]))
    ]
    warnings = []
    if unfounded:
        warnings.append(
            f"{len(unfounded)} insights link to evidence that is not there: {list_names(unfounded)}"
        )
    return CheckOutcome(
        summary=f"{insights.height - len(unfounded)} of {insights.height} insights have evidence",
        warnings=tuple(warnings),
        figures={"insights": insights.height, "without_evidence": len(unfounded)},
    )


def find_evidence_window(insights: pl.DataFrame, *, day_column: str) -> Window | None:
    """Return the UTC days to which the insights' evidence keys point; None if none names a day.

    Args:
        insights: Rows of `Insights` that link to one table.
        day_column: The table's column of days or instants, UTC.

    Returns:
        All days from the first to the last.
    """
    values = [json.loads(key).get(day_column) for key in insights["evidence_key"]]
    days = sorted(datetime.fromisoformat(value).date() for value in values if value is not None)
    return Window.of_days(days[0], days[-1]) if days else None


def _has_evidence(insight: Mapping[str, Any], rows: pl.DataFrame | None) -> bool:
    key = json.loads(insight["evidence_key"])
    if rows is None or not set(key) <= set(rows.columns):
        return False
    agrees = [
        pl.col(name) == pl.lit(_parse_value(value, rows.schema[name]))
        for name, value in key.items()
    ]
    return not rows.filter(*agrees).is_empty()


def _parse_value(value: Any, dtype: pl.DataType) -> Any:
    """Return the value of a JSON key as its column holds it: instants and days are ISO texts."""
    if isinstance(dtype, pl.Datetime):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if dtype == pl.Date else value
