from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartgrid_core.alerts.exceedance import compute_exceedance_probability, find_limit_exceedances
from smartgrid_core.contracts.alerts import LimitExceedances
from smartgrid_core.contracts.forecasts import LoadForecasts

MIDNIGHT = datetime(2025, 3, 1, tzinfo=UTC)


def forecast(*quantiles: tuple[str, float, float, float]) -> pl.DataFrame:
    rows = [
        {
            "feeder_id": feeder_id,
            "issue_time": MIDNIGHT,
            "hour_start": MIDNIGHT + timedelta(hours=lead),
            "lead_hours": lead,
            "p10": p10,
            "p50": p50,
            "p90": p90,
            "model": "load_forecaster",
            "model_version": "3",
            "variant": None,
            "created_at": MIDNIGHT,
        }
        for lead, (feeder_id, p10, p50, p90) in enumerate(quantiles)
    ]
    return LoadForecasts.validate(pl.DataFrame(rows), cast=True)


def ratings(**rating_kw: float) -> pl.DataFrame:
    return pl.DataFrame({"feeder_id": list(rating_kw), "rating_kw": list(rating_kw.values())})


def probability(p10: float, p50: float, p90: float, rating_kw: float) -> float:
    row = {"p10": [p10], "p50": [p50], "p90": [p90], "rating_kw": [rating_kw]}
    return compute_exceedance_probability(pl.DataFrame(row)).item()


def test_a_row_says_what_was_forecast_what_is_allowed_and_how_likely_it_is_crossed():
    exceedances = find_limit_exceedances(
        forecast(("F1", 60.0, 80.0, 100.0), ("F2", 10.0, 12.0, 15.0)),
        ratings=ratings(F1=100.0, F2=100.0),
    )
    assert LimitExceedances.is_valid(exceedances)
    assert exceedances.to_dicts() == [
        {
            "feeder_id": "F1",
            "issue_time": MIDNIGHT,
            "hour_start": MIDNIGHT,
            "rating_kw": 100.0,
            "p50_kw": 80.0,
            "p90_kw": 100.0,
            "probability": pytest.approx(0.1),
            "model": "load_forecaster",
        }
    ]


@pytest.mark.parametrize(("rating_kw", "expected"), [(50.0, 0.9), (70.0, 0.5), (110.0, 0.1)])
def test_the_quantiles_themselves_are_met_exactly(rating_kw, expected):
    assert probability(50.0, 70.0, 110.0, rating_kw) == pytest.approx(expected)


def test_a_forecast_without_spread_is_sure():
    assert probability(80.0, 80.0, 80.0, 79.9) == 1.0
    assert probability(80.0, 80.0, 80.0, 80.0) == 0.0


def test_each_side_has_a_spread_of_its_own_however_small_the_margin():
    assert probability(50.0, 70.0, 110.0, 70.5) == pytest.approx(0.493610, abs=1e-6)
    assert probability(50.0, 70.0, 110.0, 69.5) == pytest.approx(0.512779, abs=1e-6)
    assert probability(49.75, 50.0, 50.5, 50.5) == pytest.approx(0.1)


def test_a_row_at_the_floor_is_kept():
    even = find_limit_exceedances(
        forecast(("F1", 60.0, 100.0, 110.0)), ratings=ratings(F1=100.0), floor_probability=0.5
    )
    assert even["probability"].to_list() == [0.5]


def test_rows_stand_in_the_order_of_their_key():
    exceedances = find_limit_exceedances(
        forecast(("F2", 60.0, 99.0, 120.0), ("F1", 60.0, 99.0, 120.0)),
        ratings=ratings(F1=100.0, F2=100.0),
    )
    assert exceedances["feeder_id"].to_list() == ["F1", "F2"]


def test_a_feeder_without_a_rating_cannot_exceed_it():
    assert find_limit_exceedances(
        forecast(("F1", 6.0, 8.0, 9.0)), ratings=ratings(F2=1.0)
    ).is_empty()


def test_rows_below_the_floor_are_left_out():
    likely = find_limit_exceedances(
        forecast(("F1", 60.0, 80.0, 100.0)), ratings=ratings(F1=100.0), floor_probability=0.2
    )
    assert likely.is_empty()


@settings(deadline=None)
@given(
    quantiles=st.tuples(*[st.integers(-500, 500)] * 3).map(sorted),
    limits=st.lists(st.integers(1, 800), min_size=2, max_size=8),
)
def test_a_higher_rating_is_never_more_likely_crossed(quantiles, limits):
    p10, p50, p90 = map(float, quantiles)
    forecasts = pl.DataFrame({"rating_kw": sorted(limits)}).with_columns(
        p10=pl.lit(p10), p50=pl.lit(p50), p90=pl.lit(p90)
    )
    odds = compute_exceedance_probability(forecasts).to_list()
    assert odds == sorted(odds, reverse=True)
    assert all(0 <= chance <= 1 for chance in odds)
