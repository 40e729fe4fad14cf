"""Rules that turn facts into alerts: grouping, hysteresis, severity, wording. Nothing is sent."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from smartgrid_core.contracts.alerts import Alerts
from smartgrid_core.runs import split_at_gaps
from smartgrid_core.time import HOUR

OPEN_AT = 0.5
"""More likely than not that the rating is crossed."""

KEEP_AT = 0.3
"""An episode goes on through an hour below OPEN_AT, so that one evening is one alert, not three."""

CRITICAL_PROBABILITY = 0.9
CRITICAL_DEPTH = 1.1
"""P50 at 110 % of the rating: cables and transformers stand less for hours, not more."""

NAMESPACE = uuid.UUID("8f2ad7a4-6d0c-5f6e-9b9e-2a0f4b1c7d31")
"""Identifiers derive from facts: whoever decides twice decides the same alert."""

ERROR_TEXT = 500
"""Characters of a failure's text that a message carries."""

Row = Mapping[str, Any]


def decide_limit_alerts(
    exceedances: pl.DataFrame,
    *,
    now: datetime,
    timezone: ZoneInfo,
    open_alerts: pl.DataFrame | None = None,
    threshold: float = OPEN_AT,
    release: float = KEEP_AT,
) -> pl.DataFrame:
    """Return the rows of `Alerts` that forecast exceedances newly call for, ordered by key.

    An episode begins in an hour at or above `threshold` and takes in neighbouring hours at or above
    `release`. All episodes of one feeder that begin on one local day are one fact,
    `limit:<feeder>:<day>`. Of several issues about one hour the latest counts.

    Args:
        exceedances: Rows of `LimitExceedances`, in any order.
        now: When the alerts are opened, UTC.
        timezone: Whose calendar cuts the days, and whose clock stands in the message.
        open_alerts: Rows of `Alerts` that are open; their facts are left out. None for none.
        threshold: Probability (0 to 1) from which an hour opens an episode.
        release: Probability (0 to 1) from which a neighbouring hour prolongs it.

    Returns:
        One row of `Alerts` per new fact, ordered by `dedupe_key`.
    """
    known = set() if open_alerts is None else set(open_alerts["dedupe_key"].to_list())
    latest = (
        exceedances.sort("feeder_id", "hour_start", "issue_time")
        .unique(["feeder_id", "hour_start"], keep="last", maintain_order=True)
        .filter(pl.col("probability") >= release)
    )
    facts: dict[str, list[Row]] = {}
    for feeder_rows in latest.partition_by("feeder_id", maintain_order=True):
        for episode in _split_episodes(feeder_rows.to_dicts(), threshold=threshold):
            day = episode[0]["hour_start"].astimezone(timezone).date()
            facts.setdefault(f"limit:{episode[0]['feeder_id']}:{day}", []).extend(episode)
    return _build_alerts(
        _build_limit_alert(key, hours, now=now, timezone=timezone)
        for key, hours in facts.items()
        if key not in known
    )


def build_failure_alert(
    *, job_name: str, run_id: str, error: str, now: datetime, root_run_id: str | None = None
) -> pl.DataFrame:
    """Return the one row of `Alerts` for a failed run; the retries of a run are one fact.

    Args:
        job_name: The job that failed; it is the alert's subject.
        run_id: The run that failed.
        error: Its error text; the first line goes into the message.
        now: When the alert is opened, UTC.
        root_run_id: The run of which this one is a retry; None for a first try.

    Returns:
        One row with the key `failure:<job>:<first run>`.
    """
    key = f"failure:{job_name}:{root_run_id or run_id}"
    lines = error.strip().splitlines() or ["no error text"]
    return _build_alerts(
        [
            {
                "dedupe_key": key,
                "alert_type": "system_failure",
                "severity": "critical",
                "subject_id": job_name,
                "message": f"Job {job_name} failed (run {run_id[:8]}): {lines[0][:ERROR_TEXT]}",
                "metadata": _to_json({"run_id": run_id, "error": error.strip()[: 4 * ERROR_TEXT]}),
                "opened_at": now,
            }
        ]
    )


def build_rollback_alert(*, model: str, version: int, reason: str, now: datetime) -> pl.DataFrame:
    """Return the one row of `Alerts` for a canary that was rolled back automatically.

    Args:
        model: The registered model's name; it is the alert's subject.
        version: The version that was rolled back.
        reason: Why, as a sentence.
        now: When the alert is opened, UTC.

    Returns:
        One row with the key `rollback:<model>:<version>`.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> build_rollback_alert(model="m", version=4, reason="slow", now=noon)["message"].item()
    'Version 4 of m was rolled back: slow'
    """
    return _build_alerts(
        [
            {
                "dedupe_key": f"rollback:{model}:{version}",
                "alert_type": "system_failure",
                "severity": "warning",
                "subject_id": model,
                "message": f"Version {version} of {model} was rolled back: {reason[:ERROR_TEXT]}",
                "metadata": _to_json({"model": model, "version": version, "reason": reason}),
                "opened_at": now,
            }
        ]
    )


def _split_episodes(hours: Sequence[Row], *, threshold: float) -> Iterator[list[Row]]:
    """Yield the runs of consecutive hours that reach the threshold at least once."""
    for start, end in split_at_gaps([hour["hour_start"] for hour in hours], step=HOUR):
        episode = list(hours[start:end])
        if any(hour["probability"] >= threshold for hour in episode):
            yield episode


def _build_limit_alert(
    key: str, hours: Sequence[Row], *, now: datetime, timezone: ZoneInfo
) -> dict[str, Any]:
    """Return the alert of one feeder and local day, without its identifier and state.

    Args:
        key: The fact's `dedupe_key`.
        hours: Rows of `LimitExceedances` of the feeder, in order; at least one.
        now: When the alert is opened, UTC.
        timezone: Whose clock stands in the message.

    Returns:
        The columns of `Alerts` that the fact itself decides.
    """
    peak = max(hours, key=lambda hour: (hour["p50_kw"] / hour["rating_kw"], hour["probability"]))
    probability = max(hour["probability"] for hour in hours)
    depth = peak["p50_kw"] / peak["rating_kw"]
    is_critical = probability >= CRITICAL_PROBABILITY or depth >= CRITICAL_DEPTH
    return {
        "dedupe_key": key,
        "alert_type": "threshold_exceeded",
        "severity": "critical" if is_critical else "warning",
        "subject_id": peak["feeder_id"],
        "message": (
            f"Feeder {peak['feeder_id']} may exceed its rating of {_format_kw(peak['rating_kw'])} "
            f"{_format_spans(hours, timezone=timezone)} ({timezone.key}): "
            f"{_format_kw(peak['p50_kw'])} expected at the peak, {depth:.0%} of the rating "
            f"(P90 {_format_kw(peak['p90_kw'])}); probability up to {probability:.0%}."
        ),
        "metadata": _to_json(
            {
                "feeder_id": peak["feeder_id"],
                "rating_kw": peak["rating_kw"],
                "peak_hour_start": peak["hour_start"].isoformat(),
                "p50_kw": peak["p50_kw"],
                "p90_kw": peak["p90_kw"],
                "probability": probability,
                "hours": [hour["hour_start"].isoformat() for hour in hours],
                "issue_time": peak["issue_time"].isoformat(),
                "model": peak["model"],
            }
        ),
        "opened_at": now,
    }


def _format_spans(hours: Sequence[Row], *, timezone: ZoneInfo) -> str:
    """Return `on 2026-03-02 from 18:00 to 21:00 and from 22:00 to 23:00`, in local time."""
    starts = [hour["hour_start"] for hour in hours]
    spans = []
    for begin, end in split_at_gaps(starts, step=HOUR):
        first = starts[begin].astimezone(timezone)
        last = (starts[end - 1] + HOUR).astimezone(timezone)
        spans.append(f"from {first:%H:%M} to {last:%H:%M}")
    return f"on {starts[0].astimezone(timezone):%Y-%m-%d} {' and '.join(spans)}"


def _format_kw(power: float) -> str:
    """Return the power in words: one decimal below 100 kW."""
    return f"{power:,.1f} kW" if abs(power) < 100 else f"{power:,.0f} kW"


def _to_json(evidence: Mapping[str, Any]) -> str:
    return json.dumps(evidence, sort_keys=True)


def _build_alerts(facts: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Return the facts as open rows of `Alerts`, each with the identifier that its key gives."""
    rows = [
        {
            **fact,
            "alert_id": str(uuid.uuid5(NAMESPACE, fact["dedupe_key"])),
            "state": "open",
            "closed_at": None,
        }
        for fact in facts
    ]
    schema = Alerts.create_empty().schema
    return Alerts.validate(pl.DataFrame(rows, schema=schema)).sort("dedupe_key")
