"""The judgement on alerts: one per fact, and none open for ever."""

from datetime import UTC, datetime, timedelta

import polars as pl

from smartgrid_core.checks.alerts import OPEN_TOO_LONG, judge_alerts

NOW = datetime(2026, 3, 20, tzinfo=UTC)


def alerts(*keys: str, state: str = "open", age: timedelta = timedelta(hours=1)) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "dedupe_key": list(keys),
            "state": [state] * len(keys),
            "opened_at": [NOW - age] * len(keys),
        },
        schema={
            "dedupe_key": pl.String,
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


def test_two_alerts_about_one_fact_are_a_warning():
    outcome = judge_alerts(alerts("a", "a", "b"), called_for=["a"], now=NOW)
    assert outcome.warnings == ("1 facts have more than one alert: a",)


def test_an_alert_that_nobody_closes_is_a_warning():
    old = OPEN_TOO_LONG + timedelta(hours=1)
    outcome = judge_alerts(alerts("a", age=old), called_for=[], now=NOW)
    assert outcome.warnings == ("1 alerts are open for more than 14 days: a",)
    assert judge_alerts(alerts("a", age=old, state="closed"), called_for=[], now=NOW).passed
    assert judge_alerts(alerts("a", age=OPEN_TOO_LONG), called_for=[], now=NOW).passed
