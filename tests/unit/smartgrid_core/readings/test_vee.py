from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from smartgrid_core.contracts.aggregates import MeterConsumption
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.readings.vee import compute_interval_energy, summarise_vee
from smartgrid_core.time import Window

MIDNIGHT = datetime(2025, 3, 1, tzinfo=UTC)
FIRST, SECOND = date(2025, 3, 1), date(2025, 3, 2)


def story(consumption: pl.DataFrame) -> list[tuple[float, str]]:
    assert MeterConsumption.is_valid(consumption)
    exact = consumption["quality"].is_in(["measured", "rollover"])
    assert (consumption["is_estimated"] == ~exact).all()
    return list(consumption.select("energy_kwh", "quality").iter_rows())


def test_energy_is_the_difference_of_two_register_readings(register, energy):
    assert energy(register([1000.0, 1000.25, 1000.25, 1001.5])).to_dicts() == [
        {
            "meter_id": "a",
            "interval_start": MIDNIGHT + timedelta(hours=hour),
            "interval_minutes": 60,
            "energy_kwh": kwh,
            "is_estimated": False,
            "quality": "measured",
        }
        for hour, kwh in enumerate([0.25, 0.0, 1.25])
    ]


def test_a_gap_gets_the_energy_between_its_edges_in_equal_parts(register, energy):
    assert story(energy(register([500.0, 501.0, None, None, 504.0, 504.5]))) == [
        (1.0, "measured"),
        (1.0, "gap"),
        (1.0, "gap"),
        (1.0, "gap"),
        (0.5, "measured"),
    ]


def test_a_reset_counts_from_zero_and_loses_what_came_before(register, energy):
    assert story(energy(register([500.0, 501.0, 0.25, 1.25, 2.0]))) == [
        (1.0, "measured"),
        (0.25, "reset"),
        (1.0, "measured"),
        (0.75, "measured"),
    ]


def test_a_reset_to_zero_in_the_night_stays_a_reset_while_nothing_is_drawn(register, energy):
    assert story(energy(register([500.0, 500.0, 0.0, 0.0, 0.0, 0.5]))) == [
        (0.0, "measured"),
        (0.0, "reset"),
        (0.0, "measured"),
        (0.0, "measured"),
        (0.5, "measured"),
    ]


def test_a_rollover_continues_at_zero_and_loses_nothing(register, energy):
    assert story(energy(register([99_998.0, 99_999.5, 0.5, 1.5]))) == [
        (1.5, "measured"),
        (1.0, "rollover"),
        (1.0, "measured"),
    ]


@pytest.mark.parametrize("zeros", [1, 2, 6])
def test_momentary_zeros_are_bridged(register, energy, zeros):
    counts = [500.0, 501.0, *[0.0] * zeros, 501.0 + zeros + 1, 503.0 + zeros]
    assert story(energy(register(counts))) == [
        (1.0, "measured"),
        *[(1.0, "momentary_zero")] * (zeros + 1),
        (1.0, "measured"),
    ]


def test_a_small_dip_keeps_the_registers_total(register, energy):
    assert story(energy(register([500.0, 501.0, 500.5, 502.0, 503.0]))) == [
        (1.0, "measured"),
        (0.5, "backward_step"),
        (0.5, "backward_step"),
        (1.0, "measured"),
    ]


def test_an_overshoot_that_is_taken_back_keeps_the_registers_total(register, energy):
    counts = [500.0, 501.0, 501.9, 501.5, 501.6, 501.7, 501.8, 501.85, 502.0]
    consumption = energy(register(counts))
    assert consumption["energy_kwh"].sum() == pytest.approx(2.0)
    assert consumption.filter(pl.col("quality") != "measured")["quality"].unique().to_list() == [
        "backward_step"
    ]


def test_a_lasting_backward_step_counts_nothing_and_goes_on_from_there(register, energy):
    assert story(energy(register([500.0, 501.0, 502.0, 450.0, 451.0, 452.5]))) == [
        (1.0, "measured"),
        (1.0, "measured"),
        (0.0, "backward_step"),
        (1.0, "measured"),
        (1.5, "measured"),
    ]


def test_a_spike_is_bridged(register, energy):
    assert story(energy(register([500.0, 501.0, 9999.0, 503.0, 504.0]))) == [
        (1.0, "measured"),
        (1.0, "spike"),
        (1.0, "spike"),
        (1.0, "measured"),
    ]


def test_a_spike_within_what_a_meter_could_draw_is_bridged_too(register, energy):
    assert story(energy(register([500.0, 501.0, 600.0, 503.0, 504.0]))) == [
        (1.0, "measured"),
        (1.0, "spike"),
        (1.0, "spike"),
        (1.0, "measured"),
    ]


def test_an_impossible_jump_that_lasts_counts_nothing(register, energy):
    assert story(energy(register([500.0, 501.0, 9000.0, 9001.0, 9002.0]))) == [
        (1.0, "measured"),
        (0.0, "spike"),
        (1.0, "measured"),
        (1.0, "measured"),
    ]


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_spell_in_the_wrong_unit_is_brought_back_to_scale(register, energy, factor):
    counts = [500.0, 501.0, *(n * factor for n in (502.0, 503.0, 504.0)), 505.0, 506.0]
    assert story(energy(register(counts))) == [
        (1.0, "measured"),
        *[(1.0, "unit_slip")] * 4,
        (1.0, "measured"),
    ]


def test_a_slipped_spell_that_lost_its_decimals_keeps_the_total(register, energy):
    counts = [500.0, 500.25, 0.501, 0.501, 0.501, 501.0, 501.25]
    consumption = energy(register(counts))
    assert consumption["energy_kwh"].sum() == pytest.approx(1.25)
    assert consumption["quality"].to_list() == [
        "measured",
        *["unit_slip"] * 4,
        "measured",
    ]


@pytest.mark.parametrize("factor", [1000.0, 0.001])
@pytest.mark.parametrize("slipped_first", [True, False])
def test_a_slip_that_runs_over_midnight_is_seen_from_its_one_edge(
    register, energy, factor, slipped_first
):
    hours = range(48)
    in_spell = [(hour < 24 + 10) == slipped_first for hour in hours]
    counts = [
        (700.0 + hour) * (factor if slipped else 1.0)
        for hour, slipped in zip(hours, in_spell, strict=True)
    ]
    consumption = energy(register(counts), days=(SECOND, SECOND))
    assert consumption["energy_kwh"].to_list() == pytest.approx([1.0] * 23)


def test_a_reset_from_a_thousand_times_the_first_count_is_no_unit_slip(register, energy):
    assert story(energy(register([98.0, 99.0, 100.0, 0.1, 1.1, 2.1]))) == [
        (1.0, "measured"),
        (1.0, "measured"),
        (0.1, "reset"),
        (1.0, "measured"),
        (1.0, "measured"),
    ]


def test_off_grid_readings_are_laid_on_the_grid_without_losing_energy(register, energy):
    readings = register(
        [100.0, 101.0, 103.0, 103.0], start=MIDNIGHT - timedelta(minutes=15), every_minutes=60
    )
    assert story(energy(readings)) == [(1.25, "measured"), (1.5, "measured")]


def test_readings_twice_as_often_as_the_grid_are_added_up(register, energy):
    assert story(energy(register([10.0, 10.5, 11.5, 11.5, 12.0], every_minutes=30))) == [
        (1.5, "measured"),
        (0.5, "measured"),
    ]


def test_nothing_is_known_outside_the_first_and_last_reading(register, energy):
    readings = register([10.0, 11.0, 12.0], start=MIDNIGHT + timedelta(hours=5, minutes=30))
    assert energy(readings)["interval_start"].to_list() == [MIDNIGHT + timedelta(hours=6)]


def test_a_lone_reading_tells_nothing(register, energy):
    assert energy(register([10.0])).is_empty()


def test_no_readings_make_an_empty_table(register, energy):
    assert MeterConsumption.is_valid(energy(register([])))


def test_a_day_inside_a_gap_gets_its_share_from_its_brackets(register, energy):
    readings = register([100.0, *[None] * 71, 172.0])
    assert story(energy(readings, days=(SECOND, SECOND))) == [(1.0, "gap")] * 24


def test_the_last_interval_of_a_day_ends_at_the_next_days_first_reading(register, energy):
    counts = [float(n) for n in range(30)]
    assert energy(register(counts)).height == 24


def test_readings_that_are_no_counts_are_not_looked_at(register, energy):
    readings = register([500.0, -1.0, float("nan"), float("inf"), 504.0])
    assert story(energy(readings)) == [(1.0, "gap")] * 4


def test_a_revised_reading_counts_with_its_latest_word(register, energy):
    first, revised = register([500.0, 501.0, 503.0]), register([500.0, 502.0, 503.0])
    later = revised.with_columns(pl.col("ingested_at") + timedelta(days=1))
    assert story(energy(pl.concat([later, first]), brackets_from=first)) == [
        (2.0, "measured"),
        (1.0, "measured"),
    ]


def test_interval_readings_are_taken_as_they_are(register, energy):
    readings = register([0.5, 0.75], start=MIDNIGHT + timedelta(hours=1), kind="interval")
    assert story(energy(readings)) == [(0.5, "measured"), (0.75, "measured")]


def test_the_interval_reading_at_midnight_belongs_to_the_day_before(register, energy):
    readings = register([0.5, 0.75], start=MIDNIGHT + timedelta(hours=23), kind="interval")
    assert energy(readings)["interval_start"].to_list() == [
        MIDNIGHT + timedelta(hours=22),
        MIDNIGHT + timedelta(hours=23),
    ]


def test_an_interval_reading_a_few_seconds_late_still_ends_its_interval(register, energy):
    readings = register([0.5], start=MIDNIGHT + timedelta(hours=1, seconds=20), kind="interval")
    assert energy(readings)["interval_start"].to_list() == [MIDNIGHT]


def test_interval_readings_shorter_than_the_grid_are_added_up(register, energy):
    readings = register(
        [0.25] * 4, start=MIDNIGHT + timedelta(minutes=15), every_minutes=15, kind="interval"
    )
    assert story(energy(readings)) == [(1.0, "measured")]


def test_an_interval_that_does_not_divide_the_day_is_refused(register):
    with pytest.raises(ConfigurationError, match="must divide a day"):
        compute_interval_energy(
            register([1.0, 2.0]),
            pl.DataFrame(),
            window=Window.of_day(FIRST),
            interval_minutes=7,
            register_capacity_kwh=1e5,
        )


def test_the_report_counts_intervals_by_meter_and_quality(register, energy):
    consumption = energy(register([500.0, 501.0, None, 503.0]))
    assert summarise_vee(consumption).to_dicts() == [
        {
            "meter_id": "a",
            "quality": "gap",
            "intervals": 2,
            "energy_kwh": 2.0,
            "first_start": MIDNIGHT + timedelta(hours=1),
            "last_start": MIDNIGHT + timedelta(hours=2),
        },
        {
            "meter_id": "a",
            "quality": "measured",
            "intervals": 1,
            "energy_kwh": 1.0,
            "first_start": MIDNIGHT,
            "last_start": MIDNIGHT,
        },
    ]
