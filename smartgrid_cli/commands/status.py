"""`smartgrid status`: which processes run, where they answer, what the stores hold."""

from typing import Any

from rich.console import Console

from smartgrid_cli.commands.demo_state import DemoState
from smartgrid_cli.display import tables as show
from smartgrid_cli.display.store_queries import Stores, measure_tables
from smartgrid_cli.machine.child_process import find_recorded_child
from smartgrid_cli.machine.home import Home
from smartgrid_core.errors import PublicationError
from smartgrid_core.rollout.labels import ServingState
from smartgrid_core.settings import Settings
from smartgrid_io.postgres.embedded import EmbeddedPostgres
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.model_repository import ModelServerRepository
from smartgrid_io.serving.readiness import ask_readiness

CHILDREN = (
    "postgres",
    "data_docs",
    "model_server",
    "mlflow",
    "dagster_code",
    "dagster",
    "dagster_daemon",
)

MIRROR = "config_mirror"
"""Runs only where the models lie in a bucket."""


def show_status(home: Home, console: Console) -> bool:
    """Print processes, addresses, models and rows per table. Returns whether something runs."""
    if not (home.root / "home.json").exists():
        console.print(f"{home.root} holds no state yet: `smartgrid up` or `make demo` makes it.")
        return False
    holder = home.read_up_note()
    if holder is None:
        console.print(f"Nothing runs for {home.root}.")
        return False
    console.print(f"Process {holder['pid']} runs everything in {home.root}.")
    mirror = [MIRROR] if find_recorded_child(home, MIRROR) else []
    processes = [(name, find_recorded_child(home, name)) for name in (*CHILDREN, *mirror)]
    show.show_processes(
        [
            (name, None if process is None else process.pid, home.logs / f"{name}.log")
            for name, process in processes
        ],
        console,
    )
    if holder["addresses"]:
        show.show_addresses(holder["addresses"], console)
    settings = read_local_settings(home)
    with ModelServerClient(settings.model_server_grpc, settings.model_server_rest) as client:
        repository = ModelServerRepository(settings.model_place, client)
        show.show_models(read_served_models(repository), ask_readiness(repository).reasons, console)
    if settings.database_url is not None:
        stores = Stores.open(settings)
        show.show_sizes(measure_tables(stores.warehouse.url, stores.lake), console)
    return True


def read_served_models(repository: ModelServerRepository) -> list[ServingState]:
    """Return what the models' config names; nothing if it is unreadable, as readiness reports."""
    try:
        return repository.all_served()
    except PublicationError:
        return []


def read_local_settings(home: Home) -> Settings:
    """Return the settings of the machine that runs in the home, for a command in another terminal.

    What the environment and `.env` set counts; what they leave open, the running machine sets.
    """
    found: dict[str, Any] = {"home": home.root}
    settings = Settings()
    if settings.database_url is None:
        server = EmbeddedPostgres(home.root)
        if server.is_running:
            found["database_url"] = server.url
    plan = DemoState(home).plan
    if plan is not None:
        found |= {"first_day": plan.first_day, "last_day": plan.forecast_day}
    holder = home.read_up_note()
    addresses = holder["addresses"] if holder else {}
    for field, name in {
        "mlflow_url": "mlflow",
        "model_server_rest": "model_server",
        "model_server_grpc": "model_server_grpc",
        "data_docs_url": "data_docs",
    }.items():
        if name in addresses:
            found[field] = addresses[name]
    return Settings(**found)
