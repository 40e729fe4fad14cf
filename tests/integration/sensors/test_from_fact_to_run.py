"""Sensors on a real database: a file lands, its days re-open, an exceedance reaches a receiver."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.test_utils import instance_for_test
from pydantic import SecretStr

from resources.wiring import build_resources
from sensors.alerts import new_exceedances, waiting_messages
from sensors.arrivals import landing_arrivals
from sensors.late_readings import late_readings
from smartgrid_assets.alerts.assets import alerts, limit_exceedances
from smartgrid_assets.alerts.checks import exceedances_have_ground
from smartgrid_assets.alerts.delivery import deliver_alerts
from smartgrid_assets.landing import land_files
from smartgrid_assets.partitions import DAY
from smartgrid_core.contracts.alerts import LimitExceedances, Outbox
from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.readings import MeterReadings
from smartgrid_core.settings import Settings
from smartgrid_io.postgres.warehouse import PostgresWarehouse

NOW = datetime(2026, 3, 10, 0, 30, tzinfo=UTC)


class Clock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time


class Receiver(ThreadingHTTPServer):
    """Takes every post and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Post)
        self.posts: list[tuple[str, dict[str, object]]] = []


class Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.headers["Idempotency-Key"], json.loads(body)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def handles(
    warehouse: PostgresWarehouse, tmp_path: Path, receiver: Receiver
) -> Iterator[dict[str, object]]:
    """Real resources on an empty database, a folder and a receiver of the test's own."""
    given = {
        "settings": Settings(
            _env_file=None,
            home=tmp_path,
            landing_dir=tmp_path / "landing",
            database_url=SecretStr(warehouse.url),
            webhook_url=f"http://127.0.0.1:{receiver.server_address[1]}/hook",
            first_day=date(2026, 1, 1),
            last_day=date(2026, 3, 10),
            landing_grace_s=60.0,
        ),
        "warehouse": warehouse,
        "clock": Clock(),
    }
    (tmp_path / "landing").mkdir()
    wired = build_resources(**given)
    names = ("landing", "alert_store", "lake")
    with dg.build_resources({name: wired[name] for name in names}) as built:
        yield given | {name: getattr(built, name) for name in names}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(sensor: dg.SensorDefinition, handles, instance, *names: str, cursor: str | None = None):
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    return sensor(context, **{name: handles[name] for name in names})


def test_a_file_lands_once_and_its_days_are_reopened(handles, instance):
    folder = handles["settings"].landing_place
    (folder / "meters.csv").write_text(
        "meter_id,reading,timestamp\n"
        "M1,100.0,2026-03-02T00:00:00Z\nM1,100.5,2026-03-02T00:15:00Z\nM1,spoilt,2026-03-02T00:30Z\n"
    )
    handles["clock"].time = datetime.now(UTC)
    growing = tick(landing_arrivals, handles, instance, "landing")
    handles["clock"].time += timedelta(minutes=2)
    arrived = tick(landing_arrivals, handles, instance, "landing", cursor=growing.cursor)
    (request,) = arrived.run_requests
    result = land_files.execute_in_process(
        run_config=request.run_config, resources={"landing": handles["landing"]}
    )
    again = tick(landing_arrivals, handles, instance, "landing", cursor=arrived.cursor)
    reopened = tick(late_readings, handles, instance, "warehouse", "settings", "clock")

    assert growing.run_requests == []
    assert result.success
    assert handles["warehouse"].read(MeterReadings)["reading"].to_list() == [100.0, 100.5]
    assert again.run_requests == []
    assert "2026-03-02" in [each.partition_key for each in reopened.run_requests]
    late = tick(
        late_readings,
        handles,
        instance,
        "warehouse",
        "settings",
        "clock",
        cursor=reopened.cursor,
    )
    assert late.run_requests == []


def test_what_lands_while_its_day_is_computed_has_the_day_computed_again(handles, instance):
    asked = ("warehouse", "settings", "clock")
    folder, landing = handles["settings"].landing_place, handles["landing"]
    for name, quarter in (("first.csv", "00:15"), ("second.csv", "00:30")):
        (folder / name).write_text(
            f"meter_id,reading,timestamp\nM1,100.5,2026-03-02T{quarter}:00Z\n"
        )
    assert [report["status"] for report in landing.land(["first.csv"])] == ["landed"]
    first = tick(late_readings, handles, instance, *asked)
    (request,) = first.run_requests
    run = {"job_name": "refresh_days", "tags": {"dagster/run_key": request.run_key}}
    instance.add_run(dg.DagsterRun(**run, run_id="r1", status=dg.DagsterRunStatus.STARTED))
    assert [report["status"] for report in landing.land(["second.csv"])] == ["landed"]
    meanwhile = tick(late_readings, handles, instance, *asked, cursor=first.cursor)
    assert isinstance(meanwhile, dg.SkipReason)
    instance.delete_run("r1")
    instance.add_run(dg.DagsterRun(**run, run_id="r1", status=dg.DagsterRunStatus.SUCCESS))
    after = tick(late_readings, handles, instance, *asked, cursor=first.cursor)
    assert [each.partition_key for each in (request, *after.run_requests)] == ["2026-03-02"] * 2


@pytest.fixture
def kept_instance(warehouse: PostgresWarehouse) -> Iterator[dg.DagsterInstance]:
    """Dagster with its records in PostgreSQL, as a home has it."""
    storage = {
        "module": "smartgrid_cli.dagster_host.pooled_storage",
        "class": "PooledPostgresStorage",
        "config": {"postgres_url": warehouse.url},
    }
    with instance_for_test(overrides={"storage": {"custom": storage}}) as instance:
        yield instance


@dg.asset(name="limit_exceedances", partitions_def=DAY)
def miscalculated_exceedances(warehouse: dg.ResourceParam[PostgresWarehouse]) -> None:
    """An exceedance whose probability its forecast does not give."""
    warehouse.upsert(LimitExceedances, an_exceedance(NOW.replace(minute=0), probability=0.4))


def an_exceedance(issue: datetime, *, probability: float) -> pl.DataFrame:
    """Rows of `LimitExceedances`: the evening of F1 may cross its rating of 400 kW."""
    row = {
        "feeder_id": "F1",
        "issue_time": issue,
        "hour_start": issue + timedelta(hours=18),
        "rating_kw": 400.0,
        "p50_kw": 452.0,
        "p90_kw": 480.0,
        "probability": probability,
        "model": "load_forecaster",
    }
    return pl.DataFrame([row], schema=LimitExceedances.create_empty().schema)


def forecast_evening(handles: dict[str, object]) -> None:
    """Have the tree with F1 in the lake and the forecast of its evening in the warehouse."""
    node = dict.fromkeys(GridTopology.column_names())
    node |= {"node_id": "F1", "node_kind": "feeder", "name": "F1", "rating_kw": 400.0}
    node |= {"latitude": 41.3, "longitude": 19.8}
    handles["lake"].replace(
        GridTopology, pl.DataFrame([node], schema=GridTopology.create_empty().schema)
    )
    issue = NOW.replace(minute=0)
    row = {
        "feeder_id": "F1",
        "issue_time": issue,
        "hour_start": issue + timedelta(hours=18),
        "lead_hours": 18,
        "p10": 420.0,
        "p50": 452.0,
        "p90": 480.0,
        "model": "load_forecaster",
        "model_version": "3",
        "variant": "stable",
        "created_at": issue,
    }
    handles["warehouse"].upsert(
        LoadForecasts, pl.DataFrame([row], schema=LoadForecasts.create_empty().schema)
    )


def test_exceedances_without_ground_warn_nobody_until_they_are_computed_anew(
    handles, kept_instance
):
    handles["clock"].time = NOW
    forecast_evening(handles)

    def run(*what: object) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            list(what),
            partition_key="2026-03-10",
            instance=kept_instance,
            resources={
                name: handles[name]
                for name in ("lake", "warehouse", "alert_store", "settings", "clock")
            },
            raise_on_error=False,
        )

    def look():
        return tick(new_exceedances, handles, kept_instance, "warehouse", "settings", "clock")

    assert not run(miscalculated_exceedances, exceedances_have_ground).success
    held = look()
    assert run(limit_exceedances, exceedances_have_ground).success
    released = look()
    assert run(alerts).success
    after = look()

    assert held.run_requests == []
    assert held.skip_reason.skip_message.startswith(
        "2026-03-10: exceedances_have_ground failed (1 rows have another probability"
    )
    assert [request.partition_key for request in released.run_requests] == ["2026-03-10"]
    assert after.run_requests == []


def test_an_exceedance_is_posted_once(handles, instance, receiver):
    handles["clock"].time = NOW
    warehouse, book = handles["warehouse"], handles["alert_store"]
    warehouse.upsert(LimitExceedances, an_exceedance(NOW.replace(minute=0), probability=0.87))
    instance.report_runless_asset_event(
        dg.AssetMaterialization("limit_exceedances", partition="2026-03-10")
    )
    names = ("warehouse", "settings", "clock")
    found = tick(new_exceedances, handles, instance, *names)
    (request,) = found.run_requests
    decided = dg.materialize(
        [alerts],
        partition_key=request.partition_key,
        instance=instance,
        resources={
            name: handles[name] for name in ("warehouse", "alert_store", "settings", "clock")
        },
    )
    again = tick(new_exceedances, handles, instance, *names, cursor=found.cursor)
    waiting = tick(waiting_messages, handles, instance, "alert_store", "clock")
    deliver_alerts.execute_in_process(resources={"alert_store": book, "clock": handles["clock"]})
    silent = tick(waiting_messages, handles, instance, "alert_store", "clock")

    assert request.partition_key == "2026-03-10"
    assert decided.success
    assert again.run_requests == []
    assert (len(waiting.run_requests), silent.run_requests) == (1, [])
    ((key, payload),) = receiver.posts
    assert key == warehouse.read(Outbox)["message_id"].item()
    assert (payload["subject_id"], payload["severity"]) == ("F1", "critical")
    assert payload["message"].startswith("Feeder F1 may exceed its rating of 400 kW on 2026-03-10")
