import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver.webserver import DagsterWebserver
from rich.console import Console

from smartgrid_assets.models.trials import report_progress
from smartgrid_cli.dagster_api import step_reports
from smartgrid_cli.dagster_api.client import DagsterClient
from smartgrid_cli.dagster_api.records import Observation, Run, Step
from smartgrid_cli.dagster_api.step_reports import StepReports, describe_report, shorten_sentence
from smartgrid_cli.display.progress import ProgressDisplay
from smartgrid_ml.progress import FitProgress, SearchProgress, TrainingProgress, to_facts

TWO_TRIALS = SearchProgress("tpot", 2, 0.75, left_s=40.0)
OVER = SearchProgress("tpot", 3, 0.5, left_s=0.0, ended="failed (exit code 1): token=secret")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(
        str(tmp_path), overrides={"telemetry": {"enabled": False}}
    ) as kept:
        yield kept


@pytest.fixture
def client(instance: dg.DagsterInstance) -> Iterator[DagsterClient]:
    """Dagster's own web server over the records of the instance."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        app = DagsterWebserver(workspace).create_asgi_app()

        async def ask(request: httpx.Request) -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as server:
                return await server.post(
                    request.url, content=request.content, headers=request.headers
                )

        def respond(request: httpx.Request) -> httpx.Response:
            answer = asyncio.run(ask(request))
            return httpx.Response(
                answer.status_code, content=answer.content, headers=answer.headers
            )

        client = DagsterClient("http://dagster.test", patience_s=0.0)
        client._client.http = httpx.Client(
            base_url="http://dagster.test", transport=httpx.MockTransport(respond)
        )
        yield client


def train(instance: dg.DagsterInstance, *reported: TrainingProgress) -> str:
    """Run an asset that reports this; return the run."""

    @dg.asset
    def load_backtest(context: dg.AssetExecutionContext) -> None:
        for progress in reported:
            report_progress(context, progress)

    return dg.materialize([load_backtest], instance=instance).run_id


def as_run(run_id: str) -> Run:
    return Run(run_id, "train_models", "STARTED", {}, created=0.0, started=0.0, ended=None)


def test_a_run_says_by_events_how_far_its_training_is(
    instance: dg.DagsterInstance, client: DagsterClient
):
    began = time.time()
    train(instance, FitProgress("keras"))
    reported = [FitProgress("tpot", 8, 10, 1, 3), TWO_TRIALS, OVER]
    run_id = train(instance, *reported)

    observed = client.list_observations("load_backtest", run_id=run_id, after=began)

    assert [each.facts for each in observed] == [to_facts(each) for each in reported]
    last = observed[-1].observed
    assert client.list_observations("load_backtest", run_id=run_id, after=last)[-1] == observed[-1]
    assert client.list_observations("load_backtest", run_id=run_id, after=last + 1) == []
    assert client.list_observations("nothing_known", run_id=run_id, after=began) == []


def test_a_search_that_ended_is_named_once_and_its_training_goes_on(
    instance: dg.DagsterInstance, client: DagsterClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(step_reports, "LISTEN_EVERY_S", 0.0)
    began = time.time() - 60
    run_id = train(instance, FitProgress("tpot", 8, 10, 1, 3), TWO_TRIALS, OVER)
    steps = [
        Step("load_features", "SUCCESS", began, began + 30),
        Step("load_backtest", "IN_PROGRESS", began, None),
        Step("load_model", "IN_PROGRESS", time.time(), None),
    ]
    reports = StepReports(client)

    described, ended = reports.read(as_run(run_id), steps)
    _, ended_again = reports.read(as_run(run_id), steps)

    assert [step.about for step in described] == [
        "",
        "trains tpot (model 8 of 10, fold 1 of 3)",
        "",
    ]
    assert ended == ["tpot tried 3 models, best MAE 0.5 (failed (exit code 1))"]
    assert ended_again == []


class Silent:
    """Counts how often it is asked."""

    asked = 0

    def list_observations(self, asset: str, *, run_id: str, after: float) -> list[Observation]:
        self.asked += 1
        return [Observation(after, {"rows": 3})]


def test_a_step_is_asked_now_and_then_and_may_say_nothing():
    silent = Silent()
    reports = StepReports(silent)
    step = Step("load_backtest", "IN_PROGRESS", time.time() - 60, None)

    answers = [reports.read(as_run("r1"), [step]) for _ in range(3)]

    assert answers == [([step], [])] * 3
    assert silent.asked == 1


def test_seconds_run_down_between_two_reports():
    assert describe_report(TWO_TRIALS, 1000.0, now=1030.0) == (
        "tpot searches: trial 2, best so far MAE 0.75, 10 s left"
    )
    assert describe_report(TWO_TRIALS, 1000.0, now=1050.0) == (
        "tpot searches: trial 2, best so far MAE 0.75, its time is up"
    )
    assert len(shorten_sentence("word \n" * 100)) == step_reports.LONGEST_SENTENCE


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_a_step_says_is_shown_as_plain_text(
    is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("smartgrid_cli.display.progress.SIGN_OF_LIFE_S", 0.0)
    about = "[red]tpot[/red] searches: no trial yet, 20 s left"
    step = Step("load_backtest", "IN_PROGRESS", time.time() - 60, None, about)
    console = Console(force_terminal=is_terminal, width=120, highlight=False)

    with ProgressDisplay(console) as progress:
        progress.show_runs([(as_run("r1"), [step])], "")
        progress.keep("  [b]h2o[/b] tried 1 model")

    printed = capsys.readouterr().out
    assert "[red]tpot[/red] searches: no trial yet, 20 s left" in printed
    assert "  [b]h2o[/b] tried 1 model" in printed
    if not is_terminal:
        assert printed.startswith("  ... train_models: load_backtest [red]tpot")
