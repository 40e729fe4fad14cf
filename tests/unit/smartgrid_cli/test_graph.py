import json
from datetime import date

import httpx
import pytest

from smartgrid_cli import graph as module
from smartgrid_cli.graph import Graph, GraphError


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch):
    """A Graph whose server gives the same answer to everything, and what it was asked."""

    def build(answer: object, *, status: int = 200) -> tuple[Graph, list[dict[str, object]]]:
        asked: list[dict[str, object]] = []

        def respond(request: httpx.Request) -> httpx.Response:
            asked.append(json.loads(request.content))
            return httpx.Response(status, json=answer)

        graph = Graph("http://dagster.test")
        graph._client = httpx.Client(
            base_url="http://dagster.test", transport=httpx.MockTransport(respond)
        )
        return graph, asked

    return build


def test_a_run_over_days_carries_the_range(answering):
    graph, asked = answering(
        {"data": {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "r1"}}}}
    )
    days = (date(2026, 3, 1), date(2026, 3, 9))
    assert graph.launch("refresh_days", days=days, tags={"who": "demo"}) == "r1"
    params = asked[0]["variables"]["params"]
    assert params["selector"]["pipelineName"] == "refresh_days"
    assert params["executionMetadata"]["tags"] == [
        {"key": "who", "value": "demo"},
        {"key": "dagster/asset_partition_range_start", "value": "2026-03-01"},
        {"key": "dagster/asset_partition_range_end", "value": "2026-03-09"},
    ]


def test_a_refused_run_is_an_error_in_dagsters_words(answering):
    graph, _ = answering(
        {"data": {"launchRun": {"__typename": "PipelineNotFoundError", "message": "no such job"}}}
    )
    with pytest.raises(GraphError, match="does not start nap: no such job"):
        graph.launch("nap", tags={})


def test_a_failure_inside_dagster_is_an_error(answering):
    graph, _ = answering({"data": {"runsOrError": {"__typename": "PythonError", "message": "x"}}})
    with pytest.raises(GraphError, match="failed at runsOrError: x"):
        graph.runs()


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

    ordered = module._sorted([node("c", "b", "elsewhere"), node("b", "a"), node("a")])
    assert [one["assetKey"]["path"][0] for one in ordered] == ["a", "b", "c"]
    asset = module._asset(ordered[0], None)
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
    assert not module._asset({**plain, "assetKey": key}, latest).is_failed
    assert module._asset({**plain, "assetKey": other}, latest).is_failed
