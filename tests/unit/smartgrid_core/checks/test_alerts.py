"""The judgement on alerts: one per spell; what stays open is a figure."""

from datetime import UTC, datetime, timedelta

import polars as pl

from smartgrid_core.checks.alerts import OPEN_TOO_LONG, judge_alerts

NOW = datetime(2026, 3, 20, tzinfo=UTC)


def alerts(
    *keys: str,
    state: str = "open",
    kind: str = "threshold_exceeded",
    age: timedelta = timedelta(hours=1),
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "dedupe_key": list(keys),
            "alert_type": [kind] * len(keys),
            "state": [state] * len(keys),
            "opened_at": [NOW - age] * len(keys),
        },
        schema={
            "dedupe_key": pl.String,
            "alert_type": pl.String,
            "state": pl.String,
            "opened_at": pl.Datetime("us", "UTC"),
        },
    )


def test_a_spell_with_its_one_alert_is_right():
    outcome = judge_alerts(alerts("limit:F1"), called_for=["limit:F1"], now=NOW)
    assert outcome.passed
    assert outcome.figures == {"open": 1, "missing": 0, "open_too_long": 0}


def test_an_alert_that_was_closed_still_answers_its_spell():
    assert judge_alerts(alerts("a", state="closed"), called_for=["a"], now=NOW).passed


def test_a_spell_without_an_alert_is_a_warning():
    outcome = judge_alerts(alerts("limit:F1"), called_for=["limit:F1", "limit:F2"], now=NOW)
    assert outcome.warnings == ("1 spells have no alert: limit:F2",)


def test_an_alert_that_nobody_closes_is_a_figure_and_no_warning():
    old = OPEN_TOO_LONG + timedelta(hours=1)
    outcome = judge_alerts(
        pl.concat([alerts("a", age=old), alerts("b", age=OPEN_TOO_LONG)]), called_for=[], now=NOW
    )
    assert outcome.passed
    assert outcome.figures == {"open": 2, "missing": 0, "open_too_long": 1}
    assert outcome.summary.endswith("2 limit alerts are open, 1 of them for more than 14 days")


def test_closed_alerts_and_failed_jobs_are_not_counted_as_open_limits():
    old = OPEN_TOO_LONG + timedelta(hours=1)
    rows = pl.concat(
        [alerts("a", age=old, state="closed"), alerts("b", age=old, kind="system_failure")]
    )
    outcome = judge_alerts(rows, called_for=[], now=NOW)
    assert outcome.figures == {"open": 0, "missing": 0, "open_too_long": 0}
