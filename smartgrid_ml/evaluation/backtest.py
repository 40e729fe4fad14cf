"""Rolling-origin backtests: every model trained on what lay before, scored on what came after."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast, runtime_checkable

import polars as pl

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.trials import SearchResult
from smartgrid_ml.evaluation.blend import blend_forecasts, find_blend_weights
from smartgrid_ml.evaluation.metrics import ALL_SERIES, METRICS, score_forecasts
from smartgrid_ml.evaluation.plausibility import PlausibilityError, find_implausible
from smartgrid_ml.forecasting.ensemble import EnsembleForecaster
from smartgrid_ml.forecasting.protocol import Forecaster, ServableForecaster
from smartgrid_ml.forecasting.registry import ENSEMBLE, NAIVE_ROWS, SERVABLE, create_forecaster

Progress = Callable[[str], None]

SELECTION_SHARE = 0.2
MOST_SELECTION_ISSUES = 365
FEWEST_SELECTION_ISSUES = 5
"""Issue times before the test span on which the first weights of an ensemble are chosen: a fifth
of the training span, a year at most; where a fifth is less than a working week, weights are equal
in the first fold."""

FORECAST_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
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

LEADERBOARD_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "series": pl.String,
    "model": pl.String,
    **dict.fromkeys(METRICS, pl.Float64),
    "train_s": pl.Float64,
    "predict_ms": pl.Float64,
    "artifact_mb": pl.Float64,
    "error": pl.String,
    "recipe": pl.String,
}
"""Columns of a leaderboard: those of `LoadBacktest` without its ids."""


@runtime_checkable
class SearchedForecaster(Protocol):
    """A forecaster that searches."""

    found: SearchResult | None


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a backtest found.

    `leaderboard`: one row per series and model, then the rows of series "all", best first.
    `train_s` is the time to train on all series, searches included, `predict_ms` the time to
    forecast one issue time of all series, `artifact_mb` the size of what would be served. `recipe`
    is what a search or the blend found, as JSON: how to train it again. `forecasts`: one row per
    series, model, issue time and target hour, in the unit of the series. `fitted`: the models as
    trained for the last fold, without those that failed.
    """

    leaderboard: pl.DataFrame
    forecasts: pl.DataFrame
    fitted: Mapping[str, Forecaster]
    searches: Sequence[SearchResult] = ()
    """What the engines tried, also those that found nothing."""


def run_backtest(
    features: pl.DataFrame,
    *,
    models: Sequence[str],
    test_start: datetime,
    test_end: datetime,
    folds: int = 1,
    make: Callable[[str], Forecaster] = create_forecaster,
    artifact_mb: Callable[[Forecaster], float] | None = None,
    progress: Progress = lambda _: None,
) -> Backtest:
    """Score models on the issue times in [test_start, test_end), trained strictly before them.

    `features` are rows of `LoadFeatures`. With several folds the span is cut into as many equal
    parts, and each is forecast by models trained on everything before it. A model that fails
    costs its own rows alone: they carry `error` instead of scores. So does one whose answers could
    not be those of the load (`evaluation/plausibility.py`).

    The ensemble, if it is among `models`, blends the servable others. Its weights for a fold come
    from forecasts of days before the fold: of the folds before it, and of a selection span that
    is held back before the first one for that purpose. A forecaster that searches does so once,
    before that span. `artifact_mb` exports a fitted servable model and tells its size.

    Raises ValueError if no issue time lies in the span, or none before it.
    """
    cuts = _cut_folds(features, test_start=test_start, test_end=test_end, folds=folds)
    blends = ENSEMBLE in models
    selection = _find_selection_span(features, before=cuts[0][0]) if blends else []
    made: dict[str, Forecaster] = {}
    ran: dict[str, _ModelRun] = {}
    rows: list[pl.DataFrame] = []
    for name in (name for name in models if name != ENSEMBLE):
        progress(name)
        try:
            made[name] = make(name)
            ran[name] = _run_model(features, [*selection, *cuts], name=name, model=made[name])
            answer = ran[name].tested(since=cuts[0][0])
            size = artifact_mb(ran[name].model) if artifact_mb and name in SERVABLE else None
            rows.append(_build_score_rows(answer, ran=ran[name], size=size))
        except Exception as error:
            # One model's failure must not cost the others: its rows say what happened.
            ran.pop(name, None)
            rows.append(_build_error_rows(features, name=name, error=error))
    answers = {name: one.tested(since=cuts[0][0]) for name, one in ran.items()}
    fitted = {name: one.model for name, one in ran.items()}
    if blends:
        progress(ENSEMBLE)
        try:
            whole = _blend_models(ran, cuts=cuts)
            answers[ENSEMBLE], fitted[ENSEMBLE] = whole.forecasts, whole.model
            size = artifact_mb(whole.model) if artifact_mb else None
            rows.append(_build_score_rows(whole.forecasts, ran=whole, size=size))
        except Exception as error:
            answers.pop(ENSEMBLE, None)
            fitted.pop(ENSEMBLE, None)
            rows.append(_build_error_rows(features, name=ENSEMBLE, error=error))
    return Backtest(
        leaderboard=_rank_rows(rows),
        forecasts=pl.concat(answers.values()) if answers else pl.DataFrame(schema=FORECAST_SCHEMA),
        fitted=fitted,
        searches=[
            one.found for one in made.values() if isinstance(one, SearchedForecaster) and one.found
        ],
    )


def choose_servable(leaderboard: pl.DataFrame, *, servable: Sequence[str] = SERVABLE) -> str | None:
    """The servable model with the least pinball loss overall, if it beats every naive row.

    None if there is no such model: then the naive row stays the forecast.
    """
    overall = leaderboard.filter(
        (pl.col("series") == ALL_SERIES)
        & pl.col("pinball").is_not_null()
        & pl.col("pinball").is_not_nan()
    ).sort("pinball", "model")
    naive = overall.filter(pl.col("model").is_in(NAIVE_ROWS))["pinball"]
    able = overall.filter(pl.col("model").is_in(servable))
    if able.is_empty() or (len(naive) and able["pinball"][0] >= naive.min()):
        return None
    return str(able["model"][0])


@dataclass(frozen=True, slots=True)
class _ModelRun:
    """A model after all its folds: its forecasts, those of the selection span included."""

    model: Forecaster
    forecasts: pl.DataFrame
    train_s: float
    predict_ms: float

    def tested(self, *, since: datetime) -> pl.DataFrame:
        """Its forecasts of the test span."""
        return self.forecasts.filter(pl.col("issue_time") >= since)


def _run_model(
    features: pl.DataFrame,
    spans: Sequence[tuple[datetime, datetime]],
    *,
    name: str,
    model: Forecaster,
) -> _ModelRun:
    """Train and forecast span by span; one that searches keeps what it found in the first."""
    clock = time.perf_counter
    train_s = predict_s = 0.0
    issues = 0
    answers = []
    for start, end in spans:
        train, test = _split_rows(features, start=start, end=end)
        began = clock()
        model = model.fit(train)
        trained = clock()
        answers.append(_forecast_rows(model, name=name, test=test))
        train_s += trained - began
        predict_s += clock() - trained
        # Naive rows repeat what was measured: they are the measure of what can be.
        is_naive = name in NAIVE_ROWS
        if not is_naive and (reason := find_implausible(answers[-1], test=test, train=train)):
            raise PlausibilityError(reason)
        issues += test["issue_time"].n_unique()
    return _ModelRun(model, pl.concat(answers), train_s, 1000 * predict_s / max(1, issues))


def _blend_models(
    ran: Mapping[str, _ModelRun], *, cuts: Sequence[tuple[datetime, datetime]]
) -> _ModelRun:
    """The ensemble of the servable models, each fold by the weights of the days before it.

    Its model has the weights of all days. Raises SmartGridError if there is nothing to blend.
    """
    able = {name: one for name, one in ran.items() if name in SERVABLE}
    if not able:
        raise SmartGridError("no servable model answered, so that there is nothing to blend")
    known = pl.concat(one.forecasts for one in able.values())
    issue = pl.col("issue_time")
    answers = []
    for start, end in cuts:
        weights = _choose_weights(known.filter(pl.col("time") < start), names=list(able))
        span = known.filter((issue >= start) & (issue < end))
        answers.append(blend_forecasts(span, weights=weights, name=ENSEMBLE))
    weights = _choose_weights(known, names=list(able))
    members = {name: cast(ServableForecaster, able[name].model) for name in weights}
    model = EnsembleForecaster(members, weights=weights)
    model.feature_names = next(iter(members.values())).feature_names
    return _ModelRun(
        model,
        pl.concat(answers),
        train_s=sum(able[name].train_s for name in weights),
        predict_ms=sum(able[name].predict_ms for name in weights),
    )


def _choose_weights(forecasts: pl.DataFrame, *, names: Sequence[str]) -> dict[str, float]:
    """Weights by forecasts of past days; equal ones where there are none."""
    return find_blend_weights(forecasts) or dict.fromkeys(names, 1 / len(names))


def _build_score_rows(answer: pl.DataFrame, *, ran: _ModelRun, size: float | None) -> pl.DataFrame:
    recipe = getattr(ran.model, "recipe", None)
    return score_forecasts(answer).select(
        "series",
        *METRICS,
        model=pl.lit(answer["model"][0]),
        train_s=pl.lit(ran.train_s),
        predict_ms=pl.lit(ran.predict_ms),
        artifact_mb=pl.lit(size, dtype=pl.Float64),
        error=pl.lit(None, dtype=pl.String),
        recipe=pl.when(pl.col("series") == ALL_SERIES).then(
            pl.lit(None if recipe is None else json.dumps(recipe), dtype=pl.String)
        ),
    )


def _find_selection_span(
    features: pl.DataFrame, *, before: datetime
) -> list[tuple[datetime, datetime]]:
    """The span on which weights are chosen first: the last part of the training issue times.

    None where too few would be left to train on.
    """
    issues = features.filter(pl.col("issue_time") < before)["issue_time"].unique().sort()
    days = min(round(len(issues) * SELECTION_SHARE), MOST_SELECTION_ISSUES)
    return [(issues[-days], before)] if days >= FEWEST_SELECTION_ISSUES else []


def _cut_folds(
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


def _split_rows(
    features: pl.DataFrame, *, start: datetime, end: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows whose hour lay before `start`, and rows issued in [start, end)."""
    issue = pl.col("issue_time")
    known = (pl.col("hour_start") < start) & pl.col("load_kw").is_not_null()
    return features.filter(known), features.filter((issue >= start) & (issue < end))


def _forecast_rows(model: Forecaster, *, name: str, test: pl.DataFrame) -> pl.DataFrame:
    answer = model.predict(test).cast(pl.Float64).fill_nan(None)
    return (
        test.select(
            "issue_time", "lead_hours", series="feeder_id", time="hour_start", actual="load_kw"
        )
        .with_columns(*answer.get_columns(), model=pl.lit(name))
        .select(*FORECAST_SCHEMA)
    )


def _build_error_rows(features: pl.DataFrame, *, name: str, error: Exception) -> pl.DataFrame:
    series = [*features["feeder_id"].unique().sort(), ALL_SERIES]
    text = f"{type(error).__name__}: {error}"
    scores = (*METRICS, "train_s", "predict_ms", "artifact_mb")
    return pl.DataFrame({"series": series}).with_columns(
        **dict.fromkeys(scores, pl.lit(None, dtype=pl.Float64)),
        model=pl.lit(name),
        error=pl.lit(text),
        recipe=pl.lit(None, dtype=pl.String),
    )


def _rank_rows(rows: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if not rows:
        return pl.DataFrame(schema=LEADERBOARD_SCHEMA)
    table = pl.concat([part.select(*LEADERBOARD_SCHEMA) for part in rows])
    return table.sort(pl.col("series") == ALL_SERIES, "series", "pinball", "model", nulls_last=True)
