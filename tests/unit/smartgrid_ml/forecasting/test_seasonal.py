from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_ml.forecasting.seasonal import SeasonalEmpirical

START = datetime(2025, 1, 6, tzinfo=UTC)


def rows(loads: list[float], *, hour: float = 7.0, weekend: float = 0.0, feeder: str = "F1"):
    return pl.DataFrame(
        {
            "feeder_id": [feeder] * len(loads),
            "hour_start": [START + timedelta(days=n) for n in range(len(loads))],
            "hour_of_day": [hour] * len(loads),
            "is_weekend": [weekend] * len(loads),
            "level_kw": [2.0] * len(loads),
            "load_kw": loads,
        },
        schema_overrides={"load_kw": pl.Float64},
    )


def test_an_hour_is_forecast_by_the_quantiles_of_its_own_past_in_units_of_the_level():
    past = rows([float(load) for load in range(11)])
    today = rows([0.0]).with_columns(level_kw=pl.lit(4.0))
    assert SeasonalEmpirical().fit(past).predict(today).row(0) == (2.0, 10.0, 18.0)


def test_an_hour_that_was_hardly_seen_borrows_from_its_kind_of_day():
    past = pl.concat([rows([10.0] * 9), rows([99.0], hour=3.0)])
    assert SeasonalEmpirical().fit(past).predict(rows([0.0], hour=3.0))["p50"][0] == 10.0


def test_a_weekend_is_no_working_day_and_an_unknown_series_has_its_level():
    past = pl.concat([rows([10.0] * 9), rows([50.0] * 9, weekend=1.0)])
    fitted = SeasonalEmpirical().fit(past)
    assert fitted.predict(rows([0.0], weekend=1.0))["p50"][0] == 50.0
    assert fitted.predict(rows([0.0], feeder="new")).row(0) == (2.0, 2.0, 2.0)


def test_without_a_level_the_last_known_load_of_that_time_stands_in():
    fitted = SeasonalEmpirical().fit(rows([10.0] * 9))
    young = rows([0.0]).with_columns(level_kw=pl.lit(None, pl.Float64), same_hour_2d_kw=pl.lit(7.0))
    assert fitted.predict(young).row(0) == (7.0, 7.0, 7.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_the_quantiles_are_ordered_and_within_what_was_seen(loads):
    fitted = SeasonalEmpirical().fit(rows(loads))
    p10, p50, p90 = fitted.predict(rows([0.0])).row(0)
    slack = 1e-9 * max(1.0, *map(abs, loads))
    assert min(loads) - slack <= p10 <= p50 + slack
    assert p50 - slack <= p90 <= max(loads) + slack
