"""The job that carries waiting messages to people."""

import dagster as dg

from smartgrid_core.protocols import AlertStore, Clock


@dg.op(name="deliver_waiting_messages", out=dg.Out(dg.Nothing))
def deliver(
    context: dg.OpExecutionContext,
    alert_store: dg.ResourceParam[AlertStore],
    clock: dg.ResourceParam[Clock],
) -> None:
    """Try every message of the outbox that is due, once; what fails is due again later."""
    report = alert_store.deliver(now=clock.now())
    context.add_output_metadata(
        {"delivered": report.delivered, "to_try_again": report.retried, "given_up": report.dead}
    )
    if report.dead:
        context.log.warning(f"{report.dead} messages were given up: see notification_attempts")


@dg.job(
    name="deliver_alerts",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_runtime": "1800", "smartgrid/writes": "outbox"},
    description="Post the alerts that wait in the outbox.",
)
def deliver_alerts() -> None:
    """One round of deliveries."""
    deliver()
