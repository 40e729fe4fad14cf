"""Readings of the grid as series, and anomalies held to a known truth."""

from datetime import UTC, datetime, timedelta

import polars as pl

from smartgrid_core.contracts.anomalies import Anomalies, AnomalyScores
from smartgrid_core.time import HOUR
from smartgrid_ml.mining.anomalies.evaluation.ground_truth import (
    count_most_per_month,
    find_false_alarms,
    match_faults,
)
from smartgrid_ml.mining.anomalies.grid_inputs import (
    build_meter_limits,
    build_sensor_limits,
    build_weather_context,
    choose_sensor_step,
    group_meters,
    group_sensors,
    merge_anomaly_days,
    sum_meter_energy,
    to_anomaly_rows,
    to_score_rows,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)

TREE = pl.DataFrame(
    {
        "node_id": ["SUB", "F1", "T1", "S-SUB", "S-F1", "S-T1", "S-T1-L1", "F2", "S-F2"],
        "node_kind": [
            "substation",
            "feeder",
            "transformer",
            *["sensor"] * 4,
            "feeder",
            "sensor",
        ],
        "parent_id": [None, "SUB", "F1", "SUB", "F1", "T1", "T1", "SUB", "F2"],
        "nominal_voltage_v": [None, None, 400.0, None, None, None, None, None, None],
        "rating_kw": [None, 25.0, None, None, None, None, None, None, None],
    }
)


def test_an_hour_with_a_gap_has_no_energy_and_one_that_was_mended_has():
    quality = ["measured"] * 4 + ["gap"] * 2 + ["measured"] * 2 + ["unit_slip"] * 4
    consumption = pl.DataFrame(
        {
            "meter_id": "M1",
            "interval_start": [NOON + n * QUARTER for n in range(12)],
            "interval_minutes": 15,
            "energy_kwh": 0.25,
            "quality": quality,
        }
    ).head(-1)

    assert sum_meter_energy(consumption).rows() == [
        ("M1/energy", NOON, 1.0),
        ("M1/energy", NOON + HOUR, None),
        ("M1/energy", NOON + 2 * HOUR, None),
    ]


def test_sensors_are_judged_at_a_step_that_divides_the_day():
    assert [choose_sensor_step(minutes) // timedelta(minutes=1) for minutes in (1, 15, 25, 60)] == [
        15,
        15,
        30,
        60,
    ]


def test_phases_of_one_place_are_a_set_and_types_are_peers():
    groups = group_sensors(["S-T1/current", "S-T1-L1/current", "S-T1-L2/current"])

    assert groups["peer_group"].unique().to_list() == ["current"]
    assert groups["phase_set"].to_list() == [None, "S-T1/current", "S-T1/current"]


def test_limits_are_ten_percent_of_nominal_and_the_rating_of_what_is_watched():
    limits = build_sensor_limits(TREE)

    assert limits.filter(pl.col("series") == "S-F1/power").rows() == [
        ("S-F1/power", -25.0, 25.0, 60, "the rating")
    ]
    low, high = limits.filter(pl.col("series") == "S-T1/voltage").select("low", "high").row(0)
    assert (round(low, 1), round(high, 1)) == (207.8, 254.0)


def anomaly(subject: str, kind: str, start: datetime, hours: int = 1) -> dict:
    return {
        "subject_id": subject,
        "subject_kind": "sensor",
        "kind": kind,
        "start_time": start,
        "end_time": start + hours * HOUR,
        "reason": f"{kind} at {subject}",
    }


def fault(number: int, kind: str, subject: str, subject_kind: str = "sensor") -> dict:
    return {
        "fault_id": f"fault-{number}",
        "kind": kind,
        "subject_kind": subject_kind,
        "subject_id": subject,
        "start_time": NOON,
        "end_time": NOON + 2 * HOUR,
    }


def test_a_fault_is_found_by_an_anomaly_of_its_kind_at_its_sensor_or_feeder():
    planted = pl.DataFrame(
        [
            fault(1, "spike", "S-T1"),
            fault(2, "drift", "S-F2"),
            fault(3, "feeder_overload", "F1", "feeder"),
            fault(4, "theft", "M1", "meter"),
        ]
    )
    anomalies = pl.DataFrame(
        [
            anomaly("S-T1", "spike", NOON),
            anomaly("S-F2", "spike", NOON),
            anomaly("S-F1", "out_of_band", NOON + HOUR),
        ]
    )

    assert match_faults(anomalies, planted, topology=TREE).select("fault_id", "found").rows() == [
        ("fault-1", True),
        ("fault-2", False),
        ("fault-3", True),
    ]


def test_an_overload_explains_its_feeder_and_what_is_above_but_no_other_feeder():
    planted = pl.DataFrame([fault(1, "feeder_overload", "F1", "feeder")])
    places = ("S-SUB", "S-F1", "S-T1", "S-T1-L1", "S-F2")
    anomalies = pl.DataFrame([anomaly(place, "level_shift", NOON) for place in places])

    left = find_false_alarms(anomalies, planted, topology=TREE)

    assert left["subject_id"].to_list() == ["S-F2"]
    later = pl.DataFrame([anomaly("S-F1", "spike", NOON + 12 * HOUR)])
    assert find_false_alarms(later, planted, topology=TREE).height == 1


def test_what_a_sensor_shows_at_once_in_several_quantities_is_one_alarm():
    rows = [
        anomaly("S-F2", "spike", NOON, hours=3),
        anomaly("S-F2", "level_shift", NOON + HOUR),
        anomaly("S-F2", "spike", NOON + 30 * HOUR),
        anomaly("S-F1", "spike", NOON),
        anomaly("S-F2", "spike", NOON + timedelta(days=40)),
    ]

    assert count_most_per_month(pl.DataFrame(rows)) == 2
    assert count_most_per_month(pl.DataFrame(rows).clear()) == 0


def test_a_fault_explains_what_other_sensors_of_its_place_show_at_once():
    planted = pl.DataFrame([fault(1, "spike", "S-T1")])
    anomalies = pl.DataFrame([anomaly(place, "spike", NOON) for place in ("S-T1-L1", "S-F1")])

    left = find_false_alarms(anomalies, planted, topology=TREE)

    assert left["subject_id"].to_list() == ["S-F1"]


def test_weather_is_the_mean_of_its_stations():
    weather = pl.DataFrame(
        {
            "station_id": ["a", "b"],
            "hour_start": [NOON, NOON],
            "temperature_c": [4.0, 6.0],
            "irradiance_wm2": [None, 100.0],
        }
    )
    assert build_weather_context(weather).rows() == [(NOON, 5.0, 100.0)]


def test_meters_of_one_kind_of_customer_are_peers_and_never_below_zero():
    meters = pl.DataFrame(
        {"node_id": ["M1", "F1"], "node_kind": ["meter", "feeder"], "customer_kind": ["home", None]}
    )
    assert group_meters(meters).rows() == [("M1/energy", "home", None)]
    assert build_meter_limits(["M1/energy"]).rows() == [("M1/energy", 0.0, None, None, "energy")]


def test_an_anomaly_is_a_row_of_the_table_as_its_last_day_left_it():
    parts = pl.DataFrame(
        {
            "series": ["S/1/power"] * 2,
            "start_time": [NOON] * 2,
            "end_time": [NOON + HOUR, NOON + 30 * HOUR],
            "time": [NOON] * 2,
            "value": [9.0] * 2,
            "lower": [1.0] * 2,
            "upper": [5.0] * 2,
            "score": [4.0, 5.0],
            "kind": ["spike", "level_shift"],
            "reason": ["then", "now"],
            "day": [NOON.date(), NOON.date() + timedelta(days=1)],
        }
    )

    rows = merge_anomaly_days(to_anomaly_rows(parts, subject_kind="sensor"))

    assert set(rows.columns) == set(Anomalies.column_names())
    assert rows.select("subject_id", "quantity", "kind", "end_time").rows() == [
        ("S/1", "power", "level_shift", NOON + 30 * HOUR)
    ]
    scores = to_score_rows(parts.select("series", "time", "value", "lower", "upper", "score"))
    assert set(scores.columns) == set(AnomalyScores.column_names())
