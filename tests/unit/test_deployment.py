import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
SECRETS = {"POSTGRES_PASSWORD": "p4ss", "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "s3cret"}


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMPOSE), "-f", str(ROOT / "docker-compose.yml"), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    """The services as compose's own parser understands them."""
    parsed = compose("config", "--format", "json", **SECRETS)
    assert parsed.returncode == 0, parsed.stderr
    return json.loads(parsed.stdout)["services"]


def test_the_machine_in_containers_has_all_its_parts(services):
    assert set(services) == {
        *("postgres", "s3", "prepare", "mlflow", "model-server"),
        *("code", "dagster-webserver", "dagster-daemon"),
    }
    assert services["model-server"]["image"].startswith("tensorflow/serving:")


def test_every_lasting_service_has_a_health_check(services):
    without = [name for name, service in services.items() if "healthcheck" not in service]
    assert without == ["prepare"]


def test_every_published_port_is_on_localhost(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 6
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


@pytest.mark.parametrize("secret", sorted(SECRETS))
def test_no_secret_has_a_default(secret: str):
    parsed = compose("config", "-q", **{k: v for k, v in SECRETS.items() if k != secret})
    assert parsed.returncode != 0
    assert f"required variable {secret} is missing a value" in parsed.stderr


def test_what_the_services_mount_is_there(services):
    for service in services.values():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).is_file()


def test_tensorflow_serving_follows_the_config_that_is_published(services):
    server = services["model-server"]
    assert "--model_config_file=/models/models.config" in server["command"]
    assert "--allow_version_labels_for_unavailable_models=true" in server["command"]
    assert services["code"]["environment"]["SMARTGRID_MODEL_DIR"] == "/models"
    assert 'ensure_config("/models")' in services["prepare"]["command"][-1]
    places = {(volume["source"], volume["target"]) for volume in server["volumes"]}
    assert ("models", "/models") in places


def test_the_images_instance_is_the_one_that_runs_here():
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    assert "smartgrid_cli/machine/dagster.yaml" in dockerfile
    server = yaml.safe_load((ROOT / "deploy/docker/workspace.yaml").read_text())
    assert server["load_from"][0]["grpc_server"] == {
        "host": "code",
        "port": 4266,
        "location_name": "smartgrid",
    }


def test_the_lock_file_pins_and_hashes_and_names_no_host():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if line and line[0] not in " #"]
    assert len(pins) > 100
    assert [pin for pin in pins if "==" not in pin] == []
    assert [line for line in lines if "://" in line or "index-url" in line] == []
    hashed = sum("--hash=sha256:" in line for line in lines)
    assert hashed > len(pins)
