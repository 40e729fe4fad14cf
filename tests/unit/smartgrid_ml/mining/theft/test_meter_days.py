"""Intervals as local days: which days are whole, and where their slots lie."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from smartgrid_ml.mining.theft.meter_days import (
    HALF_HOURS,
    HOURS,
    build_meter_days,
    choose_slot_count,
)

TIRANE = ZoneInfo("Europe/Tirane")
MARCH, JUNE = date(2026, 3, 28), date(2026, 6, 10)


def consumption(
    start: datetime, *, minutes: int, count: int, kwh: float = 0.1, **changed: object
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "meter_id": "M1",
            "interval_start": [start + timedelta(minutes=minutes * n) for n in range(count)],
            "interval_minutes": minutes,
            "energy_kwh": kwh,
            "is_estimated": False,
        }
    ).with_columns(pl.col("interval_start").cast(pl.Datetime("us", "UTC")), **changed)


def local_midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=TIRANE).astimezone(UTC)


def of(rows: pl.DataFrame, *, first: date, days: int = 1, n_slots: int = HALF_HOURS):
    last = first + timedelta(days=days - 1)
    return build_meter_days(rows, first=first, last=last, timezone=TIRANE, n_slots=n_slots)


def test_two_quarter_hours_make_a_slot_of_the_local_day():
    rows = consumption(local_midnight(JUNE), minutes=15, count=96).with_columns(
        energy_kwh=pl.when(pl.int_range(pl.len()) < 2).then(0.5).otherwise(0.1)
    )
    days = of(rows, first=JUNE)
    assert days.meter_ids == ("M1",)
    assert days.is_whole.tolist() == [[True]]
    assert np.allclose(days.energy_kwh[0, 0, :3], [1.0, 0.2, 0.2])


def test_a_day_with_a_gap_or_an_estimate_is_not_whole():
    rows = consumption(local_midnight(JUNE), minutes=30, count=3 * 48)
    with_gap = rows.filter(pl.int_range(pl.len()) != 5)
    estimated = with_gap.with_columns(is_estimated=pl.int_range(pl.len()) == 60)
    days = of(estimated, first=JUNE, days=3)
    assert days.is_whole.tolist() == [[False, False, True]]
    assert np.isnan(days.energy_kwh[0, :2]).all()


def test_the_day_without_an_hour_is_not_whole_and_the_day_with_one_more_is():
    spring = consumption(local_midnight(date(2026, 3, 29)), minutes=60, count=23)
    assert of(spring, first=date(2026, 3, 29), n_slots=HOURS).meter_ids == ()
    autumn = consumption(local_midnight(date(2026, 10, 25)), minutes=60, count=25)
    days = of(autumn, first=date(2026, 10, 25), n_slots=HOURS)
    assert np.allclose(days.energy_kwh[0, 0], 0.1)


def test_meters_read_by_the_hour_have_hours_for_slots():
    start = local_midnight(JUNE)
    assert choose_slot_count(consumption(start, minutes=15, count=4).lazy()) == HALF_HOURS
    assert choose_slot_count(consumption(start, minutes=60, count=4).lazy()) == HOURS
    assert choose_slot_count(consumption(start, minutes=60, count=0).lazy()) == HOURS


def test_batches_hold_every_meter_once():
    rows = pl.concat(
        [
            consumption(local_midnight(JUNE), minutes=60, count=24).with_columns(meter_id=pl.lit(m))
            for m in ("M2", "M3", "M1")
        ]
    )
    days = of(rows, first=JUNE, n_slots=HOURS)
    assert [batch.meter_ids for batch in days.iter_batches(2)] == [("M1", "M2"), ("M3",)]
