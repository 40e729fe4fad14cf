"""Land one file: every good row once, every bad one in quarantine, all in one transaction.

One transaction per file, whatever its size: a reader never sees half a file, a killed landing
leaves nothing to clean up, and the days that a file touches are journalled once. PostgreSQL writes
the rows as they come, so a large transaction costs neither memory nor time; only a landing that is
killed starts that file again.
"""

from datetime import datetime
from pathlib import Path

import psycopg

from smartgrid_core.errors import LandingError
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
from smartgrid_io.postgres.warehouse import PostgresWarehouse

TRIES = 3
"""Two files with the same readings in another order may block each other; one of them yields."""


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
    if not path.is_file():
        raise LandingError(f"{path} is not a file: name a CSV, gzipped CSV or Parquet file")
    try:
        return _land_readable(LandingRequest(path, warehouse, layout, now, again, progress))
    except OSError as error:
        raise LandingError(
            f"{path} cannot be read ({error.strerror or error}): mend that and land it again"
        ) from error


def _land_readable(request: LandingRequest) -> LandingReport:
    """Return the report of a file that is there, after as many attempts as it takes."""
    path = request.path
    state = FileState.of(path)
    sha256 = hash_file(path)
    for attempt in range(1, TRIES + 1):
        try:
            with request.warehouse.transaction() as connection:
                report = LandingAttempt(request, state, sha256, connection).run()
                if FileState.of(path) != state:
                    raise GrowingError
                return report
        except psycopg.errors.DeadlockDetected:
            if attempt == TRIES:
                raise
        except (GrowingError, FileNotFoundError):
            break
    return LandingReport(path.name, sha256, "growing", message="the file changed while it was read")
