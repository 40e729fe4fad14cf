import polars as pl
import pytest

from smartgrid_ml.forecasting.registry import FORECASTERS, NAIVE_ROWS, create_forecaster

COLUMNS = (
    *(f"same_hour_{days}d_kw" for days in (1, 2, 3, 4, 5, 6, 7)),
    "same_weekday_mean_4w_kw",
    "same_hour_mean_28d_kw",
)


def rows(*loads: float | None, **columns: float | None) -> pl.DataFrame:
    values = {name: columns.get(name) for name in COLUMNS}
    return pl.DataFrame(
        [
            {
                "feeder_id": "F1",
                "is_weekend": 0.0,
                "hour_of_day": 7.5,
                "level_kw": 10.0,
                "load_kw": load,
                **values,
            }
            for load in loads
        ],
        schema_overrides=dict.fromkeys(COLUMNS, pl.Float64),
    )


@pytest.mark.parametrize(
    ("name", "repeated"), [("naive_24h", 5.0), ("naive_168h", 6.0), ("mean_4_weeks", 7.0)]
)
def test_each_naive_row_repeats_its_own_past(name, repeated):
    past = rows(
        5.0, same_hour_1d_kw=5.0, same_hour_7d_kw=6.0, same_weekday_mean_4w_kw=7.0
    )  # fmt: skip
    assert create_forecaster(name).fit(past).predict(past)["p50"].to_list() == [repeated]


def test_the_band_is_that_of_past_errors():
    past = rows(*(100.0 + error for error in range(-5, 6)), same_hour_1d_kw=100.0)
    answer = create_forecaster("naive_24h").fit(past).predict(past.head(1))
    assert answer.row(0) == pytest.approx((96.0, 100.0, 104.0))


def test_the_band_grows_with_the_level():
    past = rows(*(100.0 + error for error in range(-5, 6)), same_hour_1d_kw=100.0)
    larger = past.head(1).with_columns(level_kw=20.0)
    answer = create_forecaster("naive_24h").fit(past).predict(larger)
    assert answer.row(0) == pytest.approx((92.0, 100.0, 108.0))


def test_a_biased_past_never_moves_the_middle():
    past = rows(110.0, 120.0, same_hour_1d_kw=100.0)
    answer = create_forecaster("naive_24h").fit(past).predict(past.head(1))
    assert answer.row(0) == pytest.approx((100.0, 100.0, 119.0))


def test_a_missing_hour_is_replaced_by_the_last_known_same_hour():
    past = rows(1.0, same_hour_3d_kw=42.0)
    assert create_forecaster("naive_24h").fit(past).predict(past)["p50"].to_list() == [42.0]


def test_an_unseen_series_gets_a_forecast_without_a_band():
    past = rows(1.0, same_hour_1d_kw=2.0)
    other = past.with_columns(feeder_id=pl.lit("new"))
    assert create_forecaster("naive_24h").fit(past).predict(other).row(0) == (2.0, 2.0, 2.0)


def test_the_catalogue_makes_fresh_forecasters_by_name():
    assert FORECASTERS[: len(NAIVE_ROWS)] == NAIVE_ROWS
    assert [create_forecaster(name).name for name in NAIVE_ROWS] == list(NAIVE_ROWS)
    assert create_forecaster("boosting") is not create_forecaster("boosting")
    with pytest.raises(ValueError, match="no forecaster 'oracle'; there are naive_24h"):
        create_forecaster("oracle")
