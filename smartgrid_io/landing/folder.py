"""Which files of the landing folder are complete and not landed yet.

Files stay where their sender put them: what was landed is known by content, in `landed_files`, and
by name in `repeated_files` if another name had brought the content. A file is complete a moment
after its last change (of content, name or rights) if the system says that nobody has it open for
writing: the writer closed it, or renamed it into place. Where the system does not say that,
because somebody has it open, the file is another user's or lies on a network, it is complete when
it was left alone for a grace period: so a file that grows waits, and none waits for ever.
"""

import fcntl
import os
import signal
import stat
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from smartgrid_io.landing.attempt import as_stored_text
from smartgrid_io.postgres.warehouse import PostgresWarehouse

SETTLED = timedelta(seconds=1)
"""A closed file that was left alone for so long is complete: a sender that opens it again and again
does so faster, and clocks of file systems are coarse by some milliseconds."""

SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".parquet", ".pq")
"""What the folder is watched for; anything else in it is nobody's business."""


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A file as the folder lists it."""

    place: str
    """Where the file lies; a `Path` of each of many files would cost half of the listing."""
    size_bytes: int
    """Its size when it was listed."""
    changed_at: datetime
    """When its content, name or rights changed, UTC."""

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return self.place.rpartition("/")[2]

    @property
    def run_key(self) -> str:
        """The identity of the arrival: the same name with another content is another one."""
        return f"{self.name}:{self.size_bytes}:{self.changed_at.timestamp():.6f}"


def list_folder(folder: Path) -> list[Candidate]:
    """Return the files that could be landed, by name, without hidden and temporary ones.

    What is no file, such as a pipe or a link that leads nowhere, is left out and hinders nobody.
    """
    files = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    for entry in entries:
        if entry.name.startswith((".", "~")) or not entry.name.lower().endswith(SUFFIXES):
            continue
        try:
            status = entry.stat()
        except OSError:
            continue  # renamed or removed since the folder was listed, or a link to nowhere
        if not stat.S_ISREG(status.st_mode):
            continue
        changed = datetime.fromtimestamp(max(status.st_mtime, status.st_ctime), tz=UTC)
        files.append(Candidate(entry.path, status.st_size, changed))
    return files


def is_surely_closed(path: Path) -> bool:
    """Return whether the system says that no process has the file open for writing.

    Linux grants a lease on a file to its owner only then. False where it does not say.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A writer that comes while the lease is held is announced by a signal that nobody heeds.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def select_arrived(
    files: Iterable[Candidate],
    *,
    landed: Collection[tuple[str, int, datetime]],
    now: datetime,
    grace: timedelta,
    is_closed: Callable[[Path], bool] = is_surely_closed,
) -> list[Candidate]:
    """Return the files that are complete and were not landed since they last changed.

    A file is known by name and size. An empty file waits: its content is still to come.

    Args:
        files: Files as the folder lists them.
        landed: (name, size in bytes, instant of landing) of earlier landings.
        now: The present instant, UTC.
        grace: How long a file must have been left alone to be complete, whoever has it open.
        is_closed: Whether certainly nobody writes to a file; asked for those of the last moments.
    """
    latest: dict[tuple[str, int], datetime] = {}
    for name, size, at in landed:
        latest[name, size] = max(at, latest.get((name, size), at))
    return [
        file
        for file in files
        if file.size_bytes > 0
        and not _is_known(file, latest.get((as_stored_text(file.name), file.size_bytes)))
        and (
            now - file.changed_at >= grace
            or (now - file.changed_at >= SETTLED and is_closed(Path(file.place)))
        )
    ]


def find_candidates(
    folder: Path, *, warehouse: PostgresWarehouse, now: datetime, grace: timedelta
) -> list[Candidate]:
    """Return the files of the folder that are complete and not landed yet, in order of name.

    Cheap enough to be asked every second: the database is asked only if there are files, and only
    about their names.

    Args:
        folder: The landing folder; one that does not exist has no files.
        warehouse: Knows what was landed.
        now: The present instant, UTC.
        grace: How long a file must have been left alone to be complete, whoever has it open.
    """
    files = [file for file in list_folder(folder) if now - file.changed_at >= min(SETTLED, grace)]
    if not files:
        return []
    with warehouse.transaction() as connection:
        landed = connection.execute(
            "SELECT source, size_bytes, landed_at FROM landed_files WHERE source = ANY(%(names)s) "
            "UNION ALL SELECT source, size_bytes, found_at FROM repeated_files "
            "WHERE source = ANY(%(names)s)",
            {"names": [as_stored_text(file.name) for file in files]},
        ).fetchall()
    return select_arrived(
        files,
        landed=[(name, size, at) for name, size, at in landed],
        now=now,
        grace=grace,
    )


def _is_known(file: Candidate, landed_at: datetime | None) -> bool:
    return landed_at is not None and landed_at >= file.changed_at
