"""The judgement on the alerts: each fact has its one alert, and none stays open for ever."""

from collections.abc import Collection
from datetime import datetime, timedelta

import polars as pl

from smartgrid_core.checks.outcome import CheckOutcome, list_names

OPEN_TOO_LONG = timedelta(days=14)
"""A limit alert is about a few hours of one day: after two weeks nobody will act on it any more."""


def judge_alerts(
    alerts: pl.DataFrame, *, called_for: Collection[str], now: datetime
) -> CheckOutcome:
    """Judge whether each exceedance spell has one alert, and how long alerts have been open.

    Args:
        alerts: Rows of `Alerts`, all of them, whatever their state.
        called_for: The `dedupe_key` of every alert that the judged exceedances call for.
        now: The present instant, UTC.

    Returns:
        The judgement; all faults are warnings, for what is recorded has gone out already.
    """
    recorded = set(alerts["dedupe_key"].to_list())
    missing = sorted(set(called_for) - recorded)
    twice = sorted(alerts.filter(pl.col("dedupe_key").is_duplicated())["dedupe_key"].unique())
    is_open = alerts.filter(pl.col("state") == "open")
    old = is_open.filter(pl.col("opened_at") < now - OPEN_TOO_LONG).sort("opened_at")
    warnings = []
    if missing:
        warnings.append(f"{len(missing)} spells have no alert: {list_names(missing)}")
    if twice:
        warnings.append(f"{len(twice)} facts have more than one alert: {list_names(twice)}")
    if old.height:
        warnings.append(
            f"{old.height} alerts are open for more than {OPEN_TOO_LONG.days} days: "
            + list_names(old["dedupe_key"].to_list())
        )
    return CheckOutcome(
        summary=f"{len(set(called_for))} spells call for an alert, {len(missing)} have none;"
        f" {is_open.height} alerts are open",
        warnings=tuple(warnings),
        figures={"open": is_open.height, "missing": len(missing), "open_too_long": old.height},
    )
