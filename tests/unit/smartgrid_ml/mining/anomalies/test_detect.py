"""Anomalies by kind, and readings of any shape."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from smartgrid_core.time import DAY, HOUR
from smartgrid_ml.mining.anomalies.detect import THRESHOLD, detect
from smartgrid_ml.mining.anomalies.grid_inputs import build_weather_context
from tests.unit.smartgrid_ml.mining.anomalies.hourly_series import (
    DAYS,
    NOON,
    START,
    count_hours_to,
    detect_hourly,
    get_only_anomaly,
    make_hourly_load,
    to_readings,
)


def test_a_clean_series_has_no_anomaly_and_lies_in_its_range():
    detection = detect_hourly(
        to_readings(**{f"s{seed}": make_hourly_load(seed=seed) for seed in range(8)})
    )

    assert detection.anomalies.is_empty()
    judged = detection.scores.drop_nulls()
    assert judged.height == 8 * (DAYS - 14) * 24
    assert judged.filter(~pl.col("value").is_between("lower", "upper")).is_empty()
    assert detection.scores.height == 8 * DAYS * 24
    assert (detection.scores["score"] < THRESHOLD).all()


def test_a_spike_is_found_once_with_its_value_and_range():
    values = make_hourly_load()
    values[count_hours_to(NOON)] = 30.0

    spike = get_only_anomaly(detect_hourly(to_readings(s=values)))

    assert (spike["kind"], spike["start_time"], spike["end_time"]) == (
        "spike",
        NOON,
        NOON + HOUR,
    )
    assert spike["time"] == NOON
    assert spike["value"] == 30.0
    assert 4 < spike["lower"] < 10 < spike["upper"] < 20
    assert spike["reason"].startswith("30 kW at 2026-04-01 12:00Z, expected was ")


def test_a_level_that_shifts_and_returns_is_one_anomaly():
    values = make_hourly_load()
    values[count_hours_to(NOON) : count_hours_to(NOON + 3 * DAY)] += 5.0

    shift = get_only_anomaly(detect_hourly(to_readings(s=values)))

    assert shift["kind"] == "level_shift"
    assert abs(shift["start_time"] - NOON) <= 3 * HOUR
    assert abs(shift["end_time"] - (NOON + 3 * DAY)) <= 12 * HOUR
    assert shift["value"] > shift["upper"]
    assert "days, expected was" in shift["reason"]


def test_a_level_that_stays_becomes_the_new_normal():
    values = make_hourly_load(days=70)
    values[count_hours_to(NOON) :] += 5.0

    detection = detect_hourly(to_readings(s=values))

    shift = get_only_anomaly(detection)
    assert shift["kind"] == "level_shift"
    assert 6 * DAY < shift["end_time"] - shift["start_time"] < 9 * DAY
    last = detection.scores.filter(pl.col("time") >= START + 60 * DAY)
    assert last.filter(~pl.col("value").is_between("lower", "upper")).is_empty()


def test_a_flat_line_is_found_from_its_first_reading():
    values = make_hourly_load()
    values[count_hours_to(NOON) : count_hours_to(NOON + 9 * HOUR)] = values[count_hours_to(NOON)]

    flat = get_only_anomaly(detect_hourly(to_readings(s=values)))

    assert (flat["kind"], flat["start_time"], flat["end_time"]) == (
        "flatline",
        NOON,
        NOON + 9 * HOUR,
    )
    assert flat["reason"].startswith("every reading of 9 hours is ")


def test_what_stands_still_by_habit_is_no_flat_line():
    rng = np.random.default_rng(3)
    hour = np.arange(DAYS * 24) % 24
    sun = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None) * (5 + rng.random(DAYS * 24))
    charger = np.where(
        (hour >= 18) & (hour < 21) & np.repeat(rng.random(DAYS) < 0.5, 24),
        7 + rng.random(DAYS * 24),
        0.0,
    )

    assert detect_hourly(to_readings(sun=sun, charger=charger)).anomalies.is_empty()


def test_a_gap_is_found_from_the_first_reading_that_is_missing():
    values = make_hourly_load()
    values[count_hours_to(NOON) : count_hours_to(NOON + 30 * HOUR)] = np.nan

    gap = get_only_anomaly(detect_hourly(to_readings(s=values, other=make_hourly_load(seed=2))))

    assert (gap["kind"], gap["start_time"], gap["end_time"], gap["value"]) == (
        "missing",
        NOON,
        NOON + 30 * HOUR,
        None,
    )
    assert gap["reason"].startswith("no reading for 30 hours, expected was ")


def test_a_null_is_missing_too_and_what_has_not_come_yet_is_not():
    values = make_hourly_load()
    rows = to_readings(s=values).with_columns(
        value=pl.when(~pl.col("time").is_between(NOON, NOON + 4 * HOUR)).then("value")
    )

    assert get_only_anomaly(detect_hourly(rows))["kind"] == "missing"
    cut = to_readings(
        s=values[: count_hours_to(NOON)], other=make_hourly_load(seed=2)[: count_hours_to(NOON)]
    )
    assert detect_hourly(cut, end=NOON).anomalies.is_empty()


def test_a_drift_is_told_from_a_shift():
    values = make_hourly_load()
    days = np.clip((np.arange(len(values)) - count_hours_to(NOON - 2 * DAY)) / 24, 0, 10)
    values += 0.6 * days

    drift = get_only_anomaly(detect_hourly(to_readings(s=values)))

    assert drift["kind"] == "drift"
    assert NOON - 2 * DAY < drift["start_time"] < NOON + 4 * DAY
    assert drift["value"] > drift["upper"]


def test_values_beyond_the_limits_are_out_of_band_at_once():
    values = make_hourly_load(days=3)
    values[30:33] = 25.0
    limits = pl.DataFrame({"series": ["s"], "low": [0.0], "high": [20.0], "what": ["the rating"]})

    band = get_only_anomaly(detect_hourly(to_readings(s=values), limits=limits))

    assert (band["kind"], band["start_time"], band["end_time"]) == (
        "out_of_band",
        START + 30 * HOUR,
        START + 33 * HOUR,
    )
    assert (band["value"], band["lower"], band["upper"]) == (25.0, 0.0, 20.0)
    assert band["reason"] == (
        "25 kW at 2026-03-03 06:00Z, the rating is 0 to 20 kW; outside for 3 hours"
    )


def test_uneven_phases_are_one_anomaly_of_the_phase_that_is_so_most():
    mean = make_hourly_load(level=40.0)
    rng = np.random.default_rng(5)
    shares = np.array([[0.05], [0.0], [-0.05]]) + 0.02 * rng.standard_normal((3, len(mean)))
    shares[:, count_hours_to(NOON) : count_hours_to(NOON + 2 * DAY)] += np.array(
        [[-0.1], [0.2], [-0.1]]
    )
    phases = {f"L{row + 1}": mean * (1 + share) for row, share in enumerate(shares)}
    groups = pl.DataFrame({"series": list(phases), "peer_group": None, "phase_set": "T1"})

    uneven = get_only_anomaly(detect_hourly(to_readings(**phases), groups=groups, units="A"))

    assert (uneven["series"], uneven["kind"]) == ("L2", "phase_imbalance")
    assert abs(uneven["start_time"] - NOON) <= 3 * HOUR
    assert "% above the mean of its phases" in uneven["reason"]


def test_what_the_neighbours_do_as_well_is_expected_and_what_one_does_alone_is_not():
    rng = np.random.default_rng(7)
    front = np.zeros(DAYS * 24)
    for hour in range(1, len(front)):
        front[hour] = 0.97 * front[hour - 1] + 0.5 * rng.standard_normal()
    front[count_hours_to(NOON) : count_hours_to(NOON + 10 * HOUR)] += 8.0
    homes = {f"s{seed}": make_hourly_load(seed=seed) + front for seed in range(5)}
    homes["s0"][count_hours_to(NOON + 3 * DAY) : count_hours_to(NOON + 3 * DAY + 10 * HOUR)] += 8.0
    groups = pl.DataFrame({"series": list(homes), "peer_group": "homes"})

    assert detect_hourly(to_readings(**homes)).anomalies.is_empty()
    alone = get_only_anomaly(detect_hourly(to_readings(**homes), groups=groups))
    assert alone["series"] == "s0"
    assert abs(alone["start_time"] - (NOON + 3 * DAY)) <= 3 * HOUR


def test_a_standstill_over_midnight_does_not_make_itself_usual():
    """Ten hours on the tenth day: the four before midnight are all that the past would know."""
    still = make_hourly_load(days=12)
    for morning in (7 * 24 + 6, 8 * 24 + 6):
        still[morning + 1] = still[morning]
    night = 9 * 24 + 20
    still[night : night + 10] = 0.0
    flat = get_only_anomaly(detect_hourly(to_readings(s=still)))
    assert (flat["kind"], flat["start_time"]) == ("flatline", START + night * HOUR)
    assert flat["end_time"] == START + (night + 10) * HOUR


def test_what_the_weather_explains_is_expected():
    rng = np.random.default_rng(8)
    temperature = 10 + 5 * np.repeat(rng.standard_normal(DAYS), 24)
    temperature[count_hours_to(NOON) - 12 : count_hours_to(NOON) + 12] = -12.0
    heating = make_hourly_load() - 0.5 * (temperature - 10)
    context = pl.DataFrame(
        {
            "time": [START + hour * HOUR for hour in range(DAYS * 24)],
            "temperature_c": temperature,
        }
    )

    cold = {"start": NOON - 12 * HOUR, "end": NOON + 12 * HOUR}
    with_weather = detect_hourly(to_readings(s=heating), context=context).scores
    plain = detect_hourly(to_readings(s=heating)).scores
    day = pl.col("time").is_between(cold["start"], cold["end"], closed="left")
    assert with_weather.filter(day)["score"].mean() < plain.filter(day)["score"].mean()
    assert with_weather.filter(day, pl.col("score") >= THRESHOLD).is_empty()


def test_a_day_whose_weather_has_not_come_yet_forgets_nothing_of_what_weather_does():
    cold, before = NOON - 12 * HOUR, NOON - 36 * HOUR
    temperature = 10 + 5 * np.repeat(np.random.default_rng(8).standard_normal(DAYS), 24)
    temperature[count_hours_to(before) : count_hours_to(cold)] = 10.0
    temperature[count_hours_to(cold) : count_hours_to(cold + DAY)] = -12.0
    heating = to_readings(s=make_hourly_load() - 0.5 * (temperature - 10))
    hours = [START + hour * HOUR for hour in range(DAYS * 24)]
    weather = pl.DataFrame(
        {"hour_start": hours, "temperature_c": temperature, "irradiance_wm2": None}
    )

    state = None
    for begin, end in ((START, before), (before, cold), (cold, cold + DAY)):
        come = weather.filter(
            pl.col("hour_start").is_between(begin, end, closed="left"), pl.lit(begin != before)
        )
        rows = heating.filter(pl.col("time").is_between(begin, end, closed="left"))
        judged = detect_hourly(rows, state=state, context=build_weather_context(come))
        state = judged.states
    assert judged.scores.filter(pl.col("score") >= THRESHOLD).is_empty()
    whole = detect_hourly(heating, context=build_weather_context(weather)).scores
    same_day = whole.filter(pl.col("time").is_between(cold, cold + DAY, closed="left"))
    assert judged.scores["score"].mean() == pytest.approx(same_day["score"].mean(), rel=0.3)


def test_nothing_at_all_gives_empty_tables():
    nothing = detect(
        pl.DataFrame(schema={"series": pl.String, "time": pl.Datetime, "value": pl.Float64}),
        step=HOUR,
    )

    assert [frame.height for frame in (nothing.anomalies, nothing.scores, nothing.states)] == [
        0,
        0,
        0,
    ]


def test_a_series_of_nulls_alone_has_no_range_and_no_anomaly():
    rows = to_readings(s=make_hourly_load(days=20)).with_columns(value=pl.lit(None, pl.Float64))

    detection = detect_hourly(rows)

    assert detection.anomalies.is_empty()
    assert detection.scores["score"].unique().to_list() == [0.0]


def test_steps_that_do_not_divide_a_day_are_refused():
    with pytest.raises(ValueError, match="does not divide a day"):
        detect(to_readings(s=make_hourly_load(days=1)), step=timedelta(minutes=7))


@pytest.mark.parametrize("minutes", [5, 15, 1440])
def test_steps_of_minutes_to_a_day_are_judged(minutes: int):
    step = timedelta(minutes=minutes)
    days = 30 if minutes < 60 else 120
    count = days * DAY // step
    rng = np.random.default_rng(2)
    values = 50 + 10 * np.sin(np.arange(count) * (step / DAY) * 2 * np.pi)
    values = values + rng.standard_normal(count)
    values[-3] = 200.0
    rows = pl.DataFrame(
        {"series": "s", "time": [START + n * step for n in range(count)], "value": values}
    )

    spike = get_only_anomaly(detect(rows, step=step))

    assert (spike["kind"], spike["time"]) == ("spike", START + (count - 3) * step)


def test_a_wall_clock_without_zone_is_read_as_utc():
    rows = to_readings(s=make_hourly_load()).with_columns(pl.col("time").dt.replace_time_zone(None))

    assert detect_hourly(rows).scores["time"].dtype == pl.Datetime("us", "UTC")


def test_a_holiday_is_expected_to_be_like_a_sunday():
    values = make_hourly_load(noise=0.2, days=70)
    first_of_may = count_hours_to(datetime(2026, 5, 1, tzinfo=UTC))
    values[first_of_may : first_of_may + 24] *= 0.8
    day = pl.col("time").dt.date() == date(2026, 5, 1)
    rows = to_readings(s=values)

    knowing = detect_hourly(rows, country="AL").scores.filter(day)
    ignorant = detect_hourly(rows).scores.filter(day)

    assert (knowing["value"] - knowing["lower"]).mean() > (
        ignorant["value"] - ignorant["lower"]
    ).mean()
    assert knowing["score"].mean() < ignorant["score"].mean()


def test_phases_that_stay_uneven_become_normal_after_two_weeks():
    mean = make_hourly_load(level=40.0, days=80)
    rng = np.random.default_rng(5)
    shares = np.array([[0.05], [0.0], [-0.05]]) + 0.02 * rng.standard_normal((3, len(mean)))
    shares[:, count_hours_to(NOON) :] += np.array([[-0.1], [0.2], [-0.1]])
    phases = {f"L{row + 1}": mean * (1 + share) for row, share in enumerate(shares)}
    groups = pl.DataFrame({"series": list(phases), "peer_group": None, "phase_set": "T1"})

    anomalies = detect_hourly(to_readings(**phases), groups=groups, units="A").anomalies

    uneven = anomalies.filter(pl.col("kind") == "phase_imbalance")
    assert uneven["series"].to_list() == ["L2"]
    lasted = uneven["end_time"][0] - uneven["start_time"][0]
    assert 13 * DAY < lasted < 16 * DAY
