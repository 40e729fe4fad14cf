"""Which processes the machine consists of, with which settings, and who needs whom."""

import hashlib
import os
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from smartgrid_cli.machine.child_process import TREE_VARIABLE, CommandChild
from smartgrid_cli.machine.databases import Databases
from smartgrid_cli.machine.home import Home
from smartgrid_cli.machine.image_child import CODE_MODULE, find_image_socket
from smartgrid_cli.machine.log_rotation import LogRotation
from smartgrid_cli.machine.lost_runs import LostRuns
from smartgrid_cli.machine.probes import make_http_probe, make_port_probe
from smartgrid_cli.machine.supervisor import Service, Supervisor
from smartgrid_cli.machine.tcp_ports import LOCALHOST, MovedPort, choose_ports
from smartgrid_core.errors import ServerError
from smartgrid_core.settings import Ports, Settings
from smartgrid_io.mlflow.server import build_server_command
from smartgrid_io.serving.model_repository import ensure_config
from smartgrid_services.model_server import launch
from smartgrid_services.model_server.options import ServerOptions

CODE_PORT = 4266
"""The code location's gRPC; nobody but Dagster talks to it."""
DAGSTER_YAML = Path(__file__).with_name("dagster.yaml")


@dataclass(frozen=True, slots=True)
class Machine:
    """The supervisor of all processes, and how to reach them.

    Attributes:
        supervisor: Starts, watches and stops the processes.
        moved: Processes that answer at another port than they are known for.
    """

    supervisor: Supervisor
    environment: dict[str, str]
    """What a process needs to find everything; holds the database's password."""
    addresses: dict[str, str]
    """Who answers where; holds no secret."""
    moved: list[MovedPort]

    def raise_if_given_up(self) -> None:
        """Raises ServerError if a process that was started again and again is given up."""
        if self.supervisor.given_up:
            raise ServerError("; ".join(self.supervisor.given_up))


def build_machine(
    settings: Settings,
    ports: Ports,
    *,
    reserve: Callable[[int], bool],
    home: Home,
    databases: Databases,
    image: CommandChild,
    say: Callable[[str], None],
    code_module: str = CODE_MODULE,
    held: Collection[str] = (),
    overrides: Mapping[str, str] | None = None,
) -> Machine:
    """Return every process beside the database, which already runs; nothing else is started yet.

    Args:
        settings: Where everything lies.
        ports: The TCP ports that processes are known for.
        reserve: Returns whether a TCP port is free, and keeps it so for us.
        home: The home folder.
        databases: The databases, which answer.
        image: The warm image, which may be starting already.
        say: Called with what happens, for people.
        code_module: Module of the definitions that Dagster loads.
        held: Names of the processes that wait for their release.
        overrides: Further environment variables of all processes (the demo's first and last day).
    """
    wanted = {**ports.model_dump(), "dagster_code": CODE_PORT}
    del wanted["postgres"]
    granted, moved = choose_ports(wanted, free=reserve)
    addresses = _list_addresses(granted, databases)
    workspace = write_dagster_home(home, code_port=granted["dagster_code"])
    environment = {**_build_environment(home, databases, addresses), **(overrides or {})}
    ensure_config(settings.model_place)
    plan = _ServicePlan(home, databases, granted, environment, addresses, settings.model_place)
    services = [
        Service(image, state="starting" if image.is_alive() else "waiting"),
        *plan.plan_stores(),
        *plan.plan_dagster(workspace=workspace, code_module=code_module),
    ]
    for service in services:
        if service.child.name in held:
            service.state = "held"
    supervisor = Supervisor.of(*services, say=say)
    supervisor.housekeeping = LogRotation(logs=home.logs).rotate_due
    return Machine(supervisor, environment, addresses, moved)


def _list_addresses(ports: Mapping[str, int], databases: Databases) -> dict[str, str]:
    """Return where each process answers; holds no secret."""
    return {
        "dagster": f"http://{LOCALHOST}:{ports['dagster']}",
        "mlflow": f"http://{LOCALHOST}:{ports['mlflow']}",
        "model_server": f"http://{LOCALHOST}:{ports['model_server_rest']}",
        "model_server_grpc": f"{LOCALHOST}:{ports['model_server_grpc']}",
        "data_docs": f"http://{LOCALHOST}:{ports['data_docs']}",
        "postgres": databases.address,
    }


def _build_environment(
    home: Home, databases: Databases, addresses: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of all processes; they hold the database's password."""
    return {
        "SMARTGRID_HOME": str(home.root),
        "SMARTGRID_DATABASE_URL": databases.product,
        "SMARTGRID_DAGSTER_URL": databases.dagster,
        "SMARTGRID_DAGSTER_UI_URL": addresses["dagster"],
        "SMARTGRID_MLFLOW_URL": addresses["mlflow"],
        "SMARTGRID_MODEL_SERVER_GRPC": addresses["model_server_grpc"],
        "SMARTGRID_MODEL_SERVER_REST": addresses["model_server"],
        "SMARTGRID_DATA_DOCS_URL": addresses["data_docs"],
        "SMARTGRID_COMPUTE_LOGS": str(home.dagster / "compute_logs"),
        "SMARTGRID_DAGSTER_ARTIFACTS": str(home.dagster),
        "DAGSTER_HOME": str(home.dagster),
        "MLFLOW_TRACKING_URI": addresses["mlflow"],
        # The events of a range of days are written together, not one by one.
        "DAGSTER_EVENT_BATCH_SIZE": "200",
        "PYTHONUNBUFFERED": "1",
    }


@dataclass(frozen=True, slots=True)
class _ServicePlan:
    """What every process is built from.

    Attributes:
        home: The home folder.
        databases: The databases, which answer.
        ports: TCP port of each process.
        environment: Variables of all processes.
        addresses: Where each process answers.
    """

    home: Home
    databases: Databases
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    addresses: Mapping[str, str]
    models: str
    """Where models are published: a folder, or an S3 URL."""

    @property
    def served_from(self) -> Path:
        """The model server's base path; of a bucket's models only the config lies there."""
        if self.models.startswith("s3://"):
            name = hashlib.sha256(self.models.encode()).hexdigest()[:12]
            return self.home.root / "mirrored" / name
        return Path(self.models.removeprefix("file://"))

    @property
    def image(self) -> Path:
        """Socket of the warm image."""
        return find_image_socket(self.home)

    @property
    def after_database(self) -> list[str]:
        """What a process that needs the database waits for; empty for a server of others."""
        return [] if self.databases.server is None else ["postgres"]

    def plan_stores(self) -> list[Service]:
        """Return the database, MLflow, the model server and the pages of the data checks."""
        pages = self.make_child(
            "data_docs",
            *("http.server", str(self.ports["data_docs"]), "--bind", LOCALHOST),
            *("--directory", str(self.home.data_docs)),
            ready=make_port_probe(self.ports["data_docs"]),
            port=self.ports["data_docs"],
        )
        mirror = self.make_child(
            "config_mirror",
            *("smartgrid_services.config_mirror", "--url", self.models),
            *("--folder", str(self.served_from)),
            ready=lambda: True,
        )
        own = [] if self.databases.server is None else [Service(self.databases.make_child())]
        return [
            *own,
            *([Service(mirror)] if self.models.startswith("s3://") else []),
            Service(pages),
            Service(self.make_model_server()),
            Service(self.make_mlflow(), needs=self.after_database),
        ]

    def make_mlflow(self) -> CommandChild:
        """Return MLflow's tracking server as a child."""
        mlflow = build_server_command(
            backend_url=self.databases.mlflow,
            artifact_root=str(self.home.root / "mlflow"),
            port=self.ports["mlflow"],
        )
        return CommandChild(
            "mlflow",
            mlflow.argv,
            home=self.home,
            environment={**self.environment, **mlflow.env},
            ready=make_http_probe(mlflow.health_url),
            port=self.ports["mlflow"],
        )

    def make_model_server(self) -> CommandChild:
        """Return the model server as a child."""
        options = ServerOptions(
            base_path=self.served_from,
            copies=self.home.root / "mirrored",
            rest_port=self.ports["model_server_rest"],
            grpc_port=self.ports["model_server_grpc"],
        )
        return CommandChild(
            "model_server",
            launch.build_command(options),
            home=self.home,
            environment=self.environment,
            ready=lambda: launch.read_health(self.addresses["model_server"]) == "serving",
            port=self.ports["model_server_rest"],
        )

    def plan_dagster(self, *, workspace: Path, code_module: str) -> list[Service]:
        """Return code location, web server and daemon, which are forked of the warm image.

        Runs are forked of it too, by the daemon, and end with it alone.
        """
        code_port, ui_port = self.ports["dagster_code"], self.ports["dagster"]
        lost = self.make_lost_runs()
        code = self.make_child(
            "dagster_code",
            *("dagster", "api", "grpc", "--module-name", code_module),
            *("--location-name", "smartgrid", "--host", LOCALHOST, "--port", str(code_port)),
            ready=lost.are_failed,
            port=code_port,
            before_start=lost.note,
            image=self.image,
        )
        webserver = self.make_child(
            "dagster",
            *("dagster_webserver", "-w", str(workspace)),
            *("--host", LOCALHOST, "--port", str(ui_port)),
            ready=make_http_probe(f"{self.addresses['dagster']}/server_info"),
            port=ui_port,
            image=self.image,
        )
        daemon = self.make_child(
            "dagster_daemon",
            *("smartgrid_cli.dagster_host.daemon", str(workspace)),
            ready=lambda: True,
            image=self.image,
        )
        return [
            Service(code, needs=["warm_image", *self.after_database]),
            Service(webserver, needs=["dagster_code"]),
            Service(daemon, needs=["dagster_code"]),
        ]

    def make_child(
        self,
        name: str,
        *module: str,
        ready: Callable[[], bool],
        port: int | None = None,
        before_start: Callable[[], None] | None = None,
        image: Path | None = None,
    ) -> CommandChild:
        """Return a Python module of this environment as a child.

        Args:
            name: Name of the process.
            module: The module and its arguments.
            ready: Whether the process answers.
            port: Port at which the process itself must listen to be ready; None for no such port.
            before_start: Called before each start.
            image: Socket of the warm image that it is forked of; None to start it anew.
        """
        return CommandChild(
            name,
            [sys.executable, "-m", *module],
            home=self.home,
            environment=self.environment,
            ready=ready,
            port=port,
            before_start=before_start,
            image=image,
        )

    def make_lost_runs(self) -> LostRuns:
        """Return what fails the runs of a code location that died."""
        return LostRuns(
            dagster_url=self.databases.dagster,
            code_port=self.ports["dagster_code"],
            image=self.image,
            environment={
                **os.environ,
                **self.environment,
                TREE_VARIABLE: f"{self.home.tree}/fail_lost_runs",
            },
            log=self.home.logs / "fail_lost_runs.log",
        )


def write_dagster_home(home: Home, *, code_port: int) -> Path:
    """Write DAGSTER_HOME's `dagster.yaml` and the workspace, whose path is returned.

    On this machine runs are forked of the warm image.
    """
    launcher = {
        "module": "smartgrid_cli.dagster_host.run_launcher",
        "class": "WarmRunLauncher",
        "config": {"socket": str(find_image_socket(home))},
    }
    text = f"{DAGSTER_YAML.read_text()}\n{yaml.safe_dump({'run_launcher': launcher})}"
    (home.dagster / "dagster.yaml").write_text(text)
    workspace = home.dagster / "workspace.yaml"
    server = {"host": LOCALHOST, "port": code_port, "location_name": "smartgrid"}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    return workspace
