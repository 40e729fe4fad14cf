from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from smartgrid_core.aggregates.daily import sum_daily_consumption
from smartgrid_core.readings.brackets import select_register_brackets
from smartgrid_core.readings.vee import compute_interval_energy
from smartgrid_core.time import Window

HOMES = 10
DAYS = (date(2013, 3, 25), date(2013, 4, 7))
"""Two weeks with a change of the clock."""
WINDOW = Window.of_days(*DAYS)
HALF_HOUR = timedelta(minutes=30)


@pytest.fixture(scope="module")
def homes(shared_data) -> pl.DataFrame:
    """Half-hourly energy of London homes: meter_id, interval_start, energy_kwh."""
    file = shared_data / "lcl_london_2013" / "lcl_100_households_2013_30min_kwh_wide.parquet"
    wide = pl.read_parquet(file)
    time = next(name for name, dtype in wide.schema.items() if dtype.is_temporal())
    instant = pl.col(time).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return (
        wide.select(
            instant.alias("interval_start"), *[n for n in wide.columns if n != time][:HOMES]
        )
        .unpivot(index="interval_start", variable_name="meter_id", value_name="energy_kwh")
        .with_columns(pl.col("energy_kwh").cast(pl.Float64).round(3))
        .filter(
            pl.col("energy_kwh").is_not_nan(),
            pl.col("interval_start").is_between(
                WINDOW.start - timedelta(days=1), WINDOW.end + timedelta(days=1)
            ),
        )
        .sort("meter_id", "interval_start")
    )


def readings(rows: pl.DataFrame, *, kind: str) -> pl.DataFrame:
    return rows.select(
        "meter_id",
        "event_time",
        "reading",
        reading_kind=pl.lit(kind),
        ingested_at=pl.lit(datetime(2014, 1, 1, tzinfo=UTC)),
    )


def energy_of(rows: pl.DataFrame) -> pl.DataFrame:
    return compute_interval_energy(
        rows,
        select_register_brackets(rows, days=list(WINDOW.days())),
        window=WINDOW,
        interval_minutes=30,
        register_capacity_kwh=100_000.0,
    )


def test_interval_readings_of_real_homes_come_out_as_they_went_in(homes):
    sent = homes.select(
        "meter_id", event_time=pl.col("interval_start") + HALF_HOUR, reading="energy_kwh"
    )
    energy = energy_of(readings(sent, kind="interval"))
    inside = homes.filter(pl.col("interval_start").is_between(WINDOW.start, WINDOW.end, "left"))
    assert energy.select("meter_id", "interval_start", "energy_kwh").equals(
        inside.select("meter_id", "interval_start", "energy_kwh")
    )


def test_registers_of_real_homes_give_back_their_energy_through_gaps_and_a_rollover(homes):
    counted = homes.with_columns(
        count=pl.col("energy_kwh").cum_sum().over("meter_id").round(3),
        event_time=pl.col("interval_start") + HALF_HOUR,
    )
    first_days = counted.filter(pl.col("event_time") <= WINDOW.start)
    start = first_days.group_by("meter_id").agg(at_start=pl.col("count").max())
    near_the_top = counted.join(start, on="meter_id").with_columns(
        reading=((99_995.0 + pl.col("count") - pl.col("at_start")) % 100_000.0).round(3)
    )
    heard = near_the_top.filter(
        ~pl.col("event_time").dt.hour().is_between(2, 4)
        | (pl.col("event_time").dt.date() != date(2013, 3, 28))
    )
    energy = energy_of(readings(heard, kind="register"))
    true = homes.filter(pl.col("interval_start").is_between(WINDOW.start, WINDOW.end, "left"))
    by_home = true.group_by("meter_id").agg(kwh=pl.col("energy_kwh").sum(), n=pl.len())
    complete = by_home.filter(pl.col("n") == 14 * 48)
    assert complete.height > HOMES / 2
    found = energy.group_by("meter_id").agg(
        found=pl.col("energy_kwh").sum(), rollovers=(pl.col("quality") == "rollover").sum()
    )
    both = complete.join(found, on="meter_id", how="left")
    assert both["found"].to_list() == pytest.approx(both["kwh"].to_list(), abs=0.002)
    assert both["rollovers"].to_list() == [1] * both.height
    gaps = energy.filter(pl.col("quality") == "gap", pl.col("meter_id").is_in(complete["meter_id"]))
    assert gaps.group_by("meter_id").len()["len"].unique().to_list() == [7]


def test_the_day_of_the_clock_change_has_23_hours_in_london(homes):
    sent = homes.select(
        "meter_id", event_time=pl.col("interval_start") + HALF_HOUR, reading="energy_kwh"
    )
    energy = energy_of(readings(sent, kind="interval"))
    days = sum_daily_consumption(energy, timezone="Europe/London", days=[date(2013, 3, 31)])
    assert days["hours"].unique().to_list() == [23]
    assert days["covered_hours"].max() == 23.0
