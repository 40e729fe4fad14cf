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
)

MIDNIGHT = datetime(2025, 3, 1, tzinfo=UTC)


def quarter(number: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=15 * number)


def sensor(values: list[float | None], *, sensor_type: str = "voltage") -> pl.DataFrame:
    said = [(n, value) for n, value in enumerate(values) if value is not None]
    return pl.DataFrame(
        {
            "sensor_id": ["s1"] * len(said),
            "sensor_type": [sensor_type] * len(said),
            "event_time": [quarter(n) for n, _ in said],
            "value": [value for _, value in said],
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
        ("a", quarter(1), quarter(2) + timedelta(microseconds=1), 2)
    ]


def test_rows_that_were_sent_again_are_counted_by_subject(register):
    sent = register([1.0, 2.0, 3.0, 4.0], every_minutes=15)
    again = pl.concat([sent, sent[1:3], sent[2:3]])
    assert find_repeated_readings(again).rows() == [
        ("a", quarter(1), quarter(2) + timedelta(microseconds=1), 3)
    ]
