import json
from datetime import date
from typing import Any

import httpx
import pytest

from smartgrid_cli.dagster_api.client import LAUNCH, LOOKUPS, DagsterClient
from smartgrid_cli.dagster_api.records import Check, sort_upstream_first, to_asset
from smartgrid_cli.dagster_api.transport import DagsterApiError, DagsterUnreachableError
from smartgrid_core.errors import ServerError

Answer = dict[str, object] | Exception

LAUNCHED: Answer = {
    "data": {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "r1"}}}
}
NO_RUNS: Answer = {"data": {"runsOrError": {"__typename": "Runs", "results": []}}}
DATABASE_GONE: Answer = {
    "data": None,
    "errors": [{"message": "server closed the connection", "path": ["runsOrError"]}],
}
THE_RUN: Answer = {
    "data": {
        "runsOrError": {
            "__typename": "Runs",
            "results": [
                {
                    "runId": "r1",
                    "jobName": "nap",
                    "status": "QUEUED",
                    "tags": [],
                    "creationTime": 1.0,
                    "startTime": None,
                    "endTime": None,
                }
            ],
        }
    }
}


@pytest.fixture
def answering():
    """A Graph whose server answers in turn (the last for ever), and what it was asked."""

    def build(
        *answers: Answer, patience_s: float = 0.0, **options: Any
    ) -> tuple[DagsterClient, list[dict[str, Any]]]:
        asked: list[dict[str, Any]] = []

        def respond(request: httpx.Request) -> httpx.Response:
            asked.append(json.loads(request.content))
            answer = answers[min(len(asked), len(answers)) - 1]
            if isinstance(answer, Exception):
                raise answer
            return httpx.Response(200, json=answer)

        graph = DagsterClient("http://dagster.test", patience_s=patience_s, look_s=0.0, **options)
        graph._client.http = httpx.Client(
            base_url="http://dagster.test", transport=httpx.MockTransport(respond)
        )
        return graph, asked

    return build


def test_a_run_over_days_carries_the_range(answering):
    graph, asked = answering(LAUNCHED)
    days = (date(2026, 3, 1), date(2026, 3, 9))
    assert graph.launch("refresh_days", days=days, tags={"who": "demo"}) == "r1"
    params = asked[0]["variables"]["params"]
    assert params["selector"]["pipelineName"] == "refresh_days"
    tags = {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]}
    assert tags.pop(LAUNCH)
    assert tags == {
        "who": "demo",
        "dagster/asset_partition_range_start": "2026-03-01",
        "dagster/asset_partition_range_end": "2026-03-09",
    }


@pytest.mark.slow
def test_a_question_is_asked_again_until_the_database_is_back(answering):
    gone = httpx.ConnectError("refused")
    graph, asked = answering(gone, DATABASE_GONE, NO_RUNS, patience_s=30.0)
    assert graph.list_runs() == []
    assert len(asked) == 3


def test_patience_ends_with_dagsters_words(answering):
    graph, _ = answering(DATABASE_GONE)
    with pytest.raises(DagsterUnreachableError, match="server closed the connection"):
        graph.list_runs()


def test_nobody_waits_for_a_process_that_is_given_up(answering):
    def given_up() -> None:
        raise ServerError("postgres died 9 times and is given up")

    graph, _ = answering(DATABASE_GONE, patience_s=30.0, while_away=given_up)
    with pytest.raises(ServerError, match="given up"):
        graph.list_runs()


def test_a_question_that_graphql_refuses_is_asked_once(answering):
    graph, asked = answering({"errors": [{"message": "no field naps"}]}, patience_s=30.0)
    with pytest.raises(DagsterApiError, match="no field naps"):
        graph.list_runs()
    assert len(asked) == 1


def test_a_launch_whose_answer_was_lost_is_not_launched_again(answering):
    graph, asked = answering(httpx.ReadError("reset"), THE_RUN)
    assert graph.launch("nap", tags={}) == "r1"
    mark = asked[0]["variables"]["params"]["executionMetadata"]["tags"][0]
    assert asked[1]["variables"]["filter"] == {"tags": [mark]}
    assert len(asked) == 2


def test_a_launch_that_hung_and_is_on_record_later_is_not_launched_again(answering):
    graph, asked = answering(httpx.ReadTimeout("slow"), NO_RUNS, THE_RUN)
    assert graph.launch("nap", tags={}) == "r1"
    assert len(asked) == 3


def test_a_launch_that_did_not_arrive_is_launched_again(answering):
    graph, asked = answering(
        httpx.ConnectError("refused"), *[NO_RUNS] * LOOKUPS, LAUNCHED, patience_s=30.0
    )
    assert graph.launch("nap", tags={}) == "r1"
    assert asked[0] == asked[-1]


def test_assets_of_open_backfills_are_named_once(answering):
    chosen = [["load_features", "anomalies"], ["load_features"], None]
    results = [{"assetSelection": keys and [{"path": [name]} for name in keys]} for keys in chosen]
    graph, asked = answering(
        {
            "data": {
                "partitionBackfillsOrError": {
                    "__typename": "PartitionBackfills",
                    "results": results,
                }
            }
        }
    )
    assert graph.list_backfilled() == ["anomalies", "load_features"]
    assert "statuses: [REQUESTED]" in asked[0]["query"]


def test_a_refused_run_is_an_error_in_dagsters_words(answering):
    graph, _ = answering(
        {"data": {"launchRun": {"__typename": "PipelineNotFoundError", "message": "no such job"}}}
    )
    with pytest.raises(DagsterApiError, match="does not start nap: no such job"):
        graph.launch("nap", tags={})


def test_a_failure_inside_dagster_is_an_error(answering):
    graph, _ = answering({"data": {"runsOrError": {"__typename": "PythonError", "message": "x"}}})
    with pytest.raises(DagsterApiError, match="failed at runsOrError: x"):
        graph.list_runs()


def test_assets_come_upstream_first_with_their_days():
    def node(name: str, *needs: str) -> dict[str, object]:
        return {
            "assetKey": {"path": [name]},
            "groupName": "g",
            "jobNames": ["refresh_days", "__ASSET_JOB"],
            "isPartitioned": True,
            "isMaterializable": True,
            "dependencyKeys": [{"path": [need]} for need in needs],
            "partitionKeys": ["2026-03-01", "2026-03-02", "2026-03-03"],
            "assetPartitionStatuses": {
                "ranges": [
                    {"startKey": "2026-03-01", "endKey": "2026-03-02", "status": "MATERIALIZED"},
                    {"startKey": "2026-03-03", "endKey": "2026-03-03", "status": "FAILED"},
                ]
            },
        }

    ordered = sort_upstream_first([node("c", "b", "elsewhere"), node("b", "a"), node("a")])
    assert [one["assetKey"]["path"][0] for one in ordered] == ["a", "b", "c"]
    asset = to_asset(ordered[0], None)
    assert asset.jobs == ("refresh_days",)
    assert asset.done == {date(2026, 3, 1), date(2026, 3, 2)}
    assert asset.failed == {date(2026, 3, 3)}
    assert (asset.first_day, asset.last_day) == (date(2026, 3, 1), date(2026, 3, 3))


def test_an_unpartitioned_asset_failed_only_if_its_last_run_did_not_make_it():
    key, other = {"path": ["load_model"]}, {"path": ["served_model"]}
    plain = {
        "groupName": "models",
        "jobNames": ["train_models"],
        "isPartitioned": False,
        "partitionKeys": [],
        "assetPartitionStatuses": None,
    }
    latest = {
        "latestMaterialization": {"timestamp": "1"},
        "latestRun": {
            "status": "FAILURE",
            "assetSelection": [key, other],
            "assetMaterializations": [{"assetKey": key}],
        },
    }
    assert not to_asset({**plain, "assetKey": key}, latest).is_failed
    assert to_asset({**plain, "assetKey": other}, latest).is_failed


@pytest.mark.parametrize(
    ("is_blocking", "severity", "blocks"),
    [(True, "ERROR", True), (True, None, True), (True, "WARN", False), (False, "ERROR", False)],
)
def test_a_refusal_that_only_warns_stops_nothing(is_blocking, severity, blocks):
    check = Check("promotion_decision", "gate", is_blocking, "FAILED", severity, "refused")
    assert check.is_refused
    assert check.blocks is blocks
