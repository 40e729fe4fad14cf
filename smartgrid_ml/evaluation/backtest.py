"""Rolling-origin backtests: every model trained on what lay before, scored on what came after."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from smartgrid_ml.evaluation.metrics import ALL, METRICS, score
from smartgrid_ml.evaluation.plausibility import PlausibilityError, implausible
from smartgrid_ml.forecasting.catalogue import NAIVE_ROWS, SERVABLE, forecaster
from smartgrid_ml.forecasting.protocol import Forecaster

Progress = Callable[[str], None]

FORECASTS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "series": pl.String,
    "issue_time": pl.Datetime("us", "UTC"),
    "time": pl.Datetime("us", "UTC"),
    "lead_hours": pl.Float64,
    "model": pl.String,
    "p10": pl.Float64,
    "p50": pl.Float64,
    "p90": pl.Float64,
    "actual": pl.Float64,
}
"""Columns of a backtest's forecasts."""

LEADERBOARD: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "series": pl.String,
    "model": pl.String,
    **dict.fromkeys(METRICS, pl.Float64),
    "train_s": pl.Float64,
    "predict_ms": pl.Float64,
    "error": pl.String,
}
"""Columns of a leaderboard: those of `LoadBacktest` without its ids."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a backtest found.

    `leaderboard`: one row per series and model, then the rows of series "all", best first.
    `train_s` is the time to train on all series, `predict_ms` the time to forecast one issue time
    of all series. `forecasts`: one row per series, model, issue time and target hour, in the unit
    of the series. `fitted`: the models as trained for the last fold, without those that failed.
    """

    leaderboard: pl.DataFrame
    forecasts: pl.DataFrame
    fitted: Mapping[str, Forecaster]


def backtest(
    features: pl.DataFrame,
    *,
    models: Sequence[str],
    test_start: datetime,
    test_end: datetime,
    folds: int = 1,
    make: Callable[[str], Forecaster] = forecaster,
    progress: Progress = lambda _: None,
) -> Backtest:
    """Score models on the issue times in [test_start, test_end), trained strictly before them.

    `features` are rows of `LoadFeatures`. With several folds the span is cut into as many equal
    parts, and each is forecast by models trained on everything before it. A model that fails
    costs its own rows alone: they carry `error` instead of scores. So does one whose answers could
    not be those of the load (`evaluation/plausibility.py`).

    Raises ValueError if no issue time lies in the span, or none before it.
    """
    cuts = _cuts(features, test_start=test_start, test_end=test_end, folds=folds)
    rows: list[pl.DataFrame] = []
    forecasts: list[pl.DataFrame] = []
    fitted: dict[str, Forecaster] = {}
    for name in models:
        progress(name)
        clock = time.perf_counter
        train_s = predict_s = 0.0
        issues = 0
        answers = []
        try:
            for start, end in cuts:
                train, test = _split(features, start=start, end=end)
                began = clock()
                model = make(name).fit(train)
                trained = clock()
                answers.append(_forecasts(model, name=name, test=test))
                if reason := implausible(answers[-1], test=test, train=train):
                    raise PlausibilityError(reason)
                train_s += trained - began
                predict_s += clock() - trained
                issues += test["issue_time"].n_unique()
        except Exception as error:
            # One model's failure must not cost the others: its rows say what happened.
            rows.append(_failed(features, name=name, error=error))
            continue
        answer = pl.concat(answers)
        forecasts.append(answer)
        fitted[name] = model
        rows.append(
            score(answer).select(
                "series",
                *METRICS,
                model=pl.lit(name),
                train_s=pl.lit(train_s),
                predict_ms=pl.lit(1000 * predict_s / max(1, issues)),
                error=pl.lit(None, dtype=pl.String),
            )
        )
    return Backtest(
        leaderboard=_ranked(rows),
        forecasts=pl.concat(forecasts) if forecasts else pl.DataFrame(schema=FORECASTS),
        fitted=fitted,
    )


def best_servable(leaderboard: pl.DataFrame, *, servable: Sequence[str] = SERVABLE) -> str | None:
    """The servable model with the least pinball loss overall, if it beats every naive row.

    None if there is no such model: then the naive row stays the forecast.
    """
    overall = leaderboard.filter(
        (pl.col("series") == ALL) & pl.col("pinball").is_not_null() & pl.col("pinball").is_not_nan()
    ).sort("pinball", "model")
    naive = overall.filter(pl.col("model").is_in(NAIVE_ROWS))["pinball"]
    able = overall.filter(pl.col("model").is_in(servable))
    if able.is_empty() or (len(naive) and able["pinball"][0] >= naive.min()):
        return None
    return str(able["model"][0])


def _cuts(
    features: pl.DataFrame, *, test_start: datetime, test_end: datetime, folds: int
) -> list[tuple[datetime, datetime]]:
    """The folds' spans of issue time, in order; equal counts of issue times."""
    issues = features["issue_time"].unique().sort()
    tested = issues.filter((issues >= test_start) & (issues < test_end))
    if tested.is_empty():
        raise ValueError(f"no issue time from {test_start} up to {test_end}")
    if issues[0] >= test_start:
        raise ValueError(f"no issue time before {test_start} to train on")
    size = -(-len(tested) // max(1, folds))
    starts = [tested[at] for at in range(0, len(tested), size)]
    return list(zip(starts, [*starts[1:], test_end], strict=True))


def _split(
    features: pl.DataFrame, *, start: datetime, end: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows whose hour lay before `start`, and rows issued in [start, end)."""
    issue = pl.col("issue_time")
    known = (pl.col("hour_start") < start) & pl.col("load_kw").is_not_null()
    return features.filter(known), features.filter((issue >= start) & (issue < end))


def _forecasts(model: Forecaster, *, name: str, test: pl.DataFrame) -> pl.DataFrame:
    answer = model.predict(test).cast(pl.Float64).fill_nan(None)
    return (
        test.select(
            "issue_time", "lead_hours", series="feeder_id", time="hour_start", actual="load_kw"
        )
        .with_columns(*answer.get_columns(), model=pl.lit(name))
        .select(*FORECASTS)
    )


def _failed(features: pl.DataFrame, *, name: str, error: Exception) -> pl.DataFrame:
    series = [*features["feeder_id"].unique().sort(), ALL]
    text = f"{type(error).__name__}: {error}"
    nothing = dict.fromkeys((*METRICS, "train_s", "predict_ms"), pl.lit(None, dtype=pl.Float64))
    return pl.DataFrame({"series": series}).with_columns(
        model=pl.lit(name), error=pl.lit(text), **nothing
    )


def _ranked(rows: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if not rows:
        return pl.DataFrame(schema=LEADERBOARD)
    table = pl.concat([part.select(*LEADERBOARD) for part in rows])
    return table.sort(pl.col("series") == ALL, "series", "pinball", "model", nulls_last=True)
