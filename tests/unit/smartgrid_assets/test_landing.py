"""The job that lands files, and the job that delivers messages."""

from datetime import datetime

import dagster as dg

from smartgrid_assets.alerts.delivery import deliver_alerts
from smartgrid_assets.landing import land_files
from smartgrid_core.errors import LandingError
from smartgrid_core.protocols import Arrival, DeliveryReport


class Folder:
    """A landing folder whose `broken` files cannot be landed."""

    def __init__(self) -> None:
        self.landed: list[str] = []

    def list_arrivals(self) -> list[Arrival]:
        return [Arrival("a.csv", "1"), Arrival("b.csv", "2")]

    def land(self, name: str) -> dict[str, int]:
        if "broken" in name:
            raise LandingError(f"{name}: no header: write one")
        self.landed.append(name)
        refused = "empty" in name
        return {
            "status": "refused" if refused else "landed",
            "message": "no rows: send it again" if refused else None,
            "rows_read": 10,
            "rows_new": 6,
            "rows_changed": 1,
            "rows_repeated": 2,
            "rows_refused": 1,
            "rows_removed": 0,
        }


def output_metadata(result: dg.ExecuteInProcessResult, op: str) -> dict[str, object]:
    (event,) = [e for e in result.events_for_node(op) if e.is_successful_output]
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def land(folder: Folder, *names: str) -> dg.ExecuteInProcessResult:
    return land_files.execute_in_process(
        run_config={"ops": {"land_waiting_files": {"config": {"names": list(names)}}}},
        resources={"landing": folder},
        raise_on_error=False,
    )


def test_files_are_landed_and_counted():
    folder = Folder()
    result = land(folder, "a.csv", "c.csv")
    assert folder.landed == ["a.csv", "c.csv"]
    assert output_metadata(result, "land_waiting_files") == {
        "files_landed": 2,
        "rows_read": 20,
        "rows_new": 12,
        "rows_changed": 2,
        "rows_repeated": 4,
        "rows_refused": 2,
    }


def test_without_names_everything_that_has_come_to_rest_is_landed():
    folder = Folder()
    land_files.execute_in_process(resources={"landing": folder})
    assert folder.landed == ["a.csv", "b.csv"]


def test_a_file_that_cannot_be_landed_does_not_stop_the_others_and_is_named():
    folder = Folder()
    result = land(folder, "broken.csv", "empty.csv", "a.csv")
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert folder.landed == ["empty.csv", "a.csv"]
    assert not result.success
    assert failure.step_failure_data.user_failure_data.metadata["files"].value == (
        "- broken.csv: broken.csv: no header: write one\n- empty.csv: no rows: send it again"
    )


class Book:
    def deliver(self, *, now: datetime) -> DeliveryReport:
        assert now.tzinfo is not None
        return DeliveryReport(delivered=2, retried=1, dead=0)


def test_a_round_of_deliveries_says_how_it_went(handles):
    result = deliver_alerts.execute_in_process(
        resources={"alert_store": Book(), "clock": handles["clock"]}
    )
    assert output_metadata(result, "deliver_waiting_messages") == {
        "delivered": 2,
        "to_try_again": 1,
        "given_up": 0,
    }
