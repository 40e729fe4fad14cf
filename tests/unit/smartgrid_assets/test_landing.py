"""The job that lands files, and the job that delivers messages."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import dagster as dg

from smartgrid_assets.alerts.delivery import deliver_alerts
from smartgrid_assets.jobs import JOBS
from smartgrid_assets.landing import Tally, land_files
from smartgrid_assets.weather import fetch_weather
from smartgrid_core.protocols import Arrival, DeliveryReport


class Folder:
    """A landing folder whose `broken` files cannot be landed."""

    def __init__(self) -> None:
        self.landed: list[str] = []

    def list_arrivals(self) -> list[Arrival]:
        return [Arrival("a.csv", "1"), Arrival("b.csv", "2")]

    def land(self, names: Sequence[str]) -> Iterator[dict[str, object]]:
        for name in names:
            status, message = "landed", None
            if "broken" in name:
                status, message = "refused", "no header: write one"
            elif "copy" in name:
                status = "already_landed"
            else:
                self.landed.append(name)
            yield {
                "source": name,
                "status": status,
                "message": message,
                "landed_as": "a.csv" if "copy" in name else None,
                "rows_read": 10,
                "rows_new": 6,
                "rows_changed": 1,
                "rows_repeated": 2,
                "rows_refused": 1,
                "rows_removed": 0,
            }


def writes(job: object) -> str:
    return job.tags["smartgrid/writes"]


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
    result = land(folder, "broken.csv", "b.csv", "broken too.csv", "a.csv")
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert folder.landed == ["b.csv", "a.csv"]
    assert not result.success
    assert failure.step_failure_data.user_failure_data.metadata["files"].value == (
        "- broken.csv: no header: write one\n- broken too.csv: no header: write one"
    )


def test_content_that_landed_under_another_name_is_one_sentence_and_no_failure():
    tally = Tally()
    (report,) = Folder().land(["copy.csv"])
    tally.add(report)
    assert tally.take_fresh() == (
        "copy.csv: its content was landed before as a.csv, nothing to do; it may be removed"
    )
    assert (tally.take_fresh(), tally.refused) == ("", [])
    assert land(Folder(), "copy.csv").success


def test_only_landings_wait_for_a_landing():
    jobs = [*JOBS, fetch_weather, land_files]
    assert [job.name for job in jobs if writes(job) == writes(land_files)] == ["land_files"]


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
