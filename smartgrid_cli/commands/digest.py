"""`smartgrid digest`: one digest per table, to tell whether two homes hold the same rows."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import dataframely as dy
import polars as pl
from rich.console import Console

from smartgrid_cli.commands.status import read_local_settings
from smartgrid_cli.display.store_queries import Stores, list_warehouse_days
from smartgrid_cli.display.tables import show_digests
from smartgrid_cli.machine.home import Home
from smartgrid_core.contracts.tables import CONTRACT_TABLES, get_table
from smartgrid_core.digest import (
    ALL_COLUMNS,
    REPRODUCIBLE,
    DigestMode,
    TableDigest,
    compare_digests,
    digest_rows,
    drop_measured_rows,
    explain_mode_difference,
)
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.time import Window


def show_digest(
    home: Home,
    console: Console,
    *,
    out: Path | None = None,
    against: Path | None = None,
    all_columns: bool = False,
) -> bool:
    """Print the digests of all tables that hold rows; return whether they are as expected.

    Args:
        home: whose running machine is asked, unless the environment names stores.
        console: where the table is printed.
        out: JSON file that the digests are written to.
        against: JSON file of an earlier call; what differs from it is printed.
        all_columns: count everything: when and by which run a row was written, what was measured.

    Returns:
        False if something differs from `against`.

    Raises:
        ConfigurationError: no database is known, or `against` is no file of this command, or of
            another mode.
    """
    mode = ALL_COLUMNS if all_columns else REPRODUCIBLE
    earlier = None if against is None else read_digests(against, mode=mode)
    stores = Stores.open(read_local_settings(home))
    digests = []
    for number, digest in enumerate(iter_digests(stores, mode=mode), start=1):
        digests.append(digest)
        if console.is_terminal:
            console.print(f"[dim]{number} {digest.table} ({digest.store})[/dim]", end="\r")
    show_digests(digests, console)
    if out is not None:
        write_digests(out, digests, mode=mode)
    if earlier is None:
        return True
    differences = compare_digests(earlier, digests)
    for sentence in differences:
        console.print(f"[yellow]{sentence}[/yellow]")
    if not differences:
        console.print(f"[green]The same rows as in[/green] {against}")
    return not differences


def iter_digests(stores: Stores, *, mode: DigestMode) -> Iterator[TableDigest]:
    """Yield the digest of every table that holds rows, first of the warehouse, then of the lake."""
    for store, iter_parts in (("warehouse", _iter_warehouse_parts), ("lake", _iter_lake_parts)):
        for schema in CONTRACT_TABLES:
            table, parts = get_table(schema).name, iter_parts(stores, schema)
            if mode != ALL_COLUMNS:
                parts = (drop_measured_rows(part, table=table) for part in parts)
            rows, sha256 = digest_rows(parts, left_out=frozenset(mode.left_out))
            if rows:
                yield TableDigest(table, store, rows, sha256)


def write_digests(file: Path, digests: Sequence[TableDigest], *, mode: DigestMode) -> None:
    """Write digests and what counted in them as JSON."""
    content = {
        "mode": mode.name,
        "left_out": mode.left_out,
        "tables": [asdict(digest) for digest in digests],
    }
    file.write_text(json.dumps(content, indent=1) + "\n")


def read_digests(file: Path, *, mode: DigestMode) -> list[TableDigest]:
    """Return the digests that `--out` wrote.

    Raises:
        ConfigurationError: the file cannot be read, is of another kind, or of another mode.
    """
    try:
        content = json.loads(file.read_text())
        written = DigestMode(content["mode"], tuple(content["left_out"]))
        digests = [TableDigest(**entry) for entry in content["tables"]]
    except KeyError as error:
        raise ConfigurationError(
            f"{file} holds no digests (it has no {error}): {_say_how_to_write(file)}"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{file} holds no digests ({error}): {_say_how_to_write(file)}"
        ) from error
    if difference := explain_mode_difference(written, mode):
        mend = "call both times with --all-columns, or both times without it"
        if written.name == mode.name:
            mend = _say_how_to_write(file)
        raise ConfigurationError(f"{file} cannot be compared, {difference}: {mend}")
    return digests


def _say_how_to_write(file: Path) -> str:
    return f"write it by `smartgrid digest --out {file}` of the version that compares"


def _iter_warehouse_parts(stores: Stores, schema: type[dy.Schema]) -> Iterator[pl.DataFrame]:
    """Yield a table's rows in PostgreSQL, a UTC day at a time if it is cut by day."""
    days = list_warehouse_days(stores.warehouse.url, get_table(schema))
    if days is None:
        return
    if get_table(schema).day_column is None:
        yield stores.warehouse.read(schema)
    for day in days:
        yield stores.warehouse.read(schema, window=Window.of_day(day))


def _iter_lake_parts(stores: Stores, schema: type[dy.Schema]) -> Iterator[pl.DataFrame]:
    """Yield a table's rows in the lake, a UTC day at a time if it is cut by day."""
    if get_table(schema).day_column is None:
        yield stores.lake.scan(schema).collect()
        return
    for day in stores.lake.days(schema):
        yield stores.lake.scan(schema, window=Window.of_day(day)).collect()
