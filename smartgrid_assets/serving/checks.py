"""Checks of what the served model says, and of who answers: the verdict on the canary."""

import dagster as dg
import polars as pl

from smartgrid_assets.quality import choose_checked_window, to_outcome_result
from smartgrid_core.checks.forecasts import judge_load_forecast
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.contracts.serving import VariantComparisons
from smartgrid_core.model_protocols import ModelRepository
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.rollout.labels import LOAD_FORECASTER
from smartgrid_ml.forecasting.registry import NAIVE_ROWS


@dg.asset_check(
    asset="load_forecast",
    blocking=True,
    description="Every hour with features is forecast, with a possible band that says who made it.",
)
def forecast_is_whole(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Judges the run's days; for a run without days the newest one that has features."""
    window = choose_checked_window(context.run.tags, lake=lake, schema=LoadFeatures)
    return to_outcome_result(
        judge_load_forecast(
            warehouse.read(LoadForecasts, window=window),
            features=lake.scan(LoadFeatures, window=window).collect(),
            stand_ins=NAIVE_ROWS,
        )
    )


@dg.asset_check(
    asset="variant_comparison",
    description="Promote, keep or roll back: the canary is not worse than stable.",
)
def canary_verdict(
    warehouse: dg.ResourceParam[Warehouse], model_repository: dg.ResourceParam[ModelRepository]
) -> dg.AssetCheckResult:
    """Reads the newest comparison of the present canary; fails if it shall be rolled back."""
    served = model_repository.read_state(LOAD_FORECASTER)
    about = (
        warehouse.read(VariantComparisons)
        .filter(pl.col("model") == LOAD_FORECASTER, pl.col("canary_version") == str(served.canary))
        .sort("compared_at")
    )
    if served.canary is None or about.is_empty():
        return dg.AssetCheckResult(passed=True, description="no canary is on trial")
    newest = about.row(-1, named=True)
    return dg.AssetCheckResult(
        passed=newest["decision"] != "roll_back",
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{newest['decision'].replace('_', ' ')}: {newest['reason']}",
        metadata={
            "decision": newest["decision"],
            "canary_version": newest["canary_version"],
            "stable_version": newest["stable_version"],
            "issues": newest["issues"],
        },
    )


CHECKS = [forecast_is_whole, canary_verdict]
