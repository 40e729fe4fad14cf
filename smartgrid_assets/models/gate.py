"""The gate between training and serving: the decision, its record, and the check that blocks."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import cast

import dagster as dg
import polars as pl

from smartgrid_assets.domains import MODELS, grid_asset
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.promotion import BacktestLosses, PromotionDecisions
from smartgrid_core.errors import PublicationError
from smartgrid_core.model_protocols import ModelRegistry, ModelRepository, ModelVersion
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.rollout.labels import CHAMPION, LOAD_FORECASTER
from smartgrid_core.rollout.training_record import TRAINING_SPAN, explain_missing_params
from smartgrid_core.time import DAY, Window
from smartgrid_ml.evaluation.losses import select_newest_backtests
from smartgrid_ml.forecasting.registry import NAIVE_ROWS
from smartgrid_ml.promotion.artifact import compute_saved_model_losses, measure_artifact
from smartgrid_ml.promotion.decision_records import build_decision_rows, render_decision
from smartgrid_ml.promotion.gate import decide_promotion

BACKTEST = "backtest_id"
"""Parameter of a training: the backtest whose recipe and scores it rests on."""

CHALLENGER = "challenger"
"""The alias of the version that was trained last."""


@grid_asset(
    MODELS,
    table=PromotionDecisions,
    deps=["load_backtest", "load_model"],
    pool="training",
    kinds={"mlflow", "tensorflow", "postgres"},
)
def promotion_decision(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    model_registry: dg.ResourceParam[ModelRegistry],
    model_repository: dg.ResourceParam[ModelRepository],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """One row per decision and condition: whether the challenger may be published, and why.

    The challenger is judged by the backtest that chose it. The champion is asked for the same
    issue times, as far as they lie after its own training data.
    """
    challenger = model_registry.find_by_alias(LOAD_FORECASTER, CHALLENGER)
    if challenger is None:
        return dg.MaterializeResult(metadata={"outcome": "no model is registered yet"})
    labels = model_repository.read_state(LOAD_FORECASTER).labels
    borne = [label for label, version in labels.items() if str(version) == challenger.version]
    if borne:
        outcome = f"version {challenger.version} bears the label {borne[0]} already"
        return dg.MaterializeResult(metadata={"outcome": outcome})
    champion = model_registry.find_by_alias(LOAD_FORECASTER, CHAMPION)
    trained = model_registry.read_params(challenger)
    losses = select_losses(warehouse.read(BacktestLosses), backtest_id=trained.get(BACKTEST))
    with tempfile.TemporaryDirectory() as folder:
        artifact = measure_artifact(model_registry.download(challenger, Path(folder)))
    champion_losses = None
    if champion is not None:
        champion_losses = measure_champion_losses(
            champion, registry=model_registry, lake=lake, judged=losses["issue_time"]
        )
    decision = decide_promotion(
        losses.filter(pl.col("model") == trained["forecaster"]),
        naive=losses.filter(pl.col("model").is_in(NAIVE_ROWS)),
        naive_rows=NAIVE_ROWS,
        champion=champion_losses,
        artifact=artifact,
    )
    warehouse.upsert(
        PromotionDecisions,
        build_decision_rows(
            decision,
            model=LOAD_FORECASTER,
            version=challenger.version,
            champion=None if champion is None else champion.version,
            by="promotion_decision",
            now=clock.now(),
        ),
    )
    return dg.MaterializeResult(
        metadata={
            "outcome": f"{decision.outcome} version {challenger.version}: {decision.reason}",
            "decision": dg.MetadataValue.md(render_decision(decision)),
            "version": challenger.version,
            "champion": "none" if champion is None else champion.version,
        }
    )


def select_losses(losses: pl.DataFrame, *, backtest_id: str | None) -> pl.DataFrame:
    """Losses of the backtest that chose the challenger; of the newest one if none is on record.

    A backtest that is kept no longer leaves none: then nothing is decided.
    """
    if backtest_id is None:
        return select_newest_backtests(losses, most=1)
    return losses.filter(pl.col("backtest_id") == backtest_id)


def measure_champion_losses(
    champion: ModelVersion, *, registry: ModelRegistry, lake: Lake, judged: pl.Series
) -> pl.DataFrame:
    """Losses of the champion at the issue times in `judged` that it had not been trained on.

    Args:
        champion: The version that answers at present.
        registry: Knows its training data and its SavedModel.
        lake: Has the features, rows of `LoadFeatures`.
        judged: Issue times of the challenger's backtest, UTC.

    Raises:
        PublicationError: The registry does not say where the champion's training data end.
    """
    trained = registry.read_params(champion)
    unrecorded = explain_missing_params(trained, TRAINING_SPAN[1:], version=champion.version)
    if unrecorded is not None:
        raise PublicationError(f"the champion cannot be compared: {unrecorded}")
    trained_until = datetime.fromisoformat(trained[TRAINING_SPAN[1]])
    unseen = judged.filter(judged >= trained_until)
    start, end = trained_until, trained_until
    if not unseen.is_empty():
        start, end = cast(datetime, unseen.min()), cast(datetime, unseen.max()) + DAY
    features = (
        lake.scan(LoadFeatures, window=Window(start, end))
        .filter(pl.col("issue_time").is_in(unseen.unique().to_list()))
        .collect()
    )
    with tempfile.TemporaryDirectory() as folder:
        return compute_saved_model_losses(registry.download(champion, Path(folder)), features)
