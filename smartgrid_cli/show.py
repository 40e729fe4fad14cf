"""How answers look in a terminal: tables and figures, nothing that asks or computes."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

NAMES = {
    "dagster": "Dagster",
    "mlflow": "MLflow",
    "model_server": "model server (REST)",
    "model_server_grpc": "model server (gRPC)",
    "data_docs": "Data Docs",
    "postgres": "PostgreSQL",
}


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the one style of all; columns in `right` hold figures."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", style=None)
    return grid


def show_addresses(addresses: Mapping[str, str], console: Console) -> None:
    """Where what answers."""
    grid = table("Addresses", "what", "where")
    for name, where in addresses.items():
        grid.add_row(NAMES.get(name, name), where)
    console.print(grid)
