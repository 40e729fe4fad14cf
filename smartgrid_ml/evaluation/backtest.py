"""Rolling-origin backtests: every model trained on what lay before, scored on what came after."""

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, cast, runtime_checkable

import polars as pl

from smartgrid_core.errors import SmartGridError
from smartgrid_core.time import Window
from smartgrid_ml.automl.trials import SearchResult
from smartgrid_ml.evaluation.blend import blend_forecasts, find_blend_weights
from smartgrid_ml.evaluation.metrics import ALL_SERIES, METRICS, score_forecasts
from smartgrid_ml.evaluation.plausibility import PlausibilityError, find_implausible
from smartgrid_ml.forecasting.ensemble import EnsembleForecaster
from smartgrid_ml.forecasting.protocol import Forecaster, ServableForecaster
from smartgrid_ml.forecasting.registry import ENSEMBLE, NAIVE_ROWS, SERVABLE, create_forecaster
from smartgrid_ml.progress import FitProgress, OnProgress

MeasureSize = Callable[[Forecaster], float]
"""Exports a fitted servable model and returns its size in MB."""

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
"""Columns of a backtest's forecasts; `time` is the start of the hour that is forecast."""

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
    """A forecaster that searches for its model."""

    search_result: SearchResult | None
    """Everything that the search tried; None before it."""


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """Which models are scored on which issue times, and how often they are trained.

    Raises ValueError for a span that does not end after it starts, or for fewer folds than one.
    """

    models: Sequence[str]
    """Names of the forecasters, in the order in which they run; the ensemble runs last."""
    test_start: datetime
    """The first issue time that is scored, UTC."""
    test_end: datetime
    """The end of the scored issue times, itself not scored, UTC."""
    folds: int = 1
    """Into so many parts the span is cut; models are trained anew before each."""

    def __post_init__(self) -> None:
        if self.test_end <= self.test_start:
            raise ValueError(f"test_end {self.test_end} is not after test_start {self.test_start}")
        if self.folds < 1:
            raise ValueError(f"a backtest has one fold at least, got {self.folds}")


@dataclass(frozen=True, slots=True)
class Backtest:
    """The result of a backtest."""

    leaderboard: pl.DataFrame
    """One row per series and model, then the rows of series "all", best first; columns as in
    LEADERBOARD_SCHEMA. `train_s` is the time to train on all series, searches included,
    `predict_ms` the time to forecast one issue time of all series, `artifact_mb` the size of what
    would be served. `recipe` is what a search or the blend found, as JSON: how to train it
    again."""
    forecasts: pl.DataFrame
    """One row per series, model, issue time and target hour, in the unit of the series; columns as
    in FORECAST_SCHEMA."""
    fitted: Mapping[str, Forecaster]
    """The models as trained for the last fold, without those that failed."""
    searches: Sequence[SearchResult] = ()
    """What the engines tried, also those that found nothing."""


def backtest_models(
    features: pl.DataFrame,
    settings: BacktestSettings,
    *,
    make: Callable[[str], Forecaster] = create_forecaster,
    artifact_mb: MeasureSize | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Backtest:
    """Return the scores of models on issue times that they were trained strictly before.

    With several folds the span is cut into as many equal parts, and each is forecast by models
    trained on everything before it. A model that fails costs its own rows alone: they carry
    `error` instead of scores. So does one whose answers could not be those of the load
    (`evaluation/plausibility.py`).

    The ensemble, if it is among the models, blends the servable others. Its weights for a fold
    come from forecasts of days before the fold: of the folds before it, and of a selection span
    that is held back before the first one for that purpose. A forecaster that searches does so
    once, before that span.

    Args:
        features: rows of `LoadFeatures`, of all series; load in the unit of the series (kW).
        settings: the models, the tested span and its folds.
        make: returns a fresh forecaster for a name; an exception of it fails that model.
        artifact_mb: measures the size of a fitted servable model; None leaves the size unknown.
        on_progress: is called before each training, with the model and the fold.

    Returns:
        Leaderboard, forecasts, fitted models and searches.

    Raises:
        ValueError: no issue time lies in the tested span, or none before it.
    """
    folds = _cut_folds(features, settings)
    start = folds[0].start
    has_blend = ENSEMBLE in settings.models
    selection = _find_selection_span(features, before=start) if has_blend else []
    names = [name for name in settings.models if name != ENSEMBLE]
    made: list[Forecaster] = []
    runs: dict[str, _ModelRun] = {}
    rows: list[pl.DataFrame] = []
    for number, name in enumerate(running := [*names, ENSEMBLE] if has_blend else names, start=1):
        place = FitProgress(name, number, len(running), folds=len(selection) + len(folds))
        try:
            if name == ENSEMBLE:
                on_progress(replace(place, folds=1))
                run = _blend_models(runs, folds=folds)
            else:
                model = make(name)
                made.append(model)
                run = _run_model(
                    features,
                    [*selection, *folds],
                    name=name,
                    model=model,
                    place=place,
                    on_progress=on_progress,
                )
            size = artifact_mb(run.model) if artifact_mb and name in SERVABLE else None
            rows.append(_build_score_rows(run, name=name, since=start, artifact_mb=size))
            runs[name] = run
        except Exception as error:
            # One model's failure must not cost the others: its rows say what happened.
            rows.append(_build_error_rows(features, name=name, error=error))
    forecasts = [run.select_issued(since=start) for run in runs.values()]
    return Backtest(
        leaderboard=_rank_rows(rows),
        forecasts=pl.concat(forecasts) if forecasts else pl.DataFrame(schema=FORECAST_SCHEMA),
        fitted={name: run.model for name, run in runs.items()},
        searches=[
            model.search_result
            for model in made
            if isinstance(model, SearchedForecaster) and model.search_result
        ],
    )


def choose_servable(leaderboard: pl.DataFrame, *, servable: Sequence[str] = SERVABLE) -> str | None:
    """Return the servable model with the least pinball loss overall, if it beats every naive row.

    None if there is no such model: then the naive row stays the forecast.

    >>> rows = [("all", "naive_24h", 3.0), ("all", "boosting", 2.0), ("F1", "keras", 0.1)]
    >>> choose_servable(pl.DataFrame(rows, schema=["series", "model", "pinball"], orient="row"))
    'boosting'
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
    """A model after all its folds."""

    model: Forecaster
    """As trained for the last fold."""
    forecasts: pl.DataFrame
    """Its forecasts, those of the selection span included; columns as in FORECAST_SCHEMA."""
    train_s: float
    """Seconds to train it, all folds together."""
    predict_ms: float
    """Milliseconds to forecast one issue time of all series."""

    def select_issued(self, *, since: datetime) -> pl.DataFrame:
        """Return its forecasts that were issued at `since` or later."""
        return self.forecasts.filter(pl.col("issue_time") >= since)


def _run_model(
    features: pl.DataFrame,
    spans: Sequence[Window],
    *,
    name: str,
    model: Forecaster,
    place: FitProgress,
    on_progress: OnProgress,
) -> _ModelRun:
    """Train and forecast span by span; one that searches keeps what it found in the first.

    Args:
        features: rows of `LoadFeatures`.
        spans: windows of issue time, in order; each is forecast after training on all before it.
        name: the model's name in the rows of forecasts.
        model: the forecaster; it is trained in place.
        place: the model's place among all.
        on_progress: is called before the training for each span.

    Returns:
        The model with its forecasts and times.

    Raises:
        PlausibilityError: an answer cannot be one of the load, and the model is no naive row.
    """
    clock = time.perf_counter
    train_s = predict_s = 0.0
    n_issues = 0
    forecasts = []
    for fold, span in enumerate(spans, start=1):
        on_progress(replace(place, fold=fold))
        train, test = _split_rows(features, span)
        started = clock()
        model = model.fit(train)
        trained = clock()
        forecasts.append(_forecast_rows(model, name=name, test=test))
        train_s += trained - started
        predict_s += clock() - trained
        # Naive rows repeat what was measured: they are the measure of what can be.
        is_naive = name in NAIVE_ROWS
        if not is_naive and (reason := find_implausible(forecasts[-1], test=test, train=train)):
            raise PlausibilityError(reason)
        n_issues += test["issue_time"].n_unique()
    return _ModelRun(model, pl.concat(forecasts), train_s, 1000 * predict_s / max(1, n_issues))


def _blend_models(runs: Mapping[str, _ModelRun], *, folds: Sequence[Window]) -> _ModelRun:
    """Return the ensemble of the servable models, each fold by the weights of the days before it.

    Its model has the weights of all days. Raises SmartGridError if there is nothing to blend.
    """
    servable = {name: run for name, run in runs.items() if name in SERVABLE}
    if not servable:
        raise SmartGridError("no servable model answered, so that there is nothing to blend")
    known = pl.concat(run.forecasts for run in servable.values())
    issue = pl.col("issue_time")
    forecasts = []
    for fold in folds:
        weights = _choose_weights(known.filter(pl.col("time") < fold.start), names=list(servable))
        answers = known.filter((issue >= fold.start) & (issue < fold.end))
        forecasts.append(blend_forecasts(answers, weights=weights, name=ENSEMBLE))
    weights = _choose_weights(known, names=list(servable))
    members = {name: cast(ServableForecaster, servable[name].model) for name in weights}
    model = EnsembleForecaster(members, weights=weights)
    model.feature_names = next(iter(members.values())).feature_names
    return _ModelRun(
        model,
        pl.concat(forecasts),
        train_s=sum(servable[name].train_s for name in weights),
        predict_ms=sum(servable[name].predict_ms for name in weights),
    )


def _choose_weights(forecasts: pl.DataFrame, *, names: Sequence[str]) -> dict[str, float]:
    """Return weights by forecasts of past days; equal ones where there are none."""
    return find_blend_weights(forecasts) or dict.fromkeys(names, 1 / len(names))


def _build_score_rows(
    run: _ModelRun, *, name: str, since: datetime, artifact_mb: float | None
) -> pl.DataFrame:
    """Return a model's rows of the leaderboard, one per series and one over all.

    Args:
        run: the model after its folds.
        name: the model's name.
        since: the first issue time that is scored, UTC.
        artifact_mb: size of the exported model in MB; None if it was not measured.

    Returns:
        Columns as in LEADERBOARD_SCHEMA; `recipe` stands on the row over all series.
    """
    recipe = getattr(run.model, "recipe", None)
    return score_forecasts(run.select_issued(since=since)).select(
        "series",
        *METRICS,
        model=pl.lit(name),
        train_s=pl.lit(run.train_s),
        predict_ms=pl.lit(run.predict_ms),
        artifact_mb=pl.lit(artifact_mb, dtype=pl.Float64),
        error=pl.lit(None, dtype=pl.String),
        recipe=pl.when(pl.col("series") == ALL_SERIES).then(
            pl.lit(None if recipe is None else json.dumps(recipe), dtype=pl.String)
        ),
    )


def _find_selection_span(features: pl.DataFrame, *, before: datetime) -> list[Window]:
    """Return the span on which weights are chosen first: the last of the training issue times.

    An empty list where too few would be left to train on.
    """
    issues = features.filter(pl.col("issue_time") < before)["issue_time"].unique().sort()
    n_issues = min(round(len(issues) * SELECTION_SHARE), MOST_SELECTION_ISSUES)
    return [Window(issues[-n_issues], before)] if n_issues >= FEWEST_SELECTION_ISSUES else []


def _cut_folds(features: pl.DataFrame, settings: BacktestSettings) -> list[Window]:
    """Return the folds' spans of issue time, in order; equal counts of issue times.

    Raises ValueError if no issue time lies in the tested span, or none before it.
    """
    start, end = settings.test_start, settings.test_end
    issues = features["issue_time"].unique().sort()
    tested = issues.filter((issues >= start) & (issues < end))
    if tested.is_empty():
        raise ValueError(f"no issue time from {start} up to {end}")
    if issues[0] >= start:
        raise ValueError(f"no issue time before {start} to train on")
    size = -(-len(tested) // settings.folds)
    edges = [*(tested[at] for at in range(0, len(tested), size)), end]
    return [Window(*edge) for edge in itertools.pairwise(edges)]


def _split_rows(features: pl.DataFrame, span: Window) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return known rows whose hour lies before the span, and rows that are issued within it."""
    issue = pl.col("issue_time")
    is_past = (pl.col("hour_start") < span.start) & pl.col("load_kw").is_not_null()
    is_tested = (issue >= span.start) & (issue < span.end)
    return features.filter(is_past), features.filter(is_tested)


def _forecast_rows(model: Forecaster, *, name: str, test: pl.DataFrame) -> pl.DataFrame:
    """Return a fitted model's forecasts of the tested rows; columns as in FORECAST_SCHEMA."""
    answer = model.predict(test).cast(pl.Float64).fill_nan(None)
    return (
        test.select(
            "issue_time", "lead_hours", series="feeder_id", time="hour_start", actual="load_kw"
        )
        .with_columns(*answer.get_columns(), model=pl.lit(name))
        .select(*FORECAST_SCHEMA)
    )


def _build_error_rows(features: pl.DataFrame, *, name: str, error: Exception) -> pl.DataFrame:
    """Return the rows of a model that failed: no scores, and why, for every series and over all."""
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
    """Return the leaderboard: by series, those over all last, the least pinball loss first."""
    if not rows:
        return pl.DataFrame(schema=LEADERBOARD_SCHEMA)
    table = pl.concat([part.select(*LEADERBOARD_SCHEMA) for part in rows])
    return table.sort(pl.col("series") == ALL_SERIES, "series", "pinball", "model", nulls_last=True)
