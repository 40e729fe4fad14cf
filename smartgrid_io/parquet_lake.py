"""The lake as day-partitioned Parquet: which files a table has, and how a day is replaced.

`<table>/day=2026-03-01/part.parquet` for tables with a day column, `<table>/part.parquet` for
those kept whole. A day that was computed and has no rows is a file without rows; a day that was
never computed has no file.
"""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.tables import Table, get_table
from smartgrid_core.errors import ContractError
from smartgrid_core.protocols import WriteResult
from smartgrid_core.time import Window, midnight
from smartgrid_io.file_store import FileStore, open_file_store
from smartgrid_io.validate_rows import to_polars_types, validate_rows

FILE_NAME = "part.parquet"

LISTING_PAYS_DAYS = 62
"""Up to two months are asked for day by day; beyond, one listing of the table is cheaper."""


class ParquetLake:
    """A lake at `url`: a local folder, or `s3://bucket/prefix`.

    `storage_options` are named as object_store does (`aws_endpoint_url`, `aws_access_key_id`, ...);
    what is left out comes from the usual AWS environment.
    """

    def __init__(self, url: str, *, storage_options: Mapping[str, str] | None = None) -> None:
        self.url = url
        self._store: FileStore = open_file_store(url, storage_options=storage_options)

    def scan(self, schema: type[dy.Schema], *, window: Window | None = None) -> pl.LazyFrame:
        """Return rows of the window, all for None; without any, an empty frame of the right
        columns.

        Files of days outside the window are neither listed nor opened. Raises ContractError for a
        window on a table that is kept whole.
        """
        table = get_table(schema)
        if table.day_column is None:
            if window is not None:
                raise ContractError(f"{table.name} is kept whole: it has no window")
            return self._scan_files(schema, self._select_existing([_get_file_path(table)]))
        days = (
            self.list_computed_days(schema)
            if window is None
            else self._list_computed_in(table, window)
        )
        rows = self._scan_files(schema, [_get_file_path(table, day) for day in days])
        if window is None:
            return rows
        column = pl.col(table.day_column)
        if isinstance(to_polars_types(schema)[table.day_column], pl.Date):
            return rows.filter(column.is_in(list(window.days())))
        return rows.filter(column >= window.start, column < window.end)

    def replace(
        self,
        schema: type[dy.Schema],
        rows: pl.DataFrame | pl.LazyFrame,
        *,
        window: Window | None = None,
    ) -> WriteResult:
        """Make `rows` the whole content of the window's days, each day atomically.

        `window` covers whole days; None means the whole table. Rows are kept in the order of
        their key, so that equal content is an equal file. A lazy frame of several days is computed
        once and never held as a whole. Raises ContractError naming the first bad column, or a row
        outside the window; then nothing is replaced.
        """
        table = get_table(schema)
        if table.day_column is None:
            if window is not None:
                raise ContractError(f"{table.name} is kept whole: it has no window")
            frame = _validate_and_sort(schema, rows.lazy().collect(engine="streaming"))
            with tempfile.TemporaryDirectory(prefix="smartgrid-lake-") as scratch:
                self._store.put(
                    _write_parquet(frame, Path(scratch) / FILE_NAME), _get_file_path(table)
                )
            return WriteResult(frame.height, self.scan(schema))
        wanted = None if window is None else _list_whole_days(table, window)
        with tempfile.TemporaryDirectory(prefix="smartgrid-lake-") as scratch:
            parts = self._prepare(schema, rows, wanted, folder=Path(scratch))
            for day, (part, _) in sorted(parts.items()):
                self._store.put(part, _get_file_path(table, day))
        if wanted is None:
            for day in set(self.list_computed_days(schema)) - set(parts):
                self._store.remove(_get_file_path(table, day))
        return WriteResult(
            sum(count for _, count in parts.values()), self.scan(schema, window=window)
        )

    def days(self, schema: type[dy.Schema]) -> Sequence[date]:
        """Return the UTC days that hold rows, in order."""
        table = get_table(schema)
        days = self.list_computed_days(schema)

        def has_rows(day: date) -> bool:
            return self._store.count_rows(_get_file_path(table, day)) > 0

        with ThreadPoolExecutor(8) as pool:
            return [
                day for day, filled in zip(days, pool.map(has_rows, days), strict=True) if filled
            ]

    def list_computed_days(self, schema: type[dy.Schema]) -> Sequence[date]:
        """Return the UTC days that were computed, with rows or without, in order."""
        table = get_table(schema)
        return sorted(
            date.fromisoformat(name.removeprefix("day="))
            for name in self._store.list_folders_with(FILE_NAME, below=table.name)
            if name.startswith("day=")
        )

    def delete_days(self, schema: type[dy.Schema], days: Collection[date]) -> int:
        """Remove these days, as if never computed; return how many of them there were."""
        table = get_table(schema)
        there = [day for day in self.list_computed_days(schema) if day in days]
        for day in there:
            self._store.remove(_get_file_path(table, day))
        return len(there)

    def _list_computed_in(self, table: Table, window: Window) -> list[date]:
        """Return the computed days among those that the window touches."""
        days = list(window.days())
        if len(days) > LISTING_PAYS_DAYS:
            return [
                day for day in self.list_computed_days(table.schema) if days[0] <= day <= days[-1]
            ]
        existing = set(self._select_existing([_get_file_path(table, day) for day in days]))
        return [day for day in days if _get_file_path(table, day) in existing]

    def _select_existing(self, files: Sequence[str]) -> list[str]:
        """Return those of the files that are there."""
        if not self._store.is_remote:
            return [file for file in files if self._store.exists(file)]
        with ThreadPoolExecutor(16) as pool:
            there = pool.map(self._store.exists, files)
            return [file for file, is_there in zip(files, there, strict=True) if is_there]

    def _scan_files(self, schema: type[dy.Schema], files: Sequence[str]) -> pl.LazyFrame:
        """Return the rows of the files, in the columns of the contract."""
        types = to_polars_types(schema)
        if not files:
            return pl.LazyFrame(schema=types)
        return pl.scan_parquet(
            [self._store.get_address(file) for file in files],
            schema=types,
            # A contract grows by nullable columns; files from before have none of them.
            missing_columns="insert",
            extra_columns="ignore",
            hive_partitioning=False,
            glob=False,
            storage_options=self._store.storage_options,
        )

    def _prepare(
        self,
        schema: type[dy.Schema],
        rows: pl.DataFrame | pl.LazyFrame,
        wanted: Sequence[date] | None,
        *,
        folder: Path,
    ) -> dict[date, tuple[Path, int]]:
        """Return a checked local file and its number of rows for each day, wanted days without
        rows too.

        Args:
            schema: The table's contract.
            rows: Rows of the table, in memory or lazy.
            wanted: The UTC days that are replaced; None takes every day that has rows.
            folder: Where the local files go.

        Raises:
            ContractError: A row breaks the contract or lies outside the wanted days.
        """
        parts: dict[date, tuple[Path, int]] = {}
        for day, frame in _split_by_day(
            schema, rows, folder=folder, is_one_day=_is_one_day(wanted)
        ):
            if day is None or (wanted is not None and day not in wanted):
                raise ContractError(
                    f"{get_table(schema).name}: a row of day {day} lies outside the window"
                )
            ordered = _validate_and_sort(schema, frame)
            parts[day] = _write_parquet(ordered, folder / f"{day}.parquet"), ordered.height
        for day in wanted or ():
            if day not in parts:
                empty = pl.DataFrame(schema=to_polars_types(schema))
                parts[day] = _write_parquet(empty, folder / f"{day}.parquet"), 0
        return parts


def _is_one_day(wanted: Sequence[date] | None) -> bool:
    return wanted is not None and len(wanted) == 1


def _get_file_path(table: Table, day: date | None = None) -> str:
    """Return where a table, or a day of it, lies below the lake's root."""
    return f"{table.name}/{FILE_NAME}" if day is None else f"{table.name}/day={day}/{FILE_NAME}"


def _list_whole_days(table: Table, window: Window) -> Sequence[date]:
    """Return the window's days.

    Raises ContractError if the window cuts a day: half a day is never replaced.
    """
    for edge in (window.start, window.end):
        if edge != midnight(edge.date()):
            raise ContractError(f"{table.name}: whole UTC days are replaced, the window has {edge}")
    return list(window.days())


def _validate_and_sort(schema: type[dy.Schema], rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in the order of their key. Raises ContractError for a bad row."""
    return validate_rows(schema, rows).sort(schema.primary_key())


def _write_parquet(rows: pl.DataFrame, file: Path) -> Path:
    rows.write_parquet(file, compression="zstd", statistics=True)
    return file


def _split_by_day(
    schema: type[dy.Schema],
    rows: pl.DataFrame | pl.LazyFrame,
    *,
    folder: Path,
    is_one_day: bool,
) -> Iterator[tuple[date | None, pl.DataFrame]]:
    """Yield each UTC day with its rows; the day is None for rows without one.

    Args:
        schema: The contract of a table that has a day column.
        rows: Rows of the table; a lazy frame of several days goes through files in `folder`.
        folder: Where such files go.
        is_one_day: Whether all rows are of one day, which is held in memory at once.

    Raises:
        ContractError: The table is kept whole, or the day column is missing.
    """
    column = get_table(schema).day_column
    if column is None:
        raise ContractError(f"{get_table(schema).name} is kept whole: it has no days")
    names = rows.collect_schema().names()
    if column not in names:
        raise ContractError(f"{get_table(schema).name}: column {column!r} is missing")
    day = pl.col(column).cast(pl.Date).alias("_day")
    if isinstance(rows, pl.LazyFrame) and not is_one_day:
        rows.sink_parquet(
            pl.PartitionBy(
                folder / "raw", key=day, include_key=False, approximate_bytes_per_file=None
            ),
            mkdir=True,
        )
        for place in sorted((folder / "raw").glob("_day=*")):
            text = place.name.removeprefix("_day=")
            frame = pl.read_parquet(sorted(place.glob("*.parquet")), hive_partitioning=False)
            yield (date.fromisoformat(text) if text[0].isdigit() else None), frame
        return
    frame = rows.lazy().collect(engine="streaming")
    for (key,), part in frame.with_columns(day).partition_by("_day", as_dict=True).items():
        yield key, part.drop("_day")
