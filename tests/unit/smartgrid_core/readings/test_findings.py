from datetime import UTC, datetime, timedelta

import polars as pl

from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.readings.findings import (
    collect_reading_findings,
    score_findings,
    select_unexplained_findings,
)

MIDNIGHT = datetime(2025, 3, 1, tzinfo=UTC)


def hour(number: float) -> datetime:
    return MIDNIGHT + timedelta(hours=number)


def planted(*faults: tuple[str, str, float, float]) -> pl.DataFrame:
    rows = [
        {
            "fault_id": f"fault-{number}",
            "kind": kind,
            "subject_kind": "meter",
            "subject_id": subject,
            "start_time": hour(start),
            "end_time": hour(end),
            "magnitude": None,
            "description": "",
        }
        for number, (kind, subject, start, end) in enumerate(faults)
    ]
    return PlantedFaults.validate(pl.DataFrame(rows), cast=True)


def test_every_mended_spell_is_one_finding(register, energy):
    counts = [500.0, 501.0, None, None, 504.0, 505.0, 0.0, 506.0, 507.0, 0.5, 1.5]
    assert collect_reading_findings(consumption=energy(register(counts))).rows() == [
        ("a", "gap", hour(1), hour(4), "3 intervals with 3.0 kWh in all"),
        ("a", "momentary_zero", hour(5), hour(7), "2 intervals with 1.0 kWh in all"),
        ("a", "register_reset", hour(8), hour(9), "1 intervals with 0.5 kWh in all"),
    ]


def test_without_inputs_there_is_nothing_to_find():
    assert collect_reading_findings().is_empty()


def test_sensors_show_standstill_silence_and_sags():
    values = [230.0, 190.0, 231.0, *[229.0] * 12, 232.0]
    sensor_data = pl.DataFrame(
        {
            "sensor_id": "s1",
            "sensor_type": "voltage",
            "event_time": [*(hour(n / 4) for n in range(15)), hour(5)],
            "value": values,
        }
    )
    nominal = pl.DataFrame({"sensor_id": ["s1"], "nominal_v": [230.0]})
    found = collect_reading_findings(sensor_data=sensor_data, nominal_voltages=nominal)
    assert found.rows() == [
        ("s1", "gap", hour(3.75), hour(5), "5 readings of voltage did not come"),
        ("s1", "stuck_value", hour(0.75), hour(3.75), "12 readings of voltage in a row are 229.0"),
        ("s1", "voltage_sag", hour(0.25), hour(0.5), "down to 190.0 V of 230.0 V nominal"),
    ]


def hourly_sensor(hours: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "sensor_id": "s1",
            "sensor_type": "voltage",
            "event_time": [hour(number) for number in hours],
            "value": [230.0 + number % 7 for number in hours],
        },
        schema_overrides={"event_time": pl.Datetime("us", "UTC")},
    )


def test_a_sensor_that_sends_too_rarely_is_one_finding():
    found = collect_reading_findings(sensor_data=hourly_sensor(list(range(200))))
    gap = "3 readings of voltage did not come"
    assert found.rows() == [("s1", "gap", hour(0.25), hour(199), f"199 times, at first: {gap}")]
    few = collect_reading_findings(sensor_data=hourly_sensor(list(range(30))))
    assert few["evidence"].to_list() == [gap] * 29


def test_late_and_repeated_readings_are_findings(register):
    readings = register([1.0, 2.0, 3.0]).with_columns(ingested_at=pl.lit(hour(9)))
    second = pl.col("event_time") == hour(1)
    late = readings.with_columns(
        ingested_at=pl.when(second).then(pl.lit(hour(10))).otherwise("ingested_at")
    )
    repeats = pl.DataFrame(
        {"subject_id": ["a"], "start_time": [hour(0)], "end_time": [hour(2)], "rows": [16]}
    )
    instant = timedelta(microseconds=1)
    assert collect_reading_findings(readings=late, repeats=repeats).rows() == [
        ("a", "duplicate_readings", hour(0), hour(2), "16 rows were sent again"),
        (
            *("a", "late_readings", hour(1), hour(1) + instant),
            "1 readings came in after later ones, up to 1.0 h",
        ),
    ]


def test_a_corrected_reading_is_not_a_late_one(register):
    readings = register([1.0, 2.5, 3.0]).with_columns(ingested_at=pl.lit(hour(9)))
    corrected = readings.with_columns(
        ingested_at=pl.when(pl.col("event_time") == hour(1))
        .then(pl.lit(hour(30)))
        .otherwise("ingested_at")
    )
    revisions = pl.DataFrame(
        {
            "revision_id": ["r"],
            "dataset": ["meter_readings"],
            "subject_id": ["a"],
            "quantity": ["register"],
            "event_time": [hour(1)],
            "old_value": [2.0],
            "new_value": [2.5],
            "replaced_at": [hour(30)],
            "source": ["second.csv"],
        },
        schema_overrides={name: pl.Datetime("us", "UTC") for name in ("event_time", "replaced_at")},
    )
    evidence = "1 readings of register were corrected by second.csv at 2025-03-02 06:00Z, by 0.5"
    assert collect_reading_findings(readings=corrected, revisions=revisions).rows() == [
        (
            "a",
            "corrected_readings",
            hour(1),
            hour(1) + timedelta(microseconds=1),
            f"{evidence} at most",
        )
    ]
    assert collect_reading_findings(readings=corrected)["kind"].to_list() == ["late_readings"]


def test_a_fault_is_found_by_its_kind_its_subject_and_its_time(register, energy):
    counts = [500.0, 501.0, None, None, 504.0, *(505.0 + n for n in range(8))]
    findings = collect_reading_findings(consumption=energy(register(counts)))
    truth = planted(
        ("gap", "a", 2, 4), ("gap", "b", 2, 4), ("gap", "a", 9, 10), ("unit_slip", "a", 2, 4)
    )
    assert score_findings(findings, truth).rows() == [
        ("fault-0", "gap", "a", True, 1, "3 intervals with 3.0 kWh in all"),
        ("fault-1", "gap", "b", False, 0, None),
        ("fault-2", "gap", "a", False, 0, None),
        ("fault-3", "unit_slip", "a", False, 0, None),
    ]


def test_faults_that_readings_cannot_show_are_not_scored():
    truth = planted(("theft", "a", 0, 24), ("feeder_overload", "F1", 0, 24))
    assert score_findings(collect_reading_findings(), truth).is_empty()


def test_a_finding_that_no_fault_explains_is_a_false_alarm(register, energy):
    counts = [500.0, 501.0, None, 503.0, *(504.0 + n for n in range(5)), None, 510.0, 511.0]
    findings = collect_reading_findings(consumption=energy(register(counts)))
    alarms = select_unexplained_findings(findings, planted(("late_readings", "a", 2, 3)))
    assert alarms.select("kind", "start_time").rows() == [("gap", hour(8))]
