"""Judgements on forecasts and exceedances: complete, possible, labelled, well founded."""

from datetime import UTC, datetime, timedelta

import polars as pl

from smartgrid_core.checks.forecasts import judge_limit_exceedances, judge_load_forecast

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
STAND_INS = ("naive_168h",)
RATINGS = pl.DataFrame({"feeder_id": ["F1"], "rating_kw": [100.0]})
IN_UPPER_HALF = 0.2608342
"""Of a load with P50 90 kW and P90 110 kW above 100 kW: 1 - Phi(1.28155 / 2)."""


def forecast(*, feeder: str = "F1", hours: int = 24, **columns: object) -> pl.DataFrame:
    """A day's forecast of one feeder; a keyword sets a column of all its rows."""
    row = {
        "feeder_id": feeder,
        "issue_time": MIDNIGHT,
        "p10": 80.0,
        "p50": 90.0,
        "p90": 110.0,
        "model": "load_forecaster",
        "model_version": "3",
        "variant": "stable",
    } | columns
    rows = [row | {"hour_start": MIDNIGHT + timedelta(hours=hour)} for hour in range(hours)]
    return pl.DataFrame(rows, infer_schema_length=None)


FEATURES = forecast().select("feeder_id", "issue_time", "hour_start")


def judge_forecast(rows: pl.DataFrame):
    return judge_load_forecast(rows, features=FEATURES, stand_ins=STAND_INS)


def test_a_whole_day_by_the_served_model_is_right():
    outcome = judge_forecast(forecast())
    assert outcome.passed
    assert outcome.figures == {"rows": 24, "missing_hours": 0, "stand_in_hours": 0}


def test_a_whole_day_by_a_naive_row_is_right_and_counted():
    outcome = judge_forecast(forecast(model="naive_168h", model_version=None, variant=None))
    assert outcome.passed
    assert outcome.figures["stand_in_hours"] == 24


def test_hours_that_are_not_forecast_are_a_warning():
    outcome = judge_forecast(forecast(hours=22))
    assert (outcome.wrong_rows, outcome.warnings) == ((), ("2 hours are not forecast: F1",))


def test_crossed_quantiles_are_wrong_rows():
    outcome = judge_forecast(forecast(p10=95.0))
    assert outcome.wrong_rows[0].startswith(
        "24 rows break P10 <= P50 <= P90: F1 2026-03-02 00:00, F1 2026-03-02 01:00"
    )


def test_a_power_that_is_no_number_is_a_wrong_row():
    (fault,) = judge_forecast(forecast(p90=float("inf"))).wrong_rows
    assert fault.startswith("24 rows are no finite power")
    (fault,) = judge_forecast(forecast(p50=float("nan"))).wrong_rows
    assert fault.startswith("24 rows are no finite power")


def test_rows_that_do_not_say_who_made_them_are_wrong():
    unlabelled = [
        forecast(model_version=None),
        forecast(variant=None),
        forecast(model="someone"),
        forecast(model="naive_168h"),
    ]
    for rows in unlabelled:
        (fault,) = judge_forecast(rows).wrong_rows
        assert fault.startswith("24 rows do not say who made them")


def exceedances(**columns: object) -> pl.DataFrame:
    """One hour of F1 that may cross its rating, as the forecast above says."""
    row = {
        "feeder_id": "F1",
        "issue_time": MIDNIGHT,
        "hour_start": MIDNIGHT + timedelta(hours=18),
        "rating_kw": 100.0,
        "p50_kw": 90.0,
        "p90_kw": 110.0,
        "probability": IN_UPPER_HALF,
    }
    return pl.DataFrame([row | columns])


def judge_exceedances(rows: pl.DataFrame):
    return judge_limit_exceedances(rows, forecast=forecast(), ratings=RATINGS)


def test_an_exceedance_of_a_known_limit_by_its_own_forecast_is_right():
    outcome = judge_exceedances(exceedances())
    assert outcome.passed
    assert outcome.figures == {"rows": 1, "feeders": 1}


def test_a_day_without_exceedances_is_right():
    assert judge_exceedances(exceedances().clear()).passed


def test_an_exceedance_without_ground_is_a_wrong_row():
    wrong = {
        "have no probability within 0 to 1": {"probability": 1.2},
        "are of a feeder without a rating": {"feeder_id": "F9"},
        "have another probability than their forecast and rating give": {"probability": 0.3},
        "have no forecast of the same issue": {"issue_time": MIDNIGHT - timedelta(days=1)},
        "rest on another forecast than the stored one": {"p50_kw": 91.0},
    }
    for fault, columns in wrong.items():
        faults = judge_exceedances(exceedances(**columns)).wrong_rows
        assert any(fault in each for each in faults), fault


def test_an_exceedance_of_a_rating_that_has_changed_since_is_a_warning_with_its_mend():
    ratings = RATINGS.with_columns(rating_kw=pl.lit(120.0))
    outcome = judge_limit_exceedances(exceedances(), forecast=forecast(), ratings=ratings)
    assert outcome.wrong_rows == ()
    assert outcome.warnings == (
        "1 rows rest on a rating that the grid no longer has: F1 100 kW, now 120 kW; materialise"
        " limit_exceedances of these days to weigh the forecast against the present one",
    )


def test_a_rating_that_was_never_weighed_is_a_wrong_row():
    (fault,) = judge_exceedances(exceedances(rating_kw=105.0)).wrong_rows
    assert fault.startswith("1 rows have another probability than their forecast and rating give")


def test_a_probability_that_is_no_number_is_a_wrong_row():
    (fault,) = judge_exceedances(exceedances(probability=float("nan"))).wrong_rows
    assert fault == "1 rows have no probability within 0 to 1: F1 2026-03-02 18:00"
