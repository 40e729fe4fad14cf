"""New files are requested once per content; a failing one is given up."""

import dagster as dg
import pytest

from sensors.arrivals import MOST_BYTES, MOST_FILES, decide_landing, landing_arrivals
from smartgrid_core.protocols import Arrival


class Folder:
    """A landing folder with a fixed content."""

    def __init__(self, *arrivals: Arrival) -> None:
        self.content = list(arrivals)

    def list_arrivals(self) -> list[Arrival]:
        return self.content

    def land(self, names: list[str]) -> list[dict[str, int]]:
        raise AssertionError("a sensor lands nothing")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(folder: Folder, *, cursor: str | None = None, instance: dg.DagsterInstance):
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    return landing_arrivals(context, landing=folder)


def test_waiting_files_are_one_request(instance):
    result = tick(Folder(Arrival("a.csv", "1"), Arrival("b.csv", "2")), instance=instance)
    (request,) = result.run_requests
    assert request.run_config == {
        "ops": {"land_waiting_files": {"config": {"names": ["a.csv", "b.csv"]}}}
    }
    assert result.cursor == '{"1": 1, "2": 1}'


def test_an_empty_folder_asks_for_nothing_and_forgets(instance):
    result = tick(Folder(), cursor='{"1": 2}', instance=instance)
    assert (result.run_requests, result.cursor) == ([], "{}")


def test_a_file_that_was_given_up_is_named(instance):
    folder = Folder(Arrival("bad.csv", "1"))
    result = tick(folder, cursor='{"1": 3}', instance=instance)
    assert result.run_requests == []
    assert result.skip_reason.skip_message == (
        "given up after 3 attempts: bad.csv; the runs of land_files say why. "
        "Touch a file to have it tried again, or remove it"
    )


def test_while_files_are_landed_nothing_is_requested(instance):
    instance.add_run(
        dg.DagsterRun(job_name="land_files", run_id="r1", status=dg.DagsterRunStatus.STARTED)
    )
    assert isinstance(tick(Folder(Arrival("a.csv", "1")), instance=instance), dg.SkipReason)


def test_a_changed_file_is_another_fact():
    first = decide_landing([Arrival("a.csv", "1")], before={})
    changed = decide_landing([Arrival("a.csv", "2")], before=first.cursor)
    assert (first.names, changed.names) == (["a.csv"], ["a.csv"])
    assert first.run_key != changed.run_key


def test_a_file_that_failed_three_times_is_left_alone_and_does_not_hold_up_others():
    decision = decide_landing([Arrival("bad.csv", "1"), Arrival("good.csv", "2")], before={"1": 3})
    assert (decision.names, decision.cursor) == (["good.csv"], {"1": 3, "2": 1})


def test_a_run_takes_no_more_than_its_batch():
    arrivals = [Arrival(f"{number}.csv", str(number)) for number in range(MOST_FILES + 5)]
    assert len(decide_landing(arrivals, before={}).names) == MOST_FILES


def test_a_run_takes_files_up_to_a_size_and_a_larger_one_alone():
    half = MOST_BYTES // 2
    small = [Arrival(f"{number}.csv", str(number), half) for number in range(3)]
    huge = [Arrival("huge.csv", "h", MOST_BYTES * 4), *small]
    assert decide_landing(small, before={}).names == ["0.csv", "1.csv"]
    assert decide_landing(small, before={"0": 3}).names == ["1.csv", "2.csv"]
    assert decide_landing(huge, before={}).names == ["huge.csv"]


def test_copies_of_one_content_are_landed_once():
    assert decide_landing([Arrival("a.csv", "1"), Arrival("b.csv", "1")], before={}).names == [
        "b.csv"
    ]
