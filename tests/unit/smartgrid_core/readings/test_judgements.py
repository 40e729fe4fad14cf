from datetime import UTC, datetime, timedelta

import polars as pl

from smartgrid_core.readings.judgements import (
    find_late_arrivals,
    find_repeated_readings,
    find_silent_meters,
    find_silent_sensors,
    find_stuck_registers,
    find_stuck_values,
    find_voltage_sags,
    summarise_corrections,
)

MIDNIGHT = datetime(2025, 3, 1, tzinfo=UTC)


def quarter(number: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=15 * number)


def sensor(values: list[float | None], *, sensor_type: str = "voltage") -> pl.DataFrame:
    present = [(n, value) for n, value in enumerate(values) if value is not None]
    return pl.DataFrame(
        {
            "sensor_id": ["s1"] * len(present),
            "sensor_type": [sensor_type] * len(present),
            "event_time": [quarter(n) for n, _ in present],
            "value": [value for _, value in present],
        },
        schema_overrides={"event_time": pl.Datetime("us", "UTC")},
    )


NOMINAL = pl.DataFrame({"sensor_id": ["s1"], "nominal_v": [230.0]})


def test_a_value_that_does_not_move_for_long_is_stuck():
    values = [5.0, 4.0, *[7.5] * 12, 6.0, *[8.0] * 11]
    assert find_stuck_values(sensor(values), sensor_interval_minutes=15).rows() == [
        ("s1", "voltage", quarter(2), quarter(14), 7.5, 12)
    ]


def test_a_plant_that_is_off_is_not_stuck():
    assert find_stuck_values(sensor([0.0] * 50), sensor_interval_minutes=15).is_empty()


def test_a_sensor_that_skips_readings_was_silent():
    values = [1.0, None, 2.0, None, None, None, 3.0]
    assert find_silent_sensors(sensor(values), sensor_interval_minutes=15).rows() == [
        ("s1", "voltage", quarter(3), quarter(6), 3)
    ]


def test_a_sag_lasts_while_the_voltage_is_below_nine_tenths():
    values = [230.0, 206.0, 190.0, 208.0, 206.9, 230.0]
    sags = find_voltage_sags(sensor(values), nominal=NOMINAL, sensor_interval_minutes=15)
    assert sags.rows() == [
        ("s1", quarter(1), quarter(3), 190.0, 230.0, 2),
        ("s1", quarter(4), quarter(5), 206.9, 230.0, 1),
    ]


def test_only_voltage_of_a_known_level_can_sag():
    currents = sensor([1.0, 2.0], sensor_type="current")
    assert find_voltage_sags(currents, nominal=NOMINAL, sensor_interval_minutes=15).is_empty()
    unknown = find_voltage_sags(sensor([1.0]), nominal=NOMINAL.clear(), sensor_interval_minutes=15)
    assert unknown.is_empty()


def test_meters_that_were_not_heard_for_too_long_are_silent():
    last_seen = pl.DataFrame(
        {"meter_id": ["late", "never", "fresh"], "last_seen": [MIDNIGHT, None, quarter(90)]}
    )
    silent = find_silent_meters(last_seen, now=quarter(96), limit=timedelta(hours=6))
    assert silent.rows() == [("late", MIDNIGHT, 24.0), ("never", None, None)]


def test_a_register_that_stands_still_unlike_itself_is_stuck(register, energy):
    counts = [float(n) for n in range(100)]
    still = [*counts, *[99.0] * 8, *(100.0 + n for n in range(20))]
    last = MIDNIGHT.date() + timedelta(days=5)
    consumption = energy(register(still), days=(MIDNIGHT.date(), last))
    assert find_stuck_registers(consumption).rows() == [
        ("a", MIDNIGHT + timedelta(hours=99), MIDNIGHT + timedelta(hours=107), 8)
    ]


def test_a_meter_that_rests_every_night_is_not_stuck(register, energy):
    by_day = [min(hour % 24, 12) + 12.0 * (hour // 24) for hour in range(97)]
    last = MIDNIGHT.date() + timedelta(days=3)
    consumption = energy(register(by_day), days=(MIDNIGHT.date(), last))
    assert consumption.filter(pl.col("energy_kwh") == 0).height > 40
    assert find_stuck_registers(consumption).is_empty()


def test_readings_that_later_ones_overtook_came_late(register):
    readings = register([1.0, 2.0, 3.0, 4.0, 5.0], every_minutes=15)
    landed = readings.with_columns(ingested_at=pl.lit(quarter(100)))
    late = landed.with_columns(
        ingested_at=pl.when(pl.col("event_time").is_in([quarter(1), quarter(2)]))
        .then(pl.lit(quarter(104)))
        .otherwise("ingested_at")
    )
    assert find_late_arrivals(landed).is_empty()
    assert find_late_arrivals(late).rows() == [
        ("a", quarter(1), quarter(2) + timedelta(microseconds=1), 2, 1.0)
    ]


def test_a_meter_that_sends_every_other_reading_late_is_one_finding(register):
    readings = register([float(n) for n in range(4000)], every_minutes=15)
    meters = pl.concat(
        [readings.with_columns(meter_id=pl.lit(f"m{number:02}")) for number in range(32)]
    )
    odd = (pl.int_range(pl.len()) % 2 == 1).over("meter_id")
    delay = pl.when(odd).then(pl.lit(timedelta(hours=6))).otherwise(timedelta(0))
    late = find_late_arrivals(meters.with_columns(ingested_at=pl.col("event_time") + delay))
    assert late.rows() == [
        (
            *(f"m{number:02}", quarter(1), quarter(3997) + timedelta(microseconds=1)),
            *(1999, 5.75),
        )
        for number in range(32)
    ]


def test_late_readings_more_than_a_day_apart_are_two_stretches(register):
    readings = register([float(n) for n in range(300)], every_minutes=15)
    delay = pl.when(pl.col("event_time").is_in([quarter(1), quarter(97), quarter(194)]))
    late = readings.with_columns(
        ingested_at=quarter(400) + delay.then(timedelta(hours=1)).otherwise(timedelta(0))
    )
    stretches = find_late_arrivals(late).select("start_time", "readings").rows()
    assert stretches == [(quarter(1), 2), (quarter(194), 1)]


def test_rows_that_were_sent_again_are_counted_by_subject(register):
    sent = register([1.0, 2.0, 3.0, 4.0], every_minutes=15)
    again = pl.concat([sent, sent[1:3], sent[2:3]])
    assert find_repeated_readings(again).rows() == [
        ("a", quarter(1), quarter(2) + timedelta(microseconds=1), 3)
    ]


def test_the_order_of_the_rows_changes_no_episode():
    flat = sensor([5.0, *[7.5] * 12, 6.0])
    assert find_stuck_values(flat.reverse(), sensor_interval_minutes=15).rows() == [
        ("s1", "voltage", quarter(1), quarter(13), 7.5, 12)
    ]
    low = sensor([230.0, 200.0, 190.0, 230.0]).reverse()
    sags = find_voltage_sags(low, nominal=NOMINAL, sensor_interval_minutes=15)
    assert sags.rows() == [("s1", quarter(1), quarter(3), 190.0, 230.0, 2)]


def test_two_missing_readings_are_silence_and_one_is_not():
    values = [1.0, None, 2.0, None, None, 3.0]
    silent = find_silent_sensors(sensor(values), sensor_interval_minutes=15)
    assert silent["missing"].to_list() == [2]


def test_a_sag_goes_on_over_a_step_of_one_and_a_half_intervals():
    low = sensor([200.0, 199.0]).with_columns(event_time=pl.Series([quarter(1), quarter(2.5)]))
    sags = find_voltage_sags(
        low.cast({"event_time": pl.Datetime("us", "UTC")}),
        nominal=NOMINAL,
        sensor_interval_minutes=15,
    )
    assert sags["readings"].to_list() == [2]


def test_meters_stand_in_order_and_are_not_silent_at_the_limit_itself():
    last_seen = pl.DataFrame(
        {"meter_id": ["b", "a", "at the limit"], "last_seen": [MIDNIGHT, MIDNIGHT, quarter(72)]}
    )
    silent = find_silent_meters(last_seen, now=quarter(96), limit=timedelta(hours=6))
    assert silent["meter_id"].to_list() == ["a", "b"]


def test_a_reading_overtaken_by_more_than_a_second_is_late(register):
    landed = register([1.0, 2.0], every_minutes=15).with_columns(ingested_at=pl.lit(quarter(9)))

    def late_by(seconds: float) -> int:
        delay = pl.when(pl.col("event_time") == MIDNIGHT).then(timedelta(seconds=seconds))
        readings = landed.with_columns(pl.col("ingested_at") + delay.otherwise(timedelta(0)))
        return find_late_arrivals(readings).height

    assert [late_by(1.0), late_by(1.5)] == [0, 1]


def revision(**changed: object) -> pl.DataFrame:
    row = {
        "dataset": "meter_readings",
        "subject_id": "a",
        "quantity": "register",
        "event_time": MIDNIGHT,
        "old_value": 5.0,
        "new_value": 3.0,
        "replaced_at": quarter(200),
        "source": "file",
    }
    return pl.DataFrame([row | changed]).cast({"event_time": pl.Datetime("us", "UTC")})


def test_a_corrected_reading_is_not_late_but_anothers_correction_excuses_nothing(register):
    landed = register([1.0, 2.0], every_minutes=15).with_columns(ingested_at=pl.lit(quarter(9)))
    late = landed.with_columns(
        ingested_at=pl.when(pl.col("event_time") == MIDNIGHT)
        .then(pl.lit(quarter(20)))
        .otherwise("ingested_at")
    )
    assert find_late_arrivals(late).height == 1
    assert find_late_arrivals(late, revisions=revision()).is_empty()
    assert find_late_arrivals(late, revisions=revision(dataset="sensor_data")).height == 1


def test_the_largest_change_of_a_correction_counts_in_both_directions():
    corrected = summarise_corrections(
        pl.concat([revision(), revision(event_time=quarter(4), old_value=1.0, new_value=1.5)])
    )
    assert corrected.rows() == [
        (
            *("a", "register", "file", quarter(200)),
            *(MIDNIGHT, quarter(4) + timedelta(microseconds=1), 2, 1, 2.0),
        )
    ]


def test_corrections_that_come_one_by_one_are_one_stretch():
    rows = [
        revision(event_time=quarter(n), source=f"{n}.csv", replaced_at=quarter(200 + n))
        for n in (1, 2, 3, 200)
    ]
    corrected = summarise_corrections(pl.concat(rows, how="vertical_relaxed"))
    told = corrected.select("source", "start_time", "rows", "deliveries").rows()
    assert told == [("3.csv", quarter(1), 3, 3), ("200.csv", quarter(200), 1, 1)]
