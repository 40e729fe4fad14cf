"""Checks of models: the gate's verdict on the challenger."""

import dagster as dg

from smartgrid_assets.models.gate import CHALLENGER
from smartgrid_core.contracts.promotion import PromotionDecisions
from smartgrid_core.model_protocols import ModelRegistry, ModelRepository
from smartgrid_core.protocols import Warehouse
from smartgrid_core.rollout.decisions import describe_undecided, explain_refusal
from smartgrid_core.rollout.labels import LOAD_FORECASTER


@dg.asset_check(
    asset="promotion_decision",
    blocking=True,
    description="The challenger may be published: the gate promotes it, or it bears a label.",
)
def promotion_gate(
    warehouse: dg.ResourceParam[Warehouse],
    model_registry: dg.ResourceParam[ModelRegistry],
    model_shelf: dg.ResourceParam[ModelRepository],
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
        warehouse.read(PromotionDecisions), model_shelf.read_state(LOAD_FORECASTER), version
    )
    is_broken = reason == describe_undecided(version)
    return dg.AssetCheckResult(
        passed=reason is None,
        severity=dg.AssetCheckSeverity.ERROR if is_broken else dg.AssetCheckSeverity.WARN,
        description=reason or f"version {version} may be published",
        metadata={"version": version},
    )


CHECKS = [promotion_gate]
