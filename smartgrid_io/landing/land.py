"""Land one file: every good row once, every bad one in quarantine, all in one transaction.

One transaction per file, whatever its size: a reader never sees half a file, a killed landing
leaves nothing to clean up, and the days that a file touches are journalled once. PostgreSQL writes
the rows as they come, so a large transaction costs neither memory nor time; only a landing that is
killed starts that file again.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.readings import LandedFiles
from smartgrid_core.contracts.tables import to_table_name
from smartgrid_core.errors import LandingError
from smartgrid_core.readings.validation import REFUSED_COLUMNS, Validated
from smartgrid_io.landing.held_back import HeldBack
from smartgrid_io.landing.judge import judge_rows
from smartgrid_io.landing.layout import ColumnPlan, LandingLayout, recognise_columns, refuse_nested
from smartgrid_io.landing.report import LandingReport, Refusal
from smartgrid_io.landing.source import read_blocks
from smartgrid_io.landing.text import CutShortError
from smartgrid_io.postgres.copy import Connection, copy_in
from smartgrid_io.postgres.loading import LoadCounts, begin_load, end_load, list_days, load_batch
from smartgrid_io.postgres.schema import ensure_months
from smartgrid_io.postgres.tables import PARTITIONED, TEXT_LIMIT
from smartgrid_io.postgres.topology import begin_delivery, end_delivery, note_delivered
from smartgrid_io.postgres.warehouse import PostgresWarehouse

Progress = Callable[[str, int, int], None]
"""Told a file's name, the bytes that are through and the bytes that there are."""

MOST_REASONS = 3
"""Reasons of refusals that a report names."""

_log = logging.getLogger(__name__)

TRIES = 3
"""Two files with the same readings in another order may block each other; one of them yields."""


class _GrowingError(Exception):
    """The file changed while it was read."""


NOT_THE_FILE = (
    _GrowingError,
    OSError,
    MemoryError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.ProgrammingError,
    psycopg.InternalError,
)
"""Failures that say nothing against the file's content: it may be landed another time."""


def land_file(
    path: Path,
    *,
    warehouse: PostgresWarehouse,
    layout: LandingLayout,
    now: datetime,
    again: bool = False,
    progress: Progress | None = None,
) -> LandingReport:
    """Land a file of readings, weather or topology; the same content lands once.

    Bad rows go to `quarantine`; a file of which nothing can be used goes there as row 0. `again`
    lands content that was landed before once more, after a setting was mended: its refusals are
    replaced. Raises LandingError if there is no such file or it cannot be read; psycopg's errors if
    the database fails.
    """
    if not path.is_file():
        raise LandingError(f"{path} is not a file: name a CSV, gzipped CSV or Parquet file")
    try:
        return _land_readable(
            path, warehouse=warehouse, layout=layout, now=now, again=again, progress=progress
        )
    except OSError as error:
        raise LandingError(
            f"{path} cannot be read ({error.strerror or error}): mend that and land it again"
        ) from error


def _land_readable(
    path: Path,
    *,
    warehouse: PostgresWarehouse,
    layout: LandingLayout,
    now: datetime,
    again: bool,
    progress: Progress | None,
) -> LandingReport:
    """The report of a file that is there, after as many attempts as it takes."""
    state = _read_file_state(path)
    sha256 = hash_file(path)
    for attempt in range(1, TRIES + 1):
        try:
            with warehouse.transaction() as connection:
                landing = _Landing(
                    path, state, sha256, warehouse, connection, layout, now, progress
                )
                report = landing.run(again=again)
                if _read_file_state(path) != state:
                    raise _GrowingError
                return report
        except psycopg.errors.DeadlockDetected:
            if attempt == TRIES:
                raise
        except (_GrowingError, FileNotFoundError):
            break
    return LandingReport(path.name, sha256, "growing", message="the file changed while it was read")


def hash_file(path: Path) -> str:
    """The identity of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as_stored_text(text: str) -> str:
    """The text without what PostgreSQL cannot keep: zero bytes, and bytes that are no UTF-8."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return readable.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _explain_failure(error: BaseException) -> LandingError:
    """What a library said of the file's content, and what can be done."""
    first_line = next(iter(str(error).splitlines()), "")
    return LandingError(
        f"it cannot be read as a table ({type(error).__name__}: {first_line}): send plain columns "
        "of numbers, text and times, or leave a column out by SMARTGRID_LANDING_COLUMNS "
        '{"its name": "-"}'
    )


def _read_file_state(path: Path) -> tuple[int, int]:
    """What changes when somebody writes to the file."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


@dataclass(frozen=True, slots=True)
class _JudgedPart:
    """Some judged rows of a file, and how far in the file they reach."""

    plan: ColumnPlan
    found: Validated
    position: int


def _read_ahead(parts: Generator[_JudgedPart, None, None]) -> Generator[_JudgedPart, None, None]:
    """The same parts; while one is loaded the next is read and judged in a thread."""
    with closing(parts), ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = reader.submit(next, parts, None)
            yield part


@dataclass
class _Landing:
    """One attempt at one file, in one transaction."""

    path: Path
    state: tuple[int, int]
    sha256: str
    warehouse: PostgresWarehouse
    connection: Connection
    layout: LandingLayout
    now: datetime
    progress: Progress | None

    def run(self, *, again: bool) -> LandingReport:
        """The report; whatever it says is in the transaction."""
        key = int(self.sha256[:15], 16)
        self.connection.execute("SELECT pg_advisory_xact_lock(%s)", [key])
        known = self._known()
        if known is not None and not again:
            return self._with_refusals(known)
        if known is not None:
            self.connection.execute(
                "DELETE FROM repeated_readings WHERE right(source, %s) = %s",
                [len(self.mark), self.mark],
            )
        for table in ("quarantine", "landed_files"):
            self.connection.execute(
                psycopg.sql.SQL("DELETE FROM {} WHERE source_sha256 = %s").format(
                    psycopg.sql.Identifier(table)
                ),
                [self.sha256],
            )
        try:
            with self.connection.transaction():
                report = self._load()
        except LandingError as error:
            report = self._refuse(error)
        except NOT_THE_FILE:
            raise
        except (Exception, pl.exceptions.PanicException) as error:
            # What a file can hold is not bounded by what we thought of: it must not stop others.
            _log.info("%s cannot be landed", self.source, exc_info=error)
            report = self._refuse(_explain_failure(error))
        self._remember(report)
        return self._with_refusals(report)

    @property
    def source(self) -> str:
        """The file's name as text that a database takes."""
        return _as_stored_text(self.path.name)

    @property
    def mark(self) -> str:
        """What tells the traces of this content from those of another under the same name."""
        return f"#{self.sha256[:12]}"

    def _with_refusals(self, report: LandingReport) -> LandingReport:
        """The report with what the quarantine says of the content."""
        rows = self.connection.execute(
            "SELECT reason, count(*), min(message), min(row_number) FROM quarantine "
            "WHERE source_sha256 = %s GROUP BY reason ORDER BY 2 DESC, 1 LIMIT %s",
            [self.sha256, MOST_REASONS],
        ).fetchall()
        whole = next((message for _, _, message, first in rows if first == 0), report.message)
        refusals = tuple(Refusal(reason, n, message) for reason, n, message, _ in rows)
        return dataclasses.replace(report, message=whole, refusals=refusals)

    def _known(self) -> LandingReport | None:
        """What the same content came to when it was landed."""
        names = [
            "dataset",
            "size_bytes",
            "rows_read",
            "rows_new",
            "rows_changed",
            "rows_repeated",
            "rows_refused",
        ]
        row = self.connection.execute(
            f"SELECT {', '.join(names)} FROM landed_files WHERE source_sha256 = %s",  # noqa: S608 - our own column names
            [self.sha256],
        ).fetchone()
        if row is None:
            return None
        facts: dict[str, Any] = dict(zip(names, row, strict=True))
        return LandingReport(self.source, self.sha256, "already_landed", **facts)

    def _load(self) -> LandingReport:
        """Every part judged and loaded. Raises LandingError if nothing can be used."""
        size, _ = self.state
        plan: ColumnPlan | None = None
        loaded, refused = LoadCounts(), 0
        with closing(_read_ahead(self._parts())) as parts:
            for part in parts:
                if plan is None:
                    plan = part.plan
                    begin_load(self.connection, plan.schema)
                    if plan.schema is GridTopology:
                        begin_delivery(self.connection)
                self._quarantine(part.found.bad, plan)
                refused += part.found.refused
                loaded += self._load_rows(part.found.good, plan)
                loaded += LoadCounts(repeated=part.found.overtaken)
                if _read_file_state(self.path) != self.state:
                    raise _GrowingError
                if self.progress is not None:
                    self.progress(self.path.name, min(part.position, size), size)
        if plan is None:
            raise LandingError("the file has no rows")
        removed = 0
        if plan.schema is GridTopology:
            removed = end_delivery(self.connection, is_clean=refused == 0)
        days = end_load(self.connection, plan.schema, now=self.now)
        return LandingReport(
            self.source,
            self.sha256,
            "landed",
            dataset=to_table_name(plan.schema),
            size_bytes=size,
            rows_read=loaded.new + loaded.changed + loaded.repeated + refused,
            rows_new=loaded.new,
            rows_changed=loaded.changed,
            rows_repeated=loaded.repeated,
            rows_refused=refused,
            rows_removed=removed,
            days=days,
        )

    def _parts(self) -> Generator["_JudgedPart", None, None]:
        """The file's rows, judged, in order."""
        position = 0

        def note(reached: int) -> None:
            nonlocal position
            position = reached

        plan: ColumnPlan | None = None
        held: HeldBack | None = None
        for block in read_blocks(self.path, encoding=self.layout.encoding, progress=note):
            if plan is None or held is None:
                columns = [name for name in block.rows.columns if name != "row_number"]
                plan = recognise_columns(columns, layout=self.layout)
                refuse_nested(plan, block.rows.schema)
                held = HeldBack(plan, self.layout.dialect.timezone)
            cut_off = Validated(pl.DataFrame(), block.bad, refused=block.bad.height)
            yield _JudgedPart(plan, cut_off, position)
            for found in self._judged(held.pass_on(block.rows), plan):
                yield _JudgedPart(plan, found, position)
        if plan is not None and held is not None:
            for rows in held.rest():
                for found in self._judged(rows, plan, at_once=True):
                    yield _JudgedPart(plan, found, position)

    def _judged(
        self, rows: pl.DataFrame, plan: ColumnPlan, *, at_once: bool = False
    ) -> Iterator[Validated]:
        return judge_rows(
            rows,
            plan=plan,
            layout=self.layout,
            now=self.now,
            source_id=self.sha256[:12],
            at_once=at_once,
        )

    def _load_rows(self, good: pl.DataFrame, plan: ColumnPlan) -> LoadCounts:
        if good.is_empty():
            return LoadCounts()
        if plan.schema in PARTITIONED:
            ensure_months(self.warehouse.url, plan.schema, list_days(plan.schema, good))
        if plan.schema is GridTopology:
            note_delivered(self.connection, good)
        return load_batch(
            self.connection,
            plan.schema,
            good,
            source=self.source,
            now=self.now,
            delivery=self.source[: TEXT_LIMIT - len(self.mark)] + self.mark,
        )

    def _quarantine(self, bad: pl.DataFrame, plan: ColumnPlan | None) -> None:
        """Keep refused rows."""
        if bad.is_empty():
            return
        rows = bad.select(
            pl.lit(self.sha256).alias("source_sha256"),
            "row_number",
            "reason",
            pl.lit(self.source).alias("source"),
            pl.lit("unknown" if plan is None else to_table_name(plan.schema)).alias("dataset"),
            "column",
            "message",
            # PostgreSQL's text has no zero bytes.
            pl.col("raw").str.replace_all("\x00", "\N{REPLACEMENT CHARACTER}", literal=True),
            pl.lit(self.now).alias("quarantined_at"),
        )
        with self.connection.cursor() as cursor:
            copy_in(cursor, "quarantine", rows)

    def _refuse(self, error: LandingError) -> LandingReport:
        """The whole file into quarantine, as row 0."""
        reason = "cut_short" if isinstance(error, CutShortError) else "unusable_file"
        message = _as_stored_text(f"{self.path.name}: {error}")
        row = {"row_number": 0, "reason": reason, "column": None, "message": message, "raw": None}
        self._quarantine(pl.DataFrame([row], schema=REFUSED_COLUMNS), None)
        return LandingReport(
            self.source,
            self.sha256,
            "refused",
            size_bytes=self.state[0],
            message=message,
        )

    def _remember(self, report: LandingReport) -> None:
        """The content was landed to its end."""
        facts = dataclasses.asdict(report) | {"landed_at": self.now}
        row = {name: facts[name] for name in LandedFiles.columns()}
        columns = LandedFiles.create_empty().schema
        with self.connection.cursor() as cursor:
            copy_in(cursor, "landed_files", pl.DataFrame([row], schema=columns))
