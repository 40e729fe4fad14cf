"""Running a suite over rows: the verdict at once, the page in the Data Docs later.

What a run judged waits in a folder below the docs until `pages.py` has made its page of it. The
page's address is known from the start.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from smartgrid_core.quality import SuiteResult
from smartgrid_io.quality.suites import Expectation, get_suite
from smartgrid_io.quality.verdicts import judge_rows

WAITING = ".waiting"
"""Folder below the docs that holds what is still to become a page."""

MOST_WAITING = 24
"""Per suite, as many as have a page: of more, the oldest get none."""

SOURCE = "lake"
"""What Great Expectations calls the source of the rows."""


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """A run of a suite that is still to become a page.

    Attributes:
        suite: The suite's name, which is its table's.
        at: The instant up to which rows should be there, UTC.
        judged_at: When it was judged, UTC.
        register_capacity_kwh: Reading at which a meter's register starts again at zero, kWh.
        failed: Places of the failed expectations in the suite, from 0.
    """

    suite: str
    at: datetime
    judged_at: datetime
    register_capacity_kwh: float
    failed: tuple[int, ...]

    @property
    def run_name(self) -> str:
        """Name of the run in the Data Docs."""
        return f"up_to_{self.at:%Y-%m-%dT%H%MZ}"

    @property
    def page(self) -> str:
        """The page, relative to the docs."""
        moment = f"{self.judged_at:%Y%m%dT%H%M%S.%fZ}"
        return f"validations/{self.suite}/{self.run_name}/{moment}/{SOURCE}-{self.suite}.html"

    @property
    def stem(self) -> str:
        """Name of its files: the newest run of a suite up to an instant replaces older ones."""
        return f"{self.suite}-{self.at:%Y%m%dT%H%M%SZ}"


def run_suite(
    name: str,
    frame: pl.DataFrame,
    *,
    docs_dir: Path,
    docs_url: str | None,
    at: datetime,
    register_capacity_kwh: float = 1_000_000.0,
) -> SuiteResult:
    """Judge the rows of a table and let their page wait for its making.

    Args:
        name: Name of the table, such as `sensor_data`.
        frame: Rows of the table.
        docs_dir: Folder of the Data Docs.
        docs_url: Address at which that folder is served; None links to the file.
        at: The instant up to which rows should be there, UTC; silence is measured from it.
        register_capacity_kwh: Reading at which a meter's register starts again at zero, kWh.

    Returns:
        The verdict with its failed expectations and the link to the page.

    Raises:
        KeyError: The table has no suite.
    """
    suite = get_suite(name, register_capacity_kwh=register_capacity_kwh)
    figures = suite.figures(frame, at=at)
    findings = judge_rows(suite, figures)
    page = WaitingPage(
        suite=name,
        at=at.astimezone(UTC),
        judged_at=datetime.now(UTC),
        register_capacity_kwh=register_capacity_kwh,
        failed=tuple(place for place, _ in findings),
    )
    let_page_wait(page, select_judged_columns(figures, suite.expectations()), docs_dir=docs_dir)
    base = docs_url.rstrip("/") if docs_url else docs_dir.resolve().as_uri()
    failed = tuple(finding for _, finding in findings)
    return SuiteResult(
        suite=name,
        passed=all(finding.severity == "info" for finding in failed),
        rows=frame.height,
        failed=failed,
        docs_link=f"{base}/{page.page}",
    )


def select_judged_columns(figures: pl.DataFrame, expectations: list[Expectation]) -> pl.DataFrame:
    """Return the columns that expectations judge; the first one if they judge none."""
    columns: set[str] = set()
    for expectation in expectations:
        columns.update(expectation.kwargs.get("column_list", []))
        columns.update(filter(None, [expectation.kwargs.get("column")]))
    return figures.select(name for name in figures.columns if name in columns)


def let_page_wait(page: WaitingPage, figures: pl.DataFrame, *, docs_dir: Path) -> None:
    """Write down what a page is made of; a page that waits has both its files."""
    folder = docs_dir / WAITING
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock_folder(folder):
        scratch = folder / f".{page.stem}.{os.getpid()}"
        figures.write_parquet(scratch)
        scratch.replace(folder / f"{page.stem}.parquet")
        scratch.write_text(json.dumps(asdict(page), default=str))
        scratch.replace(folder / f"{page.stem}.json")
        notes = sorted(folder.glob(f"{page.suite}-*.json"), key=lambda note: note.stat().st_mtime)
        for note in notes[:-MOST_WAITING]:
            forget_page(note)


def list_waiting(docs_dir: Path) -> list[Path]:
    """Return the notes of the pages that wait, oldest first."""
    notes = (docs_dir / WAITING).glob("[!.]*.json")
    return sorted(notes, key=lambda note: (note.stat().st_mtime, note.name))


def read_waiting(note: Path) -> tuple[WaitingPage, pl.DataFrame]:
    """Return a page that waits and the figures that it is made of."""
    record = json.loads(note.read_text())
    page = WaitingPage(
        suite=record["suite"],
        at=datetime.fromisoformat(record["at"]),
        judged_at=datetime.fromisoformat(record["judged_at"]),
        register_capacity_kwh=record["register_capacity_kwh"],
        failed=tuple(record["failed"]),
    )
    return page, pl.read_parquet(note.with_suffix(".parquet"))


def forget_page(note: Path) -> None:
    """Remove a page that waits; its note goes last."""
    note.with_suffix(".parquet").unlink(missing_ok=True)
    note.unlink(missing_ok=True)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder that several processes write to."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
