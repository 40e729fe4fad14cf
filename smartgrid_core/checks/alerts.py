"""The judgement on the alerts: each exceedance spell has one; what is open is a figure."""

from collections.abc import Collection
from datetime import datetime, timedelta

import polars as pl

from smartgrid_core.checks.outcome import CheckOutcome, list_names

OPEN_TOO_LONG = timedelta(days=14)
"""A limit alert is about a few hours of one day: after two weeks nobody will act on it any more."""


def judge_alerts(
    alerts: pl.DataFrame, *, called_for: Collection[str], now: datetime
) -> CheckOutcome:
    """Judge whether each exceedance spell has its alert, and count the limit alerts still open.

    That alerts stay open is a figure and no fault: people close them in a system of their own, as
    a rule, and a warning that nobody can end is read by nobody. A key has one alert at most; the
    database sees to that.

    Args:
        alerts: Rows of `Alerts`, all of them, whatever their state.
        called_for: The `dedupe_key` of every alert that the judged exceedances call for.
        now: The present instant, UTC.

    Returns:
        The judgement; a missing alert is a warning. Figures count alerts about limits only.
    """
    missing = sorted(set(called_for) - set(alerts["dedupe_key"].to_list()))
    open_limits = alerts.filter(
        pl.col("alert_type") == "threshold_exceeded", pl.col("state") == "open"
    )
    old = open_limits.filter(pl.col("opened_at") < now - OPEN_TOO_LONG)
    warnings = []
    if missing:
        warnings.append(f"{len(missing)} spells have no alert: {list_names(missing)}")
    return CheckOutcome(
        summary=f"{len(set(called_for))} spells call for an alert, {len(missing)} have none;"
        f" {open_limits.height} limit alerts are open, {old.height} of them for more than"
        f" {OPEN_TOO_LONG.days} days",
        warnings=tuple(warnings),
        figures={
            "open": open_limits.height,
            "missing": len(missing),
            "open_too_long": old.height,
        },
    )
