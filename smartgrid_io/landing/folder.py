"""Which files of the landing folder are complete and not landed yet.

Files stay where their sender put them: what was landed is known by content, in `landed_files`. A
file is complete when nobody has written to it, renamed it or touched it for a grace period.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from smartgrid_io.postgres.warehouse import PostgresWarehouse

SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".parquet", ".pq")
"""What the folder is watched for; anything else in it is nobody's business."""


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A file as the folder lists it."""

    path: Path
    """Where the file lies."""
    size_bytes: int
    """Its size when it was listed."""
    changed_at: datetime
    """When its content, name or rights changed, UTC."""

    @property
    def run_key(self) -> str:
        """The identity of the arrival: the same name with another content is another one."""
        return f"{self.path.name}:{self.size_bytes}:{self.changed_at.timestamp():.6f}"


def list_folder(folder: Path) -> list[Candidate]:
    """Return the files that could be landed, by name, without hidden and temporary ones."""
    files = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.startswith((".", "~")) or not path.name.lower().endswith(SUFFIXES):
            continue
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # renamed or removed since the folder was listed
        changed = datetime.fromtimestamp(max(status.st_mtime, status.st_ctime), tz=UTC)
        files.append(Candidate(path, status.st_size, changed))
    return sorted(files)


def select_arrived(
    files: Iterable[Candidate],
    *,
    landed: Collection[tuple[str, int, datetime]],
    now: datetime,
    grace: timedelta,
) -> list[Candidate]:
    """Return the files that are complete and were not landed since they last changed.

    A file is known by name and size. An empty file waits: its content is still to come.

    Args:
        files: Files as the folder lists them.
        landed: (name, size in bytes, instant of landing) of earlier landings.
        now: The present instant, UTC.
        grace: How long a file must have been left alone to be complete.
    """
    latest: dict[tuple[str, int], datetime] = {}
    for name, size, at in landed:
        latest[name, size] = max(at, latest.get((name, size), at))
    return [
        file
        for file in files
        if file.size_bytes > 0
        and now - file.changed_at >= grace
        and not _is_known(file, latest.get((file.path.name, file.size_bytes)))
    ]


def find_candidates(
    folder: Path, *, warehouse: PostgresWarehouse, now: datetime, grace: timedelta
) -> list[Candidate]:
    """Return the files of the folder that are complete and not landed yet, in order of name.

    A file that repeats another's content under a new name stays on the list until it was landed as
    such; its `run_key` lets a sensor ask for that once.

    Args:
        folder: The landing folder; one that does not exist has no files.
        warehouse: Knows what was landed.
        now: The present instant, UTC.
        grace: How long a file must have been left alone to be complete.
    """
    with warehouse.transaction() as connection:
        landed = connection.execute(
            "SELECT source, size_bytes, landed_at FROM landed_files"
        ).fetchall()
    return select_arrived(
        list_folder(folder),
        landed=[(name, size, at) for name, size, at in landed],
        now=now,
        grace=grace,
    )


def _is_known(file: Candidate, landed_at: datetime | None) -> bool:
    return landed_at is not None and landed_at >= file.changed_at
