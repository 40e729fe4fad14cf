"""The job that promotes a canary or takes it back; the sensor `canary_watch` asks for it."""

import dagster as dg

from smartgrid_core.alerts.decide import build_rollback_alert
from smartgrid_core.contracts.promotion import PromotionDecisions
from smartgrid_core.errors import PublicationError
from smartgrid_core.model_protocols import ModelRegistry, ModelRepository
from smartgrid_core.protocols import AlertStore, Clock, Warehouse
from smartgrid_core.rollout.labels import LOAD_FORECASTER
from smartgrid_io.serving.label_mover import LabelMover
from smartgrid_ml.promotion.canary_comparison import conclude_trial
from smartgrid_ml.promotion.decision_records import build_decision_rows

NAME = "settle_canary"


class CanaryOrder(dg.Config):
    """What shall become of a version, if it is still the canary: promote or roll_back; and why."""

    action: str
    version: int
    reason: str


@dg.op(name="settle", out=dg.Out(dg.Nothing))
def move_canary_labels(
    context: dg.OpExecutionContext,
    config: CanaryOrder,
    warehouse: dg.ResourceParam[Warehouse],
    model_registry: dg.ResourceParam[ModelRegistry],
    model_repository: dg.ResourceParam[ModelRepository],
    alert_store: dg.ResourceParam[AlertStore],
    clock: dg.ResourceParam[Clock],
) -> None:
    """Move the labels; the decision is on record, and a rollback an alert, too.

    Done again it changes nothing.
    """
    served = model_repository.read_state(LOAD_FORECASTER)
    if config.action == "roll_back" and served.canary == config.version:
        # Before the move: who dies in between finds the canary again, and the alert is once.
        alert_store.record(
            build_rollback_alert(
                model=LOAD_FORECASTER, version=config.version, reason=config.reason, now=clock.now()
            )
        )
    if served.canary == config.version:
        rows = build_decision_rows(
            conclude_trial(promoted=config.action == "promote", reason=config.reason),
            model=LOAD_FORECASTER,
            version=str(config.version),
            champion=None if served.stable is None else str(served.stable),
            by=NAME,
            now=clock.now(),
        )
        warehouse.upsert(PromotionDecisions, rows)
    mover = LabelMover(model_repository, model_registry, warehouse, by=NAME)
    move = mover.promote if config.action == "promote" else mover.end_trial
    moved = move(LOAD_FORECASTER, canary=config.version, reason=config.reason, now=clock.now())
    context.add_output_metadata({"served": str(moved.after.labels), "changed": moved.is_new})
    if moved.troubles:
        raise PublicationError("; ".join(moved.troubles))


@dg.job(
    name=NAME,
    executor_def=dg.in_process_executor,
    tags={"dagster/max_runtime": "600", "smartgrid/writes": "labels"},
    description="Promote the canary, or take it back.",
)
def settle_canary() -> None:
    """One settlement."""
    move_canary_labels()
