"""Land files: every good row once, every bad one in quarantine, a file whole or not at all.

A file is landed in one transaction, whatever its size: a reader never sees half a file, a killed
landing leaves nothing to clean up, and the days that a file touches are journalled once. PostgreSQL
writes the rows as they come, so a large transaction costs neither memory nor time; only a landing
that is killed starts that file again. Small files share a transaction, each behind a savepoint of
its own: connection and commit cost more than their rows do, and one that fails undoes itself alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from smartgrid_core.errors import LandingError
from smartgrid_core.protocols import Clock
from smartgrid_io.file_store import hash_file
from smartgrid_io.landing.attempt import (
    FileState,
    GrowingError,
    LandingAttempt,
    LandingRequest,
    Progress,
)
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.landing.report import LandingReport
from smartgrid_io.postgres.copy import Connection
from smartgrid_io.postgres.warehouse import PostgresWarehouse

TRIES = 3
"""Two files with the same readings in another order may block each other; one of them yields."""

SMALL_BYTES = 100_000
"""A file up to this size shares a transaction: its rows load in less than a commit takes."""

GROUP_FILES = 50
"""Files of one transaction: it lasts about a second, and a killed one costs no more than that."""


@dataclass(frozen=True, slots=True)
class _ReadableFile:
    """A file that is there, as it was before it was landed."""

    request: LandingRequest
    state: FileState
    sha256: str

    @classmethod
    def open(cls, request: LandingRequest) -> "_ReadableFile":
        """Return the file with its state and identity. Raises LandingError."""
        path = request.path
        if not path.is_file():
            raise LandingError(f"{path} is not a file: name a CSV, gzipped CSV or Parquet file")
        try:
            return cls(request, FileState.of(path), hash_file(path))
        except OSError as error:
            raise _explain_unreadable(path, error) from error

    def land(self, connection: Connection) -> LandingReport:
        """Land the file within the transaction of the connection, or undo what was begun of it.

        Raises LandingError, psycopg's errors.
        """
        path = self.request.path
        try:
            with connection.transaction():
                report = LandingAttempt(self.request, self.state, self.sha256, connection).run()
                if FileState.of(path) != self.state:
                    raise GrowingError
                return report
        except (GrowingError, FileNotFoundError):
            message = "the file changed while it was read"
            return LandingReport(path.name, self.sha256, "growing", message=message)
        except OSError as error:
            raise _explain_unreadable(path, error) from error


def land_file(
    path: Path,
    *,
    warehouse: PostgresWarehouse,
    layout: LandingLayout,
    now: datetime,
    again: bool = False,
    progress: Progress | None = None,
) -> LandingReport:
    """Land a file of readings, weather or topology and return what became of it.

    The same content lands once. Bad rows go to `quarantine`; a file of which nothing can be used
    goes there as row 0.

    Args:
        path: A CSV, gzipped CSV or Parquet file.
        warehouse: Where the rows go.
        layout: How files of the landing folder are written.
        now: The present instant, UTC.
        again: Land content once more that was landed before, after a setting was mended: its
            refusals are replaced.
        progress: Called after each part with the file's name, the bytes that are done and all
            bytes.

    Returns:
        The report of this landing, or of the earlier one of the same content.

    Raises:
        LandingError: There is no such file, or it cannot be read.
        psycopg.Error: The database failed.
    """
    file = _ReadableFile.open(LandingRequest(path, warehouse, layout, now, again, progress))
    for _ in range(TRIES - 1):
        try:
            return _land_alone(file)
        except psycopg.errors.DeadlockDetected:
            continue
    return _land_alone(file)


def land_files(
    paths: Sequence[Path],
    *,
    warehouse: PostgresWarehouse,
    layout: LandingLayout,
    clock: Clock,
) -> Iterator[LandingReport]:
    """Land files in their order and yield what became of each, once it is certain.

    A file that is not there or cannot be read is reported as refused and stops no other.

    Args:
        paths: CSV, gzipped CSV or Parquet files.
        warehouse: Where the rows go.
        layout: How files of the landing folder are written.
        clock: Tells the present instant.

    Raises:
        psycopg.Error: The database failed; what was yielded is landed, the rest is not.
    """
    for group in _group_small_files(paths):
        now = clock.now()
        files: list[_ReadableFile] = []
        for path in group:
            request = LandingRequest(path, warehouse, layout, now, again=False, progress=None)
            try:
                files.append(_ReadableFile.open(request))
            except LandingError as error:
                yield _refuse_unread(path, error)
        yield from _land_group(files)


def _land_alone(file: _ReadableFile) -> LandingReport:
    """Return the report of a file that has a transaction of its own."""
    with file.request.warehouse.transaction() as connection, connection.transaction():
        return file.land(connection)


def _land_group(files: Sequence[_ReadableFile]) -> list[LandingReport]:
    """Return the reports of files that share a transaction, or have one each if they must.

    Raises psycopg's errors.
    """
    if not files:
        return []
    try:
        with files[0].request.warehouse.transaction() as connection, connection.transaction():
            return [_land_or_refuse(file, connection) for file in files]
    except psycopg.errors.DeadlockDetected:
        return [_land_file_or_refuse(file.request) for file in files]


def _land_or_refuse(file: _ReadableFile, connection: Connection) -> LandingReport:
    try:
        return file.land(connection)
    except LandingError as error:
        return _refuse_unread(file.request.path, error)


def _land_file_or_refuse(request: LandingRequest) -> LandingReport:
    try:
        return land_file(
            request.path, warehouse=request.warehouse, layout=request.layout, now=request.now
        )
    except LandingError as error:
        return _refuse_unread(request.path, error)


def _refuse_unread(path: Path, error: LandingError) -> LandingReport:
    """Return the report of a file of which nothing is known but that it cannot be read."""
    return LandingReport(path.name, "", "refused", message=str(error))


def _group_small_files(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield the paths in their order: small files together, every other one by itself."""
    group: list[Path] = []
    for path in paths:
        is_small = _measure_file(path) <= SMALL_BYTES
        if group and (not is_small or len(group) == GROUP_FILES):
            yield group
            group = []
        group.append(path)
        if not is_small:
            yield group
            group = []
    if group:
        yield group


def _measure_file(path: Path) -> int:
    """Return the file's size in bytes; 0 for one that cannot be asked, which is told later."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _explain_unreadable(path: Path, error: OSError) -> LandingError:
    return LandingError(
        f"{path} cannot be read ({error.strerror or error}): mend that and land it again"
    )
