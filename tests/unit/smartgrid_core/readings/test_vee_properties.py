from datetime import UTC, date, datetime, timedelta
from itertools import accumulate

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from smartgrid_core.contracts.aggregates import MeterConsumption
from smartgrid_core.readings.registers import compute_register_steps
from smartgrid_core.readings.steps import compute_energy_steps
from smartgrid_core.readings.touched import find_touched_days

FIRST, LAST = date(2025, 3, 1), date(2025, 3, 4)
MIDNIGHT = datetime(2025, 3, 1, tzinfo=UTC)
ONE_BY_ONE = [(FIRST + timedelta(days=n), FIRST + timedelta(days=n)) for n in range(4)]

draws = st.lists(st.integers(0, 5000).map(lambda wh: wh / 1000), min_size=2, max_size=60)
gaps = st.sets(st.integers(1, 58), max_size=20)
offsets = st.integers(0, 30 * 60).map(lambda minutes: MIDNIGHT + timedelta(minutes=minutes))
junk = st.lists(
    st.one_of(
        st.none(),
        st.just(0.0),
        st.integers(0, 200).map(float),
        st.integers(0, 99_999_999).map(lambda wh: wh / 1000),
        st.integers(500_000, 510_000).map(lambda wh: wh / 1000),
    ),
    max_size=60,
)


def counts(draws_kwh, missing=frozenset(), first=500.0):
    healthy = [round(count, 3) for count in accumulate(draws_kwh, initial=first)]
    last = len(healthy) - 1
    return [None if i in missing and i < last else count for i, count in enumerate(healthy)]


def day_by_day(readings, energy):
    parts = [energy(readings, days=days) for days in ONE_BY_ONE]
    return pl.concat(parts).sort(MeterConsumption.primary_key())


@given(counts=junk, start=offsets, minutes=st.sampled_from([20, 60, 95]))
def test_days_computed_one_by_one_or_together_are_equal_whatever_comes_in(
    register, energy, counts, start, minutes
):
    readings = register(counts, start=start, every_minutes=minutes)
    assert_frame_equal(
        day_by_day(readings, energy), energy(readings, days=(FIRST, LAST)), check_exact=True
    )


@given(counts=junk)
def test_energy_is_never_negative_and_never_more_than_a_meter_can_draw(register, energy, counts):
    consumption = energy(register(counts), days=(FIRST, LAST))
    assert consumption["energy_kwh"].is_between(0, 630).all()
    assert consumption["interval_start"].is_unique().all()


@given(draws_kwh=draws, missing=gaps)
def test_the_energy_of_a_healthy_register_sums_to_its_difference(
    register, energy, draws_kwh, missing
):
    consumption = energy(register(counts(draws_kwh, missing)), days=(FIRST, LAST))
    assert consumption.height == len(draws_kwh)
    assert consumption["energy_kwh"].sum() == pytest.approx(sum(draws_kwh), abs=1e-6)


@given(
    draws_kwh=st.lists(st.integers(1, 5000).map(lambda wh: wh / 1000), min_size=48, max_size=60),
    where=st.tuples(st.integers(5, 40), st.integers(1, 3)),
    fault=st.sampled_from(["zero", "spike", "slip_up", "slip_down"]),
)
def test_a_fault_that_passes_leaves_the_total_as_it_was(register, energy, draws_kwh, where, fault):
    at, spell = where
    shown = counts(draws_kwh)
    wrong = {
        "zero": lambda _: 0.0,
        "spike": lambda count: count + 40_000.0,
        "slip_up": lambda count: count * 1000,
        "slip_down": lambda count: round(count / 1000, 3),
    }[fault]
    shown[at : at + spell] = [wrong(count) for count in shown[at : at + spell]]
    consumption = energy(register(shown), days=(FIRST, LAST))
    assert consumption["energy_kwh"].sum() == pytest.approx(sum(draws_kwh), abs=1e-6)
    strange = consumption.filter("is_estimated")["interval_start"]
    assert strange.to_list() == [MIDNIGHT + timedelta(hours=at - 1 + n) for n in range(spell + 1)]


@given(before=draws, since=draws, capacity=st.sampled_from([10_000.0, 100_000.0]))
def test_a_rollover_loses_nothing(register, energy, before, since, capacity):
    rising = counts([*before, 0.5, *since], first=capacity - sum(before) - 0.25)
    shown = [count % capacity for count in rising]
    consumption = energy(
        register(shown), days=(FIRST, date(2025, 3, 6)), register_capacity_kwh=capacity
    )
    assert consumption["energy_kwh"].sum() == pytest.approx(
        sum(before) + 0.5 + sum(since), abs=2e-3
    )
    assert consumption["quality"].to_list().count("rollover") == 1


@given(counts=junk, late=junk, data=st.data())
def test_a_shuffled_late_and_duplicated_stream_ends_in_the_same_table(
    register, energy, counts, late, data
):
    clean = pl.concat([register(counts), register(late, meter_id="b", every_minutes=45)])
    order = data.draw(st.permutations(range(clean.height)))
    again = data.draw(st.lists(st.sampled_from(range(clean.height)) if order else st.nothing()))
    stale = clean[again].with_columns(
        pl.col("reading") + 1, pl.col("ingested_at") - timedelta(hours=9)
    )
    stream = pl.concat([stale, clean[again], clean[order]])
    from_stream = energy(stream, days=(FIRST, LAST), brackets_from=clean)
    assert_frame_equal(from_stream, energy(clean, days=(FIRST, LAST)), check_exact=True)
    assert_frame_equal(
        from_stream, energy(stream, days=(FIRST, LAST), brackets_from=clean), check_exact=True
    )


@given(counts=junk, minutes=st.sampled_from([60, 240]), data=st.data())
def test_only_touched_days_change_when_late_readings_come(register, energy, counts, minutes, data):
    final = register(counts[:24], every_minutes=minutes)
    late = data.draw(st.sets(st.integers(0, max(final.height - 1, 0)), max_size=5))
    is_late = pl.int_range(pl.len()).is_in(list(late))
    early = final.filter(~is_late)
    touched = find_touched_days(
        final.filter(is_late).select("meter_id", "event_time").iter_rows(),
        known=final.select("meter_id", "event_time").iter_rows(),
    )
    day = pl.col("interval_start").dt.date()
    untouched = energy(early, days=(FIRST, LAST)).filter(~day.is_in(list(touched)))
    reopened = energy(final, days=(FIRST, LAST)).filter(day.is_in(list(touched)))
    assert_frame_equal(
        pl.concat([untouched, reopened]).sort("interval_start"),
        energy(final, days=(FIRST, LAST)),
        check_exact=True,
    )


@given(draws_kwh=draws, missing=gaps)
def test_the_quick_way_for_healthy_series_agrees_with_the_careful_one(register, draws_kwh, missing):
    readings = register(counts(draws_kwh, missing))
    series = readings.select("meter_id", "event_time", "reading", day=pl.lit(FIRST))
    quick = compute_energy_steps(series, register_capacity_kwh=1e5, max_plausible_kw=630.0)
    careful = compute_register_steps(
        readings["event_time"].dt.timestamp("us").to_list(),
        readings["reading"].to_list(),
        capacity_kwh=1e5,
        max_kw=630.0,
    )
    assert quick["energy_kwh"].to_list() == [step.energy_kwh for step in careful]
    assert quick["step_end"].dt.timestamp("us").to_list() == [step.end for step in careful]
    assert {step.quality for step in careful} == {"measured"}
