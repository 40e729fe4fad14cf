"""How MLflow's tracking server is started: command line and environment, nothing run here."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """What to start (`argv`), with which additions to the environment, and where it answers."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    url: str

    @property
    def health_url(self) -> str:
        """Answers 200 as soon as the server takes requests."""
        return f"{self.url}/health"


def build_server_command(
    *,
    backend_url: str,
    artifact_root: str,
    port: int,
    host: str = LOCAL,
    allowed_hosts: tuple[str, ...] = (),
) -> ServerCommand:
    """Return how MLflow's tracking server is started over a database.

    Artifacts go through the server into `artifact_root`.

    Args:
        backend_url: `postgresql://...` or `sqlite:////...`; passed in the environment, because a
            command line shows its password to every user of the machine.
        artifact_root: An absolute folder or `s3://bucket/prefix`.
        port: TCP port to listen at.
        host: Address to listen at.
        allowed_hosts: Names besides localhost by which clients reach the server.

    >>> build_server_command(backend_url="sqlite:////x.db", artifact_root="/a", port=5500).url
    'http://127.0.0.1:5500'
    """
    named = ("--allowed-hosts", ",".join(allowed_hosts)) if allowed_hosts else ()
    return ServerCommand(
        argv=(
            *(sys.executable, "-m", "smartgrid_io.mlflow.tracking_server"),
            *("--host", host, "--port", str(port)),
            *named,
        ),
        env={
            "MLFLOW_BACKEND_STORE_URI": backend_url,
            "MLFLOW_ARTIFACTS_DESTINATION": artifact_root,
            # Its job queue, seven further processes, serves evaluation of language models.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        url=f"http://{LOCAL if host == '0.0.0.0' else host}:{port}",  # noqa: S104 - compared only
    )
