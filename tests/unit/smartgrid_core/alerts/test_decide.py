"""Exceedances become alerts: one per feeder and day, worded in local time, never twice."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.alerts.decide import (
    build_failure_alert,
    build_rollback_alert,
    decide_limit_alerts,
)
from smartgrid_core.contracts.alerts import Alerts, LimitExceedances

TIRANE = ZoneInfo("Europe/Tirane")
ISSUE = datetime(2026, 3, 2, tzinfo=UTC)
NOW = ISSUE + timedelta(minutes=30)


def exceedances(
    *hours: tuple[str, int, float], p50: float = 90.0, issue: datetime = ISSUE
) -> pl.DataFrame:
    """Rows of LimitExceedances from (feeder, hour UTC, probability); the rating is 100 kW."""
    return LimitExceedances.validate(
        pl.DataFrame(
            [
                {
                    "feeder_id": feeder,
                    "issue_time": issue,
                    "hour_start": ISSUE + timedelta(hours=hour),
                    "rating_kw": 100.0,
                    "p50_kw": p50 + hour / 100,
                    "p90_kw": p50 + 20.0,
                    "probability": probability,
                    "model": "load_forecaster",
                }
                for feeder, hour, probability in hours
            ],
            schema=LimitExceedances.create_empty().schema,
        )
    )


def decide(rows: pl.DataFrame, *, open_alerts: pl.DataFrame | None = None) -> pl.DataFrame:
    return decide_limit_alerts(rows, now=NOW, timezone=TIRANE, open_alerts=open_alerts)


def test_an_evening_above_the_rating_is_one_alert():
    alerts = decide(exceedances(("F1", 17, 0.6), ("F1", 18, 0.8), ("F1", 19, 0.55)))
    (alert,) = alerts.to_dicts()
    assert alert | {"alert_id": "", "metadata": ""} == {
        "alert_id": "",
        "dedupe_key": "limit:F1:2026-03-02",
        "alert_type": "threshold_exceeded",
        "severity": "warning",
        "subject_id": "F1",
        "message": (
            "Feeder F1 may exceed its rating of 100 kW on 2026-03-02 from 18:00 to 21:00 "
            "(Europe/Tirane): 90.2 kW expected at the peak, 90% of the rating (P90 110 kW); "
            "probability up to 80%."
        ),
        "metadata": "",
        "state": "open",
        "opened_at": NOW,
        "closed_at": None,
    }
    assert json.loads(alert["metadata"]) == {
        "feeder_id": "F1",
        "rating_kw": 100.0,
        "peak_hour_start": "2026-03-02T19:00:00+00:00",
        "p50_kw": 90.19,
        "p90_kw": 110.0,
        "probability": 0.8,
        "hours": [f"2026-03-02T{hour}:00:00+00:00" for hour in (17, 18, 19)],
        "issue_time": "2026-03-02T00:00:00+00:00",
        "model": "load_forecaster",
    }


def test_an_hour_between_release_and_threshold_keeps_an_episode_together():
    (alert,) = decide(exceedances(("F1", 17, 0.6), ("F1", 18, 0.35), ("F1", 19, 0.6))).to_dicts()
    assert "from 18:00 to 21:00" in alert["message"]


def test_an_hour_after_a_gap_is_no_part_of_the_episode_before():
    (alert,) = decide(exceedances(("F1", 17, 0.6), ("F1", 19, 0.35))).to_dicts()
    assert "on 2026-03-02 from 18:00 to 19:00 (Europe/Tirane)" in alert["message"]
    assert json.loads(alert["metadata"])["hours"] == ["2026-03-02T17:00:00+00:00"]


def test_an_episode_begins_again_right_after_a_gap():
    (alert,) = decide(
        exceedances(("F1", 15, 0.35), ("F1", 17, 0.35), ("F1", 18, 0.6), ("F1", 20, 0.35))
    ).to_dicts()
    assert "on 2026-03-02 from 18:00 to 20:00 (Europe/Tirane)" in alert["message"]


def test_an_hour_at_the_release_belongs_to_the_episode_and_one_below_does_not():
    (alert,) = decide(exceedances(("F1", 16, 0.29), ("F1", 17, 0.5), ("F1", 18, 0.3))).to_dicts()
    assert "from 18:00 to 20:00" in alert["message"]


def test_two_episodes_of_a_day_are_one_alert_with_both_in_words():
    (alert,) = decide(exceedances(("F1", 6, 0.6), ("F1", 18, 0.7))).to_dicts()
    assert "from 07:00 to 08:00 and from 19:00 to 20:00" in alert["message"]


def test_an_episode_that_never_reaches_the_threshold_is_no_alert():
    assert decide(exceedances(("F1", 17, 0.45), ("F1", 18, 0.49))).height == 0


def test_no_exceedances_make_no_alerts():
    assert decide(LimitExceedances.create_empty()).equals(Alerts.create_empty())


@pytest.mark.parametrize(
    ("probability", "p50", "severity"),
    [
        (0.6, 90.0, "warning"),
        (0.9, 90.0, "critical"),
        (0.95, 90.0, "critical"),
        (0.6, 109.9, "warning"),
        (0.6, 110.0, "critical"),
        (0.6, 112.0, "critical"),
    ],
)
def test_severity_grows_with_probability_and_depth(probability, p50, severity):
    (alert,) = decide(exceedances(("F1", 0, probability), p50=p50)).to_dicts()
    assert alert["severity"] == severity


def test_an_alert_that_is_open_is_not_opened_again():
    rows = exceedances(("F1", 17, 0.6), ("F2", 17, 0.6))
    first = decide(rows.filter(pl.col("feeder_id") == "F1"))
    assert decide(rows, open_alerts=first)["dedupe_key"].to_list() == ["limit:F2:2026-03-02"]


def test_the_latest_issue_about_an_hour_counts():
    earlier = exceedances(("F1", 17, 0.9), issue=ISSUE - timedelta(days=1))
    later = exceedances(("F1", 17, 0.1))
    assert decide(pl.concat([later, earlier])).height == 0


def test_the_last_hour_of_the_utc_day_belongs_to_the_next_local_day():
    (alert,) = decide(exceedances(("F1", 23, 0.6))).to_dicts()
    assert alert["dedupe_key"] == "limit:F1:2026-03-03"


HOURS = st.lists(
    st.tuples(st.sampled_from(["F1", "F2"]), st.integers(0, 23), st.floats(0, 1)),
    max_size=20,
    unique_by=lambda hour: hour[:2],
)


@given(HOURS, st.randoms())
def test_the_order_of_rows_changes_no_alert(hours, random):
    shuffled = list(hours)
    random.shuffle(shuffled)
    assert decide(exceedances(*shuffled)).equals(decide(exceedances(*hours)))


@given(HOURS)
def test_deciding_again_opens_nothing_and_no_fact_is_opened_twice(hours):
    alerts = decide(exceedances(*hours))
    assert alerts["dedupe_key"].is_unique().all()
    assert decide(exceedances(*hours), open_alerts=alerts).height == 0


@given(HOURS)
def test_every_feeder_that_reaches_the_threshold_has_an_alert(hours):
    feeders = {feeder for feeder, _, probability in hours if probability >= 0.5}
    assert set(decide(exceedances(*hours))["subject_id"]) == feeders


def test_retries_of_a_failed_run_are_one_fact():
    first = build_failure_alert(job_name="refresh_days", run_id="r1", error="boom\nat x", now=NOW)
    again = build_failure_alert(
        job_name="refresh_days", run_id="r2", root_run_id="r1", error="boom", now=NOW
    )
    assert first["dedupe_key"].to_list() == ["failure:refresh_days:r1"]
    assert again["alert_id"].to_list() == first["alert_id"].to_list()
    assert first["message"].to_list() == ["Job refresh_days failed (run r1): boom"]


def test_a_message_carries_the_start_of_a_long_error_and_of_its_run():
    alert = build_failure_alert(job_name="j", run_id="0123456789", error="x" * 9000, now=NOW)
    assert alert["message"].item() == f"Job j failed (run 01234567): {'x' * 500}"
    assert len(json.loads(alert["metadata"].item())["error"]) == 2000
    silent = build_failure_alert(job_name="j", run_id="r1", error=" ", now=NOW)
    assert silent["message"].item() == "Job j failed (run r1): no error text"


def test_a_rollback_is_one_fact_per_version():
    first = build_rollback_alert(model="m", version=4, reason="it fails", now=NOW)
    again = build_rollback_alert(model="m", version=4, reason="it is slow", now=NOW)
    assert first["alert_id"].to_list() == again["alert_id"].to_list()
    assert first["dedupe_key"].to_list() == ["rollback:m:4"]
    assert first["message"].to_list() == ["Version 4 of m was rolled back: it fails"]
