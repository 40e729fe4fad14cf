from datetime import UTC, date, datetime, timedelta

import polars as pl

from smartgrid_ml.mining.insights.select import (
    select_anomalies,
    select_inspections,
    select_rules,
    select_segments,
)

DAY = date(2026, 11, 24)


def anomaly(
    subject: str, hours_ago: int, *, kind: str = "spike", score: float
) -> dict[str, object]:
    start = datetime(2026, 11, 24 - hours_ago // 24, 12, tzinfo=UTC)
    return {
        "subject_id": subject,
        "quantity": "voltage",
        "kind": kind,
        "start_time": start,
        "end_time": start + timedelta(hours=1),
        "score": score,
        "reason": f"{subject} is odd.",
    }


def test_the_strongest_anomalies_of_the_week_come_first_and_older_ones_do_not_come():
    rows = pl.DataFrame(
        [
            anomaly("S-1", 0, score=3.0),
            anomaly("S-2", 48, score=9.0),
            anomaly("S-3", 24, score=9.0, kind="level_shift"),
            anomaly("S-4", 240, score=99.0),
        ]
    )

    section = select_anomalies(rows, day=DAY)

    assert section.lead == "3 anomalies in seven days (2 spike, 1 level shift)."
    assert [(i.subject_id, i.figure, i.sentence) for i in section.insights] == [
        ("S-2", 9.0, "S-2 is odd."),
        ("S-3", 9.0, "S-3 is odd."),
        ("S-1", 3.0, "S-1 is odd."),
    ]
    assert section.insights[1].title == "S-3 voltage, level shift since Mon 23 Nov 12:00 UTC:"
    assert section.insights[1].evidence.build_link("") == "/assets/anomalies?partition=2026-11-23"


def test_a_quiet_week_is_said():
    rows = pl.DataFrame([anomaly("S-4", 240, score=99.0)])
    assert select_anomalies(rows, day=DAY).lead == "None in seven days."


def test_the_list_of_inspections_says_what_a_mend_brings_back():
    rows = pl.DataFrame(
        {
            "subject_id": ["M-2", "M-1"],
            "subject_kind": ["meter", "feeder"],
            "rank": [2, 1],
            "recoverable_kwh_month": [None, 210.4],
            "reason": ["It stands still.", "It loses energy at night."],
        }
    )

    section = select_inspections(rows)

    assert section.lead == (
        "2 places are worth a visit; mending them would bring back about 210 kWh in 30 days."
    )
    assert [(i.title, i.sentence, i.figure) for i in section.insights] == [
        ("Feeder M-1:", "It loses energy at night.", 210.4),
        ("Meter M-2:", "It stands still.", None),
    ]
    assert select_inspections(rows.clear()).lead == "Nobody calls for a visit."


def test_a_rule_says_whether_it_is_new():
    rules = pl.DataFrame(
        {
            "day": [DAY, DAY],
            "feeder_id": ["F2", "F1"],
            "antecedent": ["cold & load_peak", "ramp_up"],
            "consequent": ["voltage_low", "outage"],
            "rank": [2, 1],
            "lift": [4.0, 9.0],
            "sentence": ["When cold, low.", "When up, out."],
        }
    )
    changes = rules.select("feeder_id", "antecedent", "consequent").with_columns(
        change=pl.Series(["steady", "new"])
    )

    section = select_rules(rules, changes)

    assert section.lead == "2 rules that chance does not explain (1 new)."
    assert [i.sentence for i in section.insights] == [
        "When up, out. It was no rule before.",
        "When cold, low.",
    ]
    assert section.insights[0].evidence.key == {
        "day": DAY,
        "feeder_id": "F1",
        "antecedent": "ramp_up",
        "consequent": "outage",
    }


def test_segments_come_by_size_without_ended_ones_and_the_oddest_meter_last():
    history = pl.DataFrame(
        {
            "segment_id": ["s1", "s2", "s3"],
            "segment_name": ["evening peak", "night heating", "gone"],
            "state": ["kept", "new", "ended"],
            "meters": [30, 70, 0],
            "share": [0.3, 0.7, 0.0],
            "mean_kw": [0.4, 1.5, None],
            "night_share": [0.2, 0.4, None],
            "weekend_share": [0.29, 0.29, None],
            "peak_hour": [19, 2, None],
        }
    )
    outliers = pl.DataFrame(
        {"meter_id": ["M-9", "M-8"], "score": [2.0, 1.5], "reason": ["Peaks at 4:00.", "Flat."]}
    )

    section = select_segments(history, outliers)

    assert section.lead == "100 meters in 2 segments, 1 of them new; 2 outliers."
    assert [(i.title, i.sentence) for i in section.insights] == [
        (
            "night heating:",
            "70 meters (70%), 1.50 kW on average, highest at 2:00, 40% of their energy from "
            "midnight to six, 29% at weekends; new.",
        ),
        (
            "evening peak:",
            "30 meters (30%), 0.40 kW on average, highest at 19:00, 20% of their energy from "
            "midnight to six, 29% at weekends; kept.",
        ),
        ("2 meters like no other:", "the oddest is M-9: Peaks at 4:00."),
    ]
    assert select_segments(history.clear(), outliers.clear()).lead == "No segments yet."
