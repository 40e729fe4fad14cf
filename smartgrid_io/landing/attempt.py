"""One attempt to land one file, in one transaction that the caller commits."""

import dataclasses
import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import psycopg

from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.readings import LandedFiles
from smartgrid_core.contracts.tables import to_table_name
from smartgrid_core.errors import LandingError
from smartgrid_core.readings.validation import REFUSED_COLUMNS
from smartgrid_io.landing.judged_parts import judge_file, read_ahead
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.landing.report import LandingReport, Refusal
from smartgrid_io.landing.text import BLOCK_BYTES, CutShortError
from smartgrid_io.postgres.copy import Connection, copy_in
from smartgrid_io.postgres.loading import Load, LoadCounts, list_days
from smartgrid_io.postgres.schema import ensure_months
from smartgrid_io.postgres.tables import PARTITIONED, TEXT_LIMIT
from smartgrid_io.postgres.topology import begin_delivery, end_delivery, note_delivered
from smartgrid_io.postgres.warehouse import PostgresWarehouse

Progress = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are done and all bytes of the file."""

MOST_REASONS = 3
"""Reasons of refusals that a report names."""

_KNOWN_COLUMNS = (
    *("source", "dataset", "size_bytes", "rows_read", "rows_new"),
    *("rows_changed", "rows_repeated", "rows_refused"),
)
"""Columns of `landed_files` that a report repeats."""

_log = logging.getLogger(__name__)


class GrowingError(Exception):
    """The file changed while it was read."""


NOT_THE_FILE = (
    GrowingError,
    OSError,
    MemoryError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.ProgrammingError,
    psycopg.InternalError,
)
"""Failures that say nothing against the file's content: it may be landed another time."""


@dataclass(frozen=True, slots=True)
class FileState:
    """Properties of a file that change when somebody writes to it."""

    size_bytes: int
    modified_ns: int
    """Nanoseconds since 1970, UTC."""

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """Return the present state of the file. Raises OSError."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class LandingRequest:
    """What `land_file` was asked for."""

    path: Path
    """The file to land."""
    warehouse: PostgresWarehouse
    """Where the rows go."""
    layout: LandingLayout
    """How files of the landing folder are written."""
    now: datetime
    """The present instant, UTC."""
    again: bool
    """Whether content that was landed before is landed once more."""
    progress: Progress | None
    """Called after each part."""


@dataclass(frozen=True, slots=True)
class LandingAttempt:
    """One attempt at one file, in one transaction."""

    request: LandingRequest
    state: FileState
    """The file's state before it was read."""
    sha256: str
    """The identity of the file's content."""
    connection: Connection
    """Has the transaction open."""

    def run(self) -> LandingReport:
        """Land the file and return its report, all within the transaction.

        Raises GrowingError if the file changes meanwhile, psycopg's errors if the database fails.
        """
        self.connection.execute("SELECT pg_advisory_xact_lock(%s)", [int(self.sha256[:15], 16)])
        earlier = self._read_earlier_report()
        if earlier is not None and not self.request.again:
            self._note_repeated_file()
            return self._add_refusals(earlier)
        if earlier is not None:
            self._delete_traces()
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
        self._record_landing(report)
        return self._add_refusals(report)

    @property
    def source(self) -> str:
        """The file's name as text that a database takes."""
        return as_stored_text(self.request.path.name)

    @property
    def mark(self) -> str:
        """Distinguishes the traces of this content from others under the same name."""
        return f"#{self.sha256[:12]}"

    def _read_earlier_report(self) -> LandingReport | None:
        """Return what became of the same content when it was landed; None if it never was."""
        row = self.connection.execute(
            f"SELECT {', '.join(_KNOWN_COLUMNS)} FROM landed_files WHERE source_sha256 = %s",  # noqa: S608 - our own column names
            [self.sha256],
        ).fetchone()
        if row is None:
            return None
        facts: dict[str, Any] = dict(zip(_KNOWN_COLUMNS, row, strict=True))
        landed_as = facts.pop("source")
        return LandingReport(
            self.source, self.sha256, "already_landed", **facts, landed_as=landed_as
        )

    def _note_repeated_file(self) -> None:
        """Write down that the file holds nothing new, so that the folder offers it no more."""
        self.connection.execute(
            "INSERT INTO repeated_files (source, source_sha256, size_bytes, found_at)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT (source) DO UPDATE SET"
            " source_sha256 = excluded.source_sha256, size_bytes = excluded.size_bytes,"
            " found_at = excluded.found_at",
            [self.source, self.sha256, self.state.size_bytes, self.request.now],
        )

    def _add_refusals(self, report: LandingReport) -> LandingReport:
        """Return the report with the most frequent refusals of the content in quarantine."""
        if report.status == "landed" and not report.rows_refused:
            return report
        rows = self.connection.execute(
            "SELECT reason, count(*), min(message), min(row_number) FROM quarantine "
            "WHERE source_sha256 = %s GROUP BY reason ORDER BY 2 DESC, 1 LIMIT %s",
            [self.sha256, MOST_REASONS],
        ).fetchall()
        # Row 0 is the file as a whole.
        whole = next((message for _, _, message, first in rows if first == 0), report.message)
        refusals = tuple(Refusal(reason, count, message) for reason, count, message, _ in rows)
        return dataclasses.replace(report, message=whole, refusals=refusals)

    def _delete_traces(self) -> None:
        """Delete what an earlier landing of the same content left beside the rows themselves."""
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

    def _load(self) -> LandingReport:
        """Judge and load every part. Raises LandingError if nothing can be used."""
        load: Load | None = None
        counts, refused = LoadCounts(), 0
        parts = judge_file(
            self.request.path,
            layout=self.request.layout,
            now=self.request.now,
            source_id=self.sha256[:12],
        )
        is_one_block = self.state.size_bytes <= BLOCK_BYTES
        with closing(parts if is_one_block else read_ahead(parts)) as coming:
            for part in coming:
                if load is None:
                    load = self._begin_load(part.plan.schema)
                self._quarantine(part.rows.bad, dataset=to_table_name(load.schema))
                refused += part.rows.refused
                counts += self._load_rows(load, part.rows.good)
                counts += LoadCounts(repeated=part.rows.overtaken)
                self._note_progress(part.position)
        if load is None:
            raise LandingError("the file has no rows")
        removed = 0
        if load.schema is GridTopology:
            removed = end_delivery(self.connection, is_clean=refused == 0)
        return LandingReport(
            self.source,
            self.sha256,
            "landed",
            dataset=to_table_name(load.schema),
            size_bytes=self.state.size_bytes,
            rows_read=counts.new + counts.changed + counts.repeated + refused,
            rows_new=counts.new,
            rows_changed=counts.changed,
            rows_repeated=counts.repeated,
            rows_refused=refused,
            rows_removed=removed,
            days=load.end(),
        )

    def _begin_load(self, schema: type[dy.Schema]) -> Load:
        """Return an open load into the table that the file fills."""
        load = Load(
            self.connection,
            schema,
            source=self.source,
            now=self.request.now,
            delivery=self.source[: TEXT_LIMIT - len(self.mark)] + self.mark,
        )
        load.begin()
        if schema is GridTopology:
            begin_delivery(self.connection)
        return load

    def _load_rows(self, load: Load, good: pl.DataFrame) -> LoadCounts:
        """Load good rows of one part, after the months that they need."""
        if good.is_empty():
            return LoadCounts()
        if load.schema in PARTITIONED:
            months = list_days(load.schema, good)
            ensure_months(self.request.warehouse.url, load.schema, months, known_to=self.connection)
        if load.schema is GridTopology:
            note_delivered(self.connection, good)
        return load.add(good)

    def _note_progress(self, position: int) -> None:
        """Report how far the file is loaded. Raises GrowingError if it changed meanwhile."""
        if FileState.of(self.request.path) != self.state:
            raise GrowingError
        if self.request.progress is not None:
            size = self.state.size_bytes
            self.request.progress(self.request.path.name, min(position, size), size)

    def _quarantine(self, bad: pl.DataFrame, *, dataset: str) -> None:
        """Keep refused rows, in the columns `REFUSED_COLUMNS`."""
        if bad.is_empty():
            return
        rows = bad.select(
            pl.lit(self.sha256).alias("source_sha256"),
            "row_number",
            "reason",
            pl.lit(self.source).alias("source"),
            pl.lit(dataset).alias("dataset"),
            "column",
            "message",
            # PostgreSQL's text has no zero bytes.
            pl.col("raw").str.replace_all("\x00", "\N{REPLACEMENT CHARACTER}", literal=True),
            pl.lit(self.request.now).alias("quarantined_at"),
        )
        with self.connection.cursor() as cursor:
            copy_in(cursor, "quarantine", rows)

    def _refuse(self, error: LandingError) -> LandingReport:
        """Put the whole file into quarantine, as row 0, and return its report."""
        reason = "cut_short" if isinstance(error, CutShortError) else "unusable_file"
        message = as_stored_text(f"{self.request.path.name}: {error}")
        row = {"row_number": 0, "reason": reason, "column": None, "message": message, "raw": None}
        self._quarantine(pl.DataFrame([row], schema=REFUSED_COLUMNS), dataset="unknown")
        return LandingReport(
            self.source,
            self.sha256,
            "refused",
            size_bytes=self.state.size_bytes,
            message=message,
        )

    def _record_landing(self, report: LandingReport) -> None:
        """Write down that the content was landed to its end."""
        facts = dataclasses.asdict(report) | {"landed_at": self.request.now}
        row = {name: facts[name] for name in LandedFiles.columns()}
        columns = LandedFiles.create_empty().schema
        with self.connection.cursor() as cursor:
            copy_in(cursor, "landed_files", pl.DataFrame([row], schema=columns))


def as_stored_text(text: str) -> str:
    """Return the text without what PostgreSQL cannot keep: zero bytes, bytes that are no UTF-8."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return readable.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _explain_failure(error: BaseException) -> LandingError:
    """Return what a library says against the file's content, with what can be done."""
    first_line = next(iter(str(error).splitlines()), "")
    return LandingError(
        f"it cannot be read as a table ({type(error).__name__}: {first_line}): send plain columns "
        "of numbers, text and times, or leave a column out by SMARTGRID_LANDING_COLUMNS "
        '{"its name": "-"}'
    )
