from pathlib import Path

import pytest
import yaml

from smartgrid_cli.machine.home import Home
from smartgrid_cli.machine.processes import write_dagster_home

ENVIRONMENT = {
    "SMARTGRID_DAGSTER_URL": "postgresql://u:hunter2@127.0.0.1:5432/dagster",
    "SMARTGRID_COMPUTE_LOGS": "/tmp/logs",  # noqa: S108 - never written to
    "SMARTGRID_DAGSTER_ARTIFACTS": "/tmp/artifacts",  # noqa: S108 - never written to
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path).make()


def test_the_workspace_points_at_the_code_location(home: Home):
    workspace = write_dagster_home(home, code_port=4300)
    assert yaml.safe_load(workspace.read_text()) == {
        "load_from": [
            {"grpc_server": {"host": "127.0.0.1", "port": 4300, "location_name": "smartgrid"}}
        ]
    }


def test_dagster_accepts_its_configuration_and_no_secret_stands_in_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    from dagster._core.instance.config import dagster_instance_config

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    write_dagster_home(home, code_port=4300)
    config, _ = dagster_instance_config(str(home.dagster))
    assert config["telemetry"] == {"enabled": False}
    assert config["run_retries"]["enabled"]
    assert config["run_monitoring"]["enabled"]
    assert set(config["retention"]) == {"schedule", "sensor", "auto_materialize"}
    assert config["run_coordinator"]["class"] == "QueuedRunCoordinator"
    storage = config["storage"]["custom"]["config"]
    assert storage["postgres_url"] == {"env": "SMARTGRID_DAGSTER_URL"}
    assert config["run_launcher"]["config"] == {"socket": str(home.run / "warm.sock")}
    assert not any(
        "hunter2" in file.read_text() for file in home.dagster.iterdir() if file.is_file()
    )
