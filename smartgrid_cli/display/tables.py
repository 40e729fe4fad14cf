"""How answers look in a terminal: tables and figures, nothing that asks or computes."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from smartgrid_cli.dagster_api.records import Check
from smartgrid_cli.display.store_queries import ServedForecast, TableSize
from smartgrid_core.digest import TableDigest
from smartgrid_core.rollout.labels import OUTPUTS, ServingState

MOST_ALERTS = 10

NAMES = {
    "dagster": "Dagster",
    "mlflow": "MLflow",
    "model_server": "model server (REST)",
    "model_server_grpc": "model server (gRPC)",
    "data_docs": "Data Docs",
    "postgres": "PostgreSQL",
}


def build_table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return an empty table in the common style; columns in `right` hold figures."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", style=None)
    return grid


def show_addresses(addresses: Mapping[str, str], console: Console) -> None:
    """Print the address of everything that answers."""
    grid = build_table("Addresses", "what", "where")
    for name, where in addresses.items():
        grid.add_row(NAMES.get(name, name), where)
    console.print(grid)


def show_sizes(sizes: Sequence[TableSize], console: Console) -> None:
    """Print the rows per table."""
    grid = build_table(
        "Rows per table", "table", "PostgreSQL", "lake", right=("PostgreSQL", "lake")
    )
    for size in sizes:
        if size.warehouse or size.lake:
            grid.add_row(size.name, _format_count(size.warehouse), _format_count(size.lake))
    console.print(grid)


def show_digests(digests: Sequence[TableDigest], console: Console) -> None:
    """Print one line per table and store, and the digest of all of them."""
    grid = build_table("Digests", "table", "store", "rows", "sha256", right=("rows",))
    for digest in digests:
        grid.add_row(digest.table, digest.store, f"{digest.rows:,}", digest.sha256[:16])
    console.print(grid)
    whole = hashlib.sha256("".join(digest.sha256 for digest in digests).encode()).hexdigest()
    console.print(f"All {len(digests)}: {whole[:16]}")


def show_checks(checks: Sequence[Check], console: Console) -> None:
    """Print how many checks passed, and what the others found."""
    passed = [check for check in checks if check.is_passed]
    refused = [check for check in checks if check.is_refused]
    grid = build_table(f"Checks: {len(passed)} passed, {len(refused)} failed", "check", "says")
    for check in refused:
        colour = "red" if check.blocks else "yellow"
        says = check.description.strip().splitlines() or [""]
        grid.add_row(f"[{colour}]{check.asset}.{check.name}[/{colour}]", escape(says[0]))
    if refused:
        console.print(grid)
    else:
        console.print(f"[bold]{grid.title}[/bold]")


def show_leaderboard(board: pl.DataFrame, console: Console) -> None:
    """Print the newest backtest over all series."""
    figures = (
        *("mae", "nmae", "pinball", "rcrps", "coverage", "peak_nmae"),
        *("train_s", "predict_ms", "artifact_mb"),
    )
    grid = build_table("Leaderboard (all feeders, unseen days)", "model", *figures, right=figures)
    for row in board.filter(pl.col("error").is_null()).iter_rows(named=True):
        cells = ["-" if row[name] is None else f"{row[name]:.4g}" for name in figures]
        grid.add_row(row["model"], *cells)
    console.print(grid)
    for row in board.filter(pl.col("error").is_not_null()).iter_rows(named=True):
        console.print(f"[yellow]{row['model']} has no scores[/yellow]: {escape(row['error'])}")


def show_decision(rows: pl.DataFrame, console: Console) -> None:
    """Print the last decision of the gate by condition; `rows` of `PromotionDecisions`."""
    if rows.is_empty():
        return
    first = rows.row(0, named=True)
    words = {"promote": "promotes", "refuse": "refuses", "keep": "keeps", "roll_back": "takes back"}
    title = f"The gate {words[first['decision']]} version {first['version']}: {first['reason']}"
    grid = build_table(escape(title), "condition", "in words")
    for row in rows.iter_rows(named=True):
        colour = "green" if row["passed"] else "yellow"
        grid.add_row(f"[{colour}]{row['condition']}[/{colour}]", escape(row["sentence"]))
    console.print(grid)


def show_forecast(answered: ServedForecast, console: Console, *, server: str) -> None:
    """Print every third hour of the whole grid's forecast, as the model server answered it."""
    forecast = answered.frame
    version = forecast["model_version"][0] if forecast.height else "?"
    title = (
        f"Forecast of the whole grid, kW (version {version}, asked of {server};"
        f" over gRPC the same within {answered.grpc_apart:.1g} kW)"
    )
    grid = build_table(title, "hour (UTC)", "P10", "P50", "P90", right=("P10", "P50", "P90"))
    for row in forecast.gather_every(3).iter_rows(named=True):
        grid.add_row(f"{row['hour_start']:%Y-%m-%d %H:%M}", *(f"{row[q]:.1f}" for q in OUTPUTS))
    console.print(grid)


def show_alerts(alerts: pl.DataFrame, console: Console) -> None:
    """Print the newest open alerts."""
    grid = build_table(f"Open alerts: {alerts.height}", "severity", "opened (UTC)", "what")
    for row in alerts.head(MOST_ALERTS).iter_rows(named=True):
        opened = f"{row['opened_at']:%Y-%m-%d %H:%M}"
        grid.add_row(row["severity"], opened, escape(row["message"]))
    console.print(grid if alerts.height else f"[bold]{grid.title}[/bold]")


def show_models(served: Sequence[ServingState], reasons: Sequence[str], console: Console) -> None:
    """Print which versions of each model answer, and what is not ready."""
    grid = build_table("Models", "model", "stable", "canary", "loaded", right=("stable", "canary"))
    for each in served:
        stable, canary = ("" if v is None else str(v) for v in (each.stable, each.canary))
        grid.add_row(each.model, stable, canary, ", ".join(map(str, each.versions)))
    if served:
        console.print(grid)
    for reason in reasons:
        console.print(f"[yellow]not ready[/yellow]: {escape(reason)}")


def _format_count(rows: int | None) -> str:
    return "" if rows is None else f"{rows:,}"


def show_processes(processes: Sequence[tuple[str, int | None, Path]], console: Console) -> None:
    """Print name, process number and log of each process."""
    grid = build_table("Processes", "name", "process", "log", right=("process",))
    for name, pid, log in processes:
        grid.add_row(name, "[red]down[/red]" if pid is None else str(pid), str(log))
    console.print(grid)
