"""Judgements on the day-ahead forecast and on the limit exceedances that follow from it."""

from collections.abc import Sequence

import polars as pl

from smartgrid_core.alerts.exceedance import compute_exceedance_probability
from smartgrid_core.checks.outcome import CheckOutcome, list_names
from smartgrid_core.rollout.labels import LOAD_FORECASTER, OUTPUTS

KEY = ["feeder_id", "issue_time", "hour_start"]

SAME_KW = 1e-6
"""Powers that differ by less, kW, are the same number written twice."""

SAME_PROBABILITY = 1e-6
"""As with powers: the last digits that a store or another library may give otherwise."""


def judge_load_forecast(
    forecast: pl.DataFrame, *, features: pl.DataFrame, stand_ins: Sequence[str]
) -> CheckOutcome:
    """Judge whether every hour with features is forecast, by whom, and with a possible band.

    A missing hour is a warning; a band that is not finite or not ordered, and a row that does not
    say who made it, are wrong rows.

    Args:
        forecast: Rows of `LoadForecasts` of the judged issue times, kW.
        features: Rows of `LoadFeatures` of the same issue times, one per hour to forecast.
        stand_ins: Names of the naive rows that may answer in the registered model's place.

    Returns:
        The judgement, with the number of rows, of missing hours and of hours by a stand-in.
    """
    missing = features.join(forecast, on=KEY, how="anti")
    wrong_rows = [*_find_impossible_bands(forecast), *_find_unlabelled(forecast, stand_ins)]
    warnings = []
    if missing.height:
        feeders = missing["feeder_id"].unique().sort().to_list()
        warnings.append(f"{missing.height} hours are not forecast: {list_names(feeders)}")
    stood_in = forecast.filter(pl.col("model").is_in(list(stand_ins))).height
    return CheckOutcome(
        summary=f"{forecast.height} hours of {forecast['feeder_id'].n_unique()} series are"
        f" forecast, {stood_in} of them by a naive row",
        wrong_rows=tuple(wrong_rows),
        warnings=tuple(warnings),
        figures={
            "rows": forecast.height,
            "missing_hours": missing.height,
            "stand_in_hours": stood_in,
        },
    )


def _find_impossible_bands(forecast: pl.DataFrame) -> list[str]:
    is_finite = pl.all_horizontal(pl.col(name).is_finite() for name in OUTPUTS).fill_null(False)
    is_ordered = (pl.col("p10") <= pl.col("p50")) & (pl.col("p50") <= pl.col("p90"))
    broken = forecast.filter(~is_finite)
    crossed = forecast.filter(is_finite & ~is_ordered)
    return [
        f"{rows.height} rows {fault}: {_name_rows(rows)}"
        for rows, fault in ((broken, "are no finite power"), (crossed, "break P10 <= P50 <= P90"))
        if rows.height
    ]


def _find_unlabelled(forecast: pl.DataFrame, stand_ins: Sequence[str]) -> list[str]:
    by_model = pl.col("model") == LOAD_FORECASTER
    has_version = pl.col("model_version").is_not_null() & pl.col("variant").is_not_null()
    by_stand_in = pl.col("model").is_in(list(stand_ins)) & pl.col("model_version").is_null()
    unlabelled = forecast.filter(~((by_model & has_version) | by_stand_in).fill_null(False))
    if unlabelled.is_empty():
        return []
    return [f"{unlabelled.height} rows do not say who made them: {_name_rows(unlabelled)}"]


def judge_limit_exceedances(
    exceedances: pl.DataFrame, *, forecast: pl.DataFrame, ratings: pl.DataFrame
) -> CheckOutcome:
    """Judge whether every exceedance is what the newest forecast says about a known limit.

    Args:
        exceedances: Rows of `LimitExceedances` of the judged issue times.
        forecast: Rows of `LoadForecasts` of the same issue times, kW.
        ratings: Columns feeder_id, rating_kw; one row per feeder that has a rating.

    Returns:
        The judgement. Faults are wrong rows, for alerts follow from them; except for rows that were
        right by a rating that has changed since, which are a warning with its mend: the tree has no
        history, and what was computed yesterday did not become wrong by today's.
    """
    is_probability = pl.col("probability").is_between(0, 1).fill_null(False)
    limits = ratings.select("feeder_id", known_kw="rating_kw")
    rated = exceedances.join(limits, on="feeder_id", how="left")
    expected = exceedances.join(forecast.select(*KEY, *OUTPUTS), on=KEY, how="left")
    rests_on_another = ((pl.col("p50") - pl.col("p50_kw")).abs() > SAME_KW) | (
        (pl.col("p90") - pl.col("p90_kw")).abs() > SAME_KW
    )
    faults = {
        "have no probability within 0 to 1": exceedances.filter(~is_probability),
        "are of a feeder without a rating": rated.filter(pl.col("known_kw").is_null()),
        "have no forecast of the same issue": expected.filter(pl.col("p50").is_null()),
        "rest on another forecast than the stored one": expected.filter(rests_on_another),
        "have another probability than their forecast and rating give": _find_miscalculated(
            expected.filter(is_probability, pl.col("p50").is_not_null(), ~rests_on_another)
        ),
    }
    outdated = rated.filter((pl.col("known_kw") - pl.col("rating_kw")).abs() > SAME_KW)
    warnings = []
    if outdated.height:
        warnings.append(
            f"{outdated.height} rows rest on a rating that the grid no longer has:"
            f" {_name_ratings(outdated)}; materialise limit_exceedances of these days to weigh the"
            " forecast against the present one"
        )
    return CheckOutcome(
        summary=f"{exceedances.height} hours of {exceedances['feeder_id'].n_unique()} feeders may"
        " cross their rating",
        wrong_rows=tuple(
            f"{rows.height} rows {fault}: {_name_rows(rows)}"
            for fault, rows in faults.items()
            if rows.height
        ),
        warnings=tuple(warnings),
        figures={"rows": exceedances.height, "feeders": exceedances["feeder_id"].n_unique()},
    )


def _find_miscalculated(expected: pl.DataFrame) -> pl.DataFrame:
    """Return the exceedances, joined with their forecast, whose probability is not its own."""
    computed = compute_exceedance_probability(expected)
    return expected.filter((computed - expected["probability"]).abs() > SAME_PROBABILITY)


def _name_ratings(outdated: pl.DataFrame) -> str:
    ratings = outdated.select("feeder_id", "rating_kw", "known_kw").unique().sort("feeder_id")
    return list_names(
        [f"{feeder} {then:g} kW, now {now:g} kW" for feeder, then, now in ratings.rows()]
    )


def _name_rows(rows: pl.DataFrame) -> str:
    hours = rows.sort("feeder_id", "hour_start").select("feeder_id", "hour_start").rows()
    return list_names([f"{feeder} {hour:%Y-%m-%d %H:%M}" for feeder, hour in hours])
