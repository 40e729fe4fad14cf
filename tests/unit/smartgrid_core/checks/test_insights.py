"""The judgement on insights: each rests on rows that are there."""

import json
from datetime import UTC, date, datetime

import polars as pl

from smartgrid_core.checks.insights import find_evidence_window, judge_insights
from smartgrid_core.time import Window

BEGAN = datetime(2026, 3, 1, 4, tzinfo=UTC)
EVIDENCE = {
    "inspections": pl.DataFrame({"subject_id": ["M1"]}),
    "anomalies": pl.DataFrame({"subject_id": ["S1"], "start_time": [BEGAN]}),
    "event_rules": pl.DataFrame({"day": [date(2026, 3, 1)], "feeder_id": ["F1"]}),
}


def insight(table: str, **key: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "section": ["inspections"],
            "position": [1],
            "evidence_table": [table],
            "evidence_key": [json.dumps(key)],
        }
    )


def test_insights_with_their_evidence_are_right():
    rows = pl.concat(
        [
            insight("inspections", subject_id="M1"),
            insight("anomalies", subject_id="S1", start_time=BEGAN.isoformat()),
            insight("event_rules", day="2026-03-01", feeder_id="F1"),
        ]
    )
    outcome = judge_insights(rows, evidence=EVIDENCE)
    assert outcome.passed
    assert outcome.summary == "3 of 3 insights have evidence"


def test_an_insight_whose_evidence_is_gone_is_a_warning():
    unfounded = [
        insight("inspections", subject_id="M2"),
        insight("anomalies", subject_id="S1", start_time="2026-03-01T05:00:00+00:00"),
        insight("event_rules", day="2026-02-28", feeder_id="F1"),
        insight("inspections", meter_id="M1"),
        insight("no_such_table", subject_id="M1"),
    ]
    for rows in unfounded:
        outcome = judge_insights(rows, evidence=EVIDENCE)
        assert outcome.figures == {"insights": 1, "without_evidence": 1}
        assert outcome.warnings[0].startswith("1 insights link to evidence that is not there")


def test_a_day_without_insights_is_right():
    assert judge_insights(insight("inspections").clear(), evidence={}).passed


def test_the_evidence_lies_between_the_first_and_the_last_day_that_insights_name():
    rows = pl.concat(
        [
            insight("anomalies", subject_id="S1", start_time=BEGAN.isoformat()),
            insight("anomalies", subject_id="S2", start_time="2026-02-20T23:45:00+00:00"),
        ]
    )
    window = find_evidence_window(rows, day_column="start_time")
    assert window == Window.of_days(date(2026, 2, 20), date(2026, 3, 1))
    assert find_evidence_window(rows, day_column="day") is None
