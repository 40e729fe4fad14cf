"""Checks of models: how they were compared, what is registered, what answers, what has moved."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

import dagster as dg
import polars as pl

from smartgrid_assets.models.gate import BACKTEST, CHALLENGER, select_losses
from smartgrid_assets.quality import to_outcome_result
from smartgrid_core.checks.models import (
    judge_load_backtest,
    judge_load_model,
    judge_model_drift,
    judge_served_model,
)
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadBacktest
from smartgrid_core.contracts.promotion import BacktestLosses, ModelDrift, PromotionDecisions
from smartgrid_core.errors import PublicationError, SmartGridError
from smartgrid_core.features.load import FEATURES
from smartgrid_core.model_protocols import (
    ModelRegistry,
    ModelRepository,
    ModelServer,
    Quantiles,
)
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.rollout.decisions import describe_undecided, explain_refusal
from smartgrid_core.rollout.labels import CHAMPION, LOAD_FORECASTER
from smartgrid_core.time import Window
from smartgrid_ml.evaluation.leaderboard import select_newest_backtest
from smartgrid_ml.evaluation.metrics import ALL_SERIES
from smartgrid_ml.export.artifact.golden import read_golden
from smartgrid_ml.export.artifact.signature import load_signature
from smartgrid_ml.forecasting.registry import NAIVE_ROWS
from smartgrid_ml.promotion.artifact import compute_golden_difference
from smartgrid_ml.promotion.gate import GATE_LIMITS

ASKED_ROWS = 32
"""As many as a golden batch has: enough to see every feeder kind, and one short call a label."""


@dg.asset_check(
    asset="promotion_decision",
    blocking=True,
    description="The challenger may be published: the gate promotes it, or it bears a label.",
)
def promotion_gate(
    warehouse: dg.ResourceParam[Warehouse],
    model_registry: dg.ResourceParam[ModelRegistry],
    model_repository: dg.ResourceParam[ModelRepository],
) -> dg.AssetCheckResult:
    """Reads the newest decision about the challenger.

    A challenger without a decision is an error: the run ends here. A refusal is an orderly verdict,
    a warning, so that the run of a training that did not pay is no failure: `served_model` then
    leaves everything as it is, and does not follow by itself.
    """
    challenger = model_registry.find_by_alias(LOAD_FORECASTER, CHALLENGER)
    if challenger is None:
        return dg.AssetCheckResult(passed=True, description="no model is registered yet")
    version = int(challenger.version)
    reason = explain_refusal(
        warehouse.read(PromotionDecisions), model_repository.read_state(LOAD_FORECASTER), version
    )
    is_broken = reason == describe_undecided(version)
    return dg.AssetCheckResult(
        passed=reason is None,
        severity=dg.AssetCheckSeverity.ERROR if is_broken else dg.AssetCheckSeverity.WARN,
        description=reason or f"version {version} may be published",
        metadata={"version": version},
    )


@dg.asset_check(
    asset="load_backtest",
    description="All forecasters are scored on the same hours, beside every naive row.",
)
def backtest_is_fair(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Judges the newest backtest."""
    board = select_newest_backtest(warehouse.read(LoadBacktest))
    if board.is_empty():
        return dg.AssetCheckResult(passed=True, description="there is no backtest yet")
    losses = warehouse.read(BacktestLosses).filter(
        pl.col("backtest_id").is_in(board["backtest_id"].to_list())
    )
    return to_outcome_result(
        judge_load_backtest(board, losses=losses, naive_rows=NAIVE_ROWS, pooled=ALL_SERIES)
    )


@dg.asset_check(
    asset="load_model",
    description="The challenger answers as it did offline, and what chose it is on record.",
)
def challenger_is_sound(
    warehouse: dg.ResourceParam[Warehouse], model_registry: dg.ResourceParam[ModelRegistry]
) -> dg.AssetCheckResult:
    """Asks the registered SavedModel its golden batch."""
    challenger = model_registry.find_by_alias(LOAD_FORECASTER, CHALLENGER)
    if challenger is None:
        return dg.AssetCheckResult(passed=True, description="no model is registered yet")
    params = model_registry.read_params(challenger)
    losses = select_losses(warehouse.read(BacktestLosses), backtest_id=params.get(BACKTEST))
    tested_from = cast(datetime | None, losses["issue_time"].min())
    with tempfile.TemporaryDirectory() as folder:
        golden = ask_golden_batch(model_registry.download(challenger, Path(folder)))
    return to_outcome_result(
        judge_load_model(
            params,
            inputs=golden.inputs,
            features=LoadFeatures.column_names(),
            golden_difference=golden.difference,
            golden_error=golden.error,
            most_difference=GATE_LIMITS.golden_difference,
            tested_from=tested_from,
        )
    )


@dg.asset_check(
    asset="served_model",
    description="The server answers under every label with that label's version.",
)
def labels_answer(
    lake: dg.ResourceParam[Lake],
    model_registry: dg.ResourceParam[ModelRegistry],
    model_server: dg.ResourceParam[ModelServer],
    model_repository: dg.ResourceParam[ModelRepository],
) -> dg.AssetCheckResult:
    """Asks the server under each label about some of the newest hours that can be forecast."""
    served = model_repository.read_state(LOAD_FORECASTER)
    champion = model_registry.find_by_alias(LOAD_FORECASTER, CHAMPION)
    rows = choose_asked_rows(lake)
    return to_outcome_result(
        judge_served_model(
            served,
            champion=None if champion is None else champion.version,
            answers=None
            if rows.is_empty()
            else {label: ask_label(model_server, rows, label=label) for label in served.labels},
        )
    )


def choose_asked_rows(lake: Lake, *, most: int = ASKED_ROWS) -> pl.DataFrame:
    """Return at most `most` rows of `LoadFeatures` of the newest day, drawn alike each time.

    Feeders without a history have no level: no model has an answer for them, and they are left
    out. No rows come back where that leaves none, or for an empty lake.
    """
    days = lake.days(LoadFeatures)
    if not days:
        return LoadFeatures.create_empty()
    rows = (
        lake.scan(LoadFeatures, window=Window.of_day(days[-1]))
        .filter(pl.col("level_kw") > 0)
        .sort("hour_start", "feeder_id")
        .collect()
    )
    return rows.sample(min(most, rows.height), seed=1)


def ask_label(server: ModelServer, rows: pl.DataFrame, *, label: str) -> Quantiles | None:
    """Return what the label answers about rows of `LoadFeatures`; None if it does not."""
    features = {name: rows[name].cast(pl.Float32).to_numpy() for name in FEATURES}
    try:
        return server.predict(LOAD_FORECASTER, features, label=label)
    except SmartGridError:
        return None


@dg.asset_check(
    asset="model_drift",
    description="Drift is measured against enough and recent training days of the champion.",
)
def drift_has_a_reference(
    warehouse: dg.ResourceParam[Warehouse], model_registry: dg.ResourceParam[ModelRegistry]
) -> dg.AssetCheckResult:
    """Judges the newest day on which the present champion was looked at."""
    champion = model_registry.find_by_alias(LOAD_FORECASTER, CHAMPION)
    if champion is None:
        return dg.AssetCheckResult(passed=True, description="no model answers yet")
    return to_outcome_result(
        judge_model_drift(
            warehouse.read(ModelDrift),
            version=champion.version,
            params=model_registry.read_params(champion),
        )
    )


@dataclass(frozen=True, slots=True)
class GoldenAnswers:
    """What a registered SavedModel says about its golden batch."""

    inputs: tuple[str, ...]
    """The inputs of its signature; none where it cannot be loaded."""
    difference: float | None
    """The largest relative difference to the offline answers; None if it does not answer."""
    error: str | None = None
    """Why it does not answer."""


def ask_golden_batch(saved_model: Path) -> GoldenAnswers:
    """Return how far a SavedModel strays from what its forecaster said when it was exported."""
    inputs: tuple[str, ...] = ()
    try:
        rows, offline = read_golden(saved_model)
        signature = load_signature(saved_model)
        inputs = signature.inputs
        answers = signature.answer(rows)
    except PublicationError as error:
        return GoldenAnswers(inputs, None, str(error))
    return GoldenAnswers(inputs, compute_golden_difference(answers, offline))


CHECKS = [
    promotion_gate,
    backtest_is_fair,
    challenger_is_sound,
    labels_answer,
    drift_has_a_reference,
]
