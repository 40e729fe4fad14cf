"""Consumer profiles: the typical week of a meter, whatever its size."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.contracts.aggregates import MeterConsumption
from smartgrid_core.contracts.grid import MeterPlaces
from smartgrid_core.features.profiles import build_consumer_profiles
from smartgrid_core.time import Window

MONDAY = date(2026, 3, 2)
TWO_WEEKS = Window.of_days(MONDAY, MONDAY + timedelta(days=13))
HOURS = 14 * 24
FLAT = np.ones(HOURS)


def places(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    """meter_id, customer_id, customer_kind, feeder_id"""
    frame = pl.DataFrame(
        rows, schema=["meter_id", "customer_id", "customer_kind", "feeder_id"], orient="row"
    )
    return MeterPlaces.validate(
        frame.with_columns(transformer_id=pl.lit("T1"), substation_id=pl.lit("S1")), cast=True
    )


def drawn(
    meters: dict[str, np.ndarray], *, minutes: int = 60, estimated: tuple[int, ...] = ()
) -> pl.LazyFrame:
    """Energy per interval from Monday 2 March 2026, 00:00 UTC; `estimated` intervals by number."""
    start = datetime(2026, 3, 2, tzinfo=UTC)
    parts = [
        pl.DataFrame(
            {
                "meter_id": meter,
                "interval_start": [start + timedelta(minutes=minutes * n) for n in range(len(kwh))],
                "interval_minutes": minutes,
                "energy_kwh": np.asarray(kwh, dtype=float),
                "is_estimated": [n in estimated for n in range(len(kwh))],
                "quality": ["gap" if n in estimated else "measured" for n in range(len(kwh))],
            }
        )
        for meter, kwh in meters.items()
    ]
    return MeterConsumption.validate(pl.concat(parts), cast=True).lazy()


def profiles(consumption: pl.LazyFrame, *, timezone: str = "UTC", **others):
    asked = {"places": MeterPlaces.create_empty(), "window": TWO_WEEKS, **others}
    return build_consumer_profiles(consumption, timezone=timezone, **asked)


def test_a_flat_load_is_one_at_every_hour():
    row = profiles(drawn({"a": FLAT * 0.25}, minutes=60)).frame.row(0, named=True)
    assert row["weekday_shape"] == [1.0] * 24
    assert row["weekend_shape"] == [1.0] * 24
    assert (row["mean_kw"], row["variability"], row["coverage"]) == (0.25, 0.0, 1.0)
    assert row["night_share"] == pytest.approx(0.25)
    assert row["weekend_share"] == pytest.approx(2 / 7)
    assert (row["midday_dip"], row["is_feed_in"], row["has_feed_in"]) == (None, False, False)


def test_hours_are_local_and_quarter_hours_are_power():
    kwh = np.zeros(14 * 96)
    kwh[np.arange(14 * 96) % 96 // 4 == 18] = 0.5
    row = profiles(drawn({"a": kwh}, minutes=15), timezone="Europe/Tirane").frame.row(0, named=True)
    assert row["peak_hour"] == 19, "18:00 UTC is 19:00 in Tirana in winter"
    assert row["weekday_shape"][19] == 24.0, "2 kW for an hour, in multiples of the mean"
    assert row["mean_kw"] == pytest.approx(2 / 24)


def test_a_holiday_is_a_day_of_rest():
    kwh = np.ones(HOURS)
    kwh[24:48] = 5.0
    usual = profiles(drawn({"a": kwh})).frame["weekend_shape"].to_numpy()
    rest = profiles(drawn({"a": kwh}), holidays=frozenset({date(2026, 3, 3)})).frame
    assert usual.max() < 1
    assert rest["weekday_shape"].to_numpy().max() < 1 < rest["weekend_shape"].to_numpy().min()


def test_estimated_energy_has_no_shape():
    kwh = np.ones(HOURS)
    kwh[18] = 40.0
    row = profiles(drawn({"a": kwh}, estimated=(18,))).frame.row(0, named=True)
    assert row["weekday_shape"] == [1.0] * 24
    assert row["coverage"] == pytest.approx(1 - 1 / HOURS)


def test_meters_that_measured_too_little_are_left_out_and_counted():
    consumption = drawn({"whole": FLAT, "short": FLAT[: 5 * 24], "dead": FLAT * 0})
    found = profiles(
        consumption, places=places(("silent", "C", "household", "F1")), min_coverage=0.5
    )
    assert found.frame["meter_id"].to_list() == ["whole"]
    assert found.left_out == {"too_little_coverage": 2, "no_energy": 1}


def test_intervals_of_a_day_tell_nothing_of_its_hours():
    found = profiles(drawn({"a": np.ones(14)}, minutes=1440))
    assert found.frame.is_empty()
    assert found.left_out == {"too_little_coverage": 1}


def test_nothing_measured_gives_no_profiles():
    assert profiles(MeterConsumption.create_empty().lazy()).frame.is_empty()


def test_the_sun_on_a_roof_shows_against_the_neighbours_and_in_the_register():
    hour = np.arange(HOURS) % 24
    sunny = np.where((hour >= 11) & (hour < 15), 0.2, 1.0)
    sun = np.where((hour >= 8) & (hour < 17), 1.0, 0.0)
    here = places(
        ("a", "C1", "household", "F1"),
        ("b", "C2", "household", "F1"),
        ("c", "C3", "household", "F1"),
        ("c-out", "C3", "pv", "F1"),
    )
    found = profiles(drawn({"a": FLAT, "b": FLAT, "c": sunny, "c-out": sun}), places=here).frame
    by_meter = {row["meter_id"]: row for row in found.iter_rows(named=True)}
    assert by_meter["a"]["midday_dip"] == 0.0
    assert by_meter["c"]["midday_dip"] == pytest.approx(1 - 0.2 / (20.8 / 24))
    assert by_meter["c-out"]["midday_dip"] is None
    assert [by_meter[m]["has_feed_in"] for m in ("a", "c", "c-out")] == [False, True, True]
    assert [by_meter[m]["is_feed_in"] for m in ("a", "c", "c-out")] == [False, False, True]


def test_batches_of_meters_give_what_all_at_once_give():
    random = np.random.default_rng(3)
    meters = {f"m{n:02}": random.gamma(2.0, size=HOURS) for n in range(11)}
    at_once = profiles(drawn(meters)).frame
    assert at_once.height == 11
    assert profiles(drawn(meters), meters_per_batch=3).frame.equals(at_once)


@given(
    factor=st.floats(1e-3, 1e3),
    hours=st.lists(st.floats(0.01, 10.0), min_size=24 * 7, max_size=24 * 7),
)
def test_a_meter_ten_times_as_large_has_the_same_profile(factor: float, hours: list[float]):
    kwh = np.tile(hours, 2)
    small, large = (
        profiles(drawn({"a": kwh * scale})).frame.row(0, named=True) for scale in (1.0, factor)
    )
    assert large["mean_kw"] == pytest.approx(small["mean_kw"] * factor)
    for name in ("weekday_shape", "weekend_shape", "variability", "night_share", "weekend_share"):
        assert large[name] == pytest.approx(small[name], rel=1e-4, abs=1e-9)
    week = (5 * np.mean(small["weekday_shape"]) + 2 * np.mean(small["weekend_shape"])) / 7
    assert week == pytest.approx(1.0, abs=1e-5)
