"""A failed run becomes an alert, once nothing will try it again."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl

from sensors.failures import failed_runs

NOW = datetime(2026, 3, 2, tzinfo=UTC)


class Book:
    def __init__(self) -> None:
        self.recorded: list[pl.DataFrame] = []

    def record(self, alerts: pl.DataFrame) -> int:
        self.recorded.append(alerts)
        return alerts.height


class StillClock:
    def now(self) -> datetime:
        return NOW


@dg.op
def broken() -> None:
    raise ValueError("the meter's file is empty")


@dg.job
def refresh_days() -> None:
    broken()


def recorded_after_failure(**tags: str) -> list[pl.DataFrame]:
    book = Book()
    with dg.DagsterInstance.ephemeral() as instance:
        result = refresh_days.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
        event = next(event for event in result.all_events if event.is_run_failure)
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_runs",
            dagster_event=event,
            dagster_instance=instance,
            dagster_run=instance.get_run_by_id(result.run_id),
        ).for_run_failure()
        failed_runs(context, alert_store=book, clock=StillClock())
    return book.recorded


def test_a_failed_run_is_on_record_with_its_step_and_error():
    (alerts,) = recorded_after_failure()
    (alert,) = alerts.to_dicts()
    assert (alert["alert_type"], alert["severity"], alert["subject_id"], alert["opened_at"]) == (
        "system_failure",
        "critical",
        "refresh_days",
        NOW,
    )
    assert alert["message"].endswith("broken: ValueError: the meter's file is empty")


def test_a_run_that_will_be_tried_again_alarms_nobody():
    assert recorded_after_failure(**{"dagster/will_retry": "true"}) == []
