"""Assets that learn: the leaderboard, the best model, and the version that answers."""

from typing import Any, cast

import dagster as dg
import polars as pl

from smartgrid_assets.domains import MODELS, grid_asset
from smartgrid_assets.models.gate import BACKTEST, CHALLENGER
from smartgrid_assets.models.going_live import go_live
from smartgrid_assets.models.losses import keep_losses
from smartgrid_assets.models.trials import TrainingReporter, report_progress
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadBacktest, LoadForecasts
from smartgrid_core.contracts.promotion import PromotionDecisions
from smartgrid_core.contracts.serving import LabelMoves
from smartgrid_core.model_protocols import ModelRegistry, ModelRepository, ModelServer
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.rollout.decisions import explain_refusal
from smartgrid_core.rollout.label_journal import explain_wait
from smartgrid_core.rollout.labels import LOAD_FORECASTER, OUTPUTS
from smartgrid_core.settings import Settings
from smartgrid_ml.automl.trials import Budget, build_trials_table
from smartgrid_ml.evaluation.backtest import (
    Backtest,
    BacktestSettings,
    backtest_models,
    choose_servable,
)
from smartgrid_ml.evaluation.leaderboard import (
    draw_leaderboard,
    read_recipe,
    refuse_if_all_failed,
    render_leaderboard,
    select_newest_backtest,
)
from smartgrid_ml.evaluation.metrics import ALL_SERIES, METRICS
from smartgrid_ml.evaluation.picture import embed_in_markdown
from smartgrid_ml.evaluation.report import draw_error_by_series, render_report
from smartgrid_ml.export.artifact.saved_model import measure_saved_model_mb
from smartgrid_ml.forecasting.protocol import ServableForecaster
from smartgrid_ml.forecasting.registry import (
    FORECASTERS,
    WITHOUT_SEARCH,
    SearchSettings,
    create_forecaster,
    share_budget,
)
from smartgrid_ml.progress import FitProgress
from smartgrid_ml.training import (
    TrainingNotes,
    choose_test_span,
    hash_training,
    train_and_register,
)

POOL = "training"
"""One training at a time: it takes every core there is."""


@grid_asset(
    MODELS,
    table=LoadBacktest,
    deps=["load_features"],
    pool=POOL,
    kinds={"lightgbm", "keras", "h2o", "mlflow"},
)
def load_backtest(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    model_registry: dg.ResourceParam[ModelRegistry],
    mlflow: dg.ResourceParam[Any],
) -> dg.MaterializeResult[None]:
    """One row per backtest, series and forecaster: its errors on days that it had not learned from.

    This is the leaderboard. Naive forecasters, such as the load of a week ago, are scored beside
    the models on the same hours.
    """
    features = lake.scan(LoadFeatures).filter(pl.col("load_kw").is_not_null()).collect()
    start, end = choose_test_span(features["issue_time"])
    reporter = TrainingReporter(
        context, registry=model_registry, parent_run_id=mlflow.active_run().info.run_id
    )
    searching = SearchSettings(
        _share_settings_budget(settings),
        on_trial=reporter.report_trial,
        on_progress=reporter.report_progress,
    )
    scores = backtest_models(
        features,
        BacktestSettings(
            models=FORECASTERS if settings.automl_budget_s else WITHOUT_SEARCH,
            test_start=start,
            test_end=end,
            folds=settings.backtest_folds,
        ),
        make=lambda name: create_forecaster(name, searching=searching),
        # Only servable forecasters are measured.
        artifact_mb=lambda model: measure_saved_model_mb(cast(ServableForecaster, model)),
        on_progress=reporter.report_progress,
    )
    board = scores.leaderboard.with_columns(
        backtest_id=pl.lit(hash_training(features, name="backtest")[:16]),
        scored_at=pl.lit(clock.now()),
    ).select(LoadBacktest.column_names())
    warehouse.upsert(LoadBacktest, LoadBacktest.validate(board, cast=True))
    keep_losses(warehouse, scores.forecasts, board)
    refuse_if_all_failed(board)
    _log_backtest(mlflow, scores, board=board)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": board.height,
            "leaderboard": dg.MetadataValue.md(render_leaderboard(board)),
            "plot": dg.MetadataValue.md(
                embed_in_markdown(draw_leaderboard(board), about="pinball loss")
            ),
            "searches": _describe_searches(scores) or "none",
            "best": choose_servable(board) or "no model beats the naive rows",
            "tested": f"{start:%Y-%m-%d} .. {end:%Y-%m-%d}",
            "report": _link_run_page(
                settings, run=mlflow.active_run(), of="artifacts/backtest/report.html"
            ),
        }
    )


@grid_asset(
    MODELS,
    table=LoadForecasts,
    columns=OUTPUTS,
    deps=["load_features", "load_backtest"],
    pool=POOL,
    kinds={"mlflow", "tensorflow"},
)
def load_model(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    model_registry: dg.ResourceParam[ModelRegistry],
    mlflow: dg.ResourceParam[Any],
) -> dg.MaterializeResult[None]:
    """One version per run in the model registry: the newest leaderboard's best model.

    It is trained on all days, exported as a SavedModel, and has the alias `challenger` until the
    model server answers with it.
    """
    board = select_newest_backtest(warehouse.read(LoadBacktest))
    name = choose_servable(board)
    if name is None:
        return dg.MaterializeResult(metadata={"outcome": "no model beats the naive rows"})
    report_progress(context, FitProgress(name))
    overall = board.filter(pl.col("series") == ALL_SERIES, pl.col("model") == name).row(
        0, named=True
    )
    version = train_and_register(
        lake.scan(LoadFeatures).collect(),
        name=name,
        recipe=read_recipe(board, model=name),
        registry=model_registry,
        model=LOAD_FORECASTER,
        notes=TrainingNotes(
            metrics={key: overall[key] for key in METRICS},
            params={BACKTEST: overall["backtest_id"]},
            figures={"error_by_series": draw_error_by_series(board, model=name)},
            tags={"mlflow.parentRunId": mlflow.active_run().info.run_id},
        ),
    )
    model_registry.set_alias(LOAD_FORECASTER, CHALLENGER, version.version)
    return dg.MaterializeResult(
        metadata={
            "outcome": f"{name} is version {version.version} of {LOAD_FORECASTER}",
            "mlflow_run": version.run_id,
            **{key: overall[key] for key in METRICS},
        }
    )


@grid_asset(
    MODELS,
    table=LabelMoves,
    deps=["load_model", "promotion_decision"],
    automation_condition=dg.AutomationCondition.eager()
    & dg.AutomationCondition.all_deps_blocking_checks_passed(),
    pool=POOL,
    kinds={"tensorflow"},
)
def served_model(
    warehouse: dg.ResourceParam[Warehouse],
    model_registry: dg.ResourceParam[ModelRegistry],
    model_repository: dg.ResourceParam[ModelRepository],
    model_server: dg.ResourceParam[ModelServer],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """One version per run put on the model server: the challenger, if the gate promoted it.

    It answers only after it gave its golden batch the same answers as offline. The first version
    is labelled `stable`; a later one is tried as `canary` until the comparison promotes it or rolls
    it back. After a refusal the model server goes on as before.
    """
    version = model_registry.find_by_alias(LOAD_FORECASTER, CHALLENGER)
    if version is None:
        return dg.MaterializeResult(metadata={"outcome": "no model is registered yet"})
    served, number = model_repository.read_state(LOAD_FORECASTER), int(version.version)
    reason = explain_refusal(warehouse.read(PromotionDecisions), served, number) or explain_wait(
        warehouse.read(LabelMoves), served, number, now=clock.now()
    )
    if reason is not None:
        return dg.MaterializeResult(metadata={"outcome": reason})
    live = go_live(
        version,
        registry=model_registry,
        repository=model_repository,
        server=model_server,
        journal=warehouse,
        by="served_model",
        now=clock.now(),
    )
    return dg.MaterializeResult(
        metadata={
            "outcome": f"version {version.version} of {LOAD_FORECASTER} answers as {live.label}",
            "golden_difference": live.parity,
            "removed_versions": list(live.removed),
        }
    )


def _share_settings_budget(settings: Settings) -> Budget:
    return share_budget(
        settings.automl_budget_s,
        trials=settings.automl_trials,
        memory_mb=settings.automl_memory_mb,
    )


def _log_backtest(mlflow: Any, scores: Backtest, *, board: pl.DataFrame) -> None:
    """Keep report, leaderboard and trials with the run; ``board``: rows of `LoadBacktest`."""
    mlflow.log_text(render_report(scores, title="Load backtest"), "backtest/report.html")
    mlflow.log_text(board.write_csv(), "backtest/leaderboard.csv")
    mlflow.log_text(build_trials_table(scores.searches).write_csv(), "backtest/trials.csv")


def _describe_searches(scores: Backtest) -> str:
    return "; ".join(
        f"{found.engine}: {len(found.trials)} trials, {found.ended}" for found in scores.searches
    )


def _link_run_page(settings: Settings, *, run: Any, of: str = "") -> dg.MetadataValue:
    """Where people see an MLflow run."""
    place = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/{of}"
    return dg.MetadataValue.url(f"{settings.mlflow_url}/{place}")
