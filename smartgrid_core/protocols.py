"""Protocols: what assets, sensors and commands need, without the name of a product."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import dataframely as dy
import polars as pl

from smartgrid_core.quality import SuiteResult
from smartgrid_core.time import Window


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a store wrote, and the figures that people ask for next."""

    count: int
    """Rows that were written."""
    frame: pl.DataFrame | pl.LazyFrame
    """The rows; a lazy scan of what was written where a large table is not held in memory."""

    def _compute(self, figure: pl.Expr) -> Any:
        return self.frame.lazy().select(figure).collect().item()

    def collect(self) -> pl.DataFrame:
        """Return all rows that were written, in memory."""
        return self.frame.lazy().collect()

    def max(self, column: str) -> float | None:
        """Return the largest value of a numeric column, None for no rows."""
        largest: float | None = self._compute(pl.col(column).cast(pl.Float64).max())
        return largest

    def sum(self, column: str) -> float:
        """Return the sum of a numeric or boolean column, 0 for no rows."""
        return float(self._compute(pl.col(column).cast(pl.Float64).sum()))

    def count_distinct(self, column: str) -> int:
        """Return how many different values a column holds."""
        return int(self._compute(pl.col(column).n_unique()))

    def count_by(self, column: str) -> dict[str, int]:
        """Return the number of rows per value of a text column.

        >>> rows = pl.DataFrame({"kind": ["gap", "spike", "gap"]})
        >>> WriteResult(count=3, frame=rows).count_by("kind")
        {'gap': 2, 'spike': 1}
        """
        counts = self.frame.lazy().group_by(column).len().sort(column).collect()
        return dict(counts.iter_rows())


class Clock(Protocol):
    """Tells the time, so that nothing else needs to ask."""

    def now(self) -> datetime:
        """Return the present instant, UTC."""
        ...


class Lake(Protocol):
    """History as day-partitioned Parquet."""

    def scan(self, schema: type[dy.Schema], *, window: Window | None = None) -> pl.LazyFrame:
        """Return the rows of the window, all for None; no rows are an empty frame."""
        ...

    def replace(
        self,
        schema: type[dy.Schema],
        rows: pl.DataFrame | pl.LazyFrame,
        *,
        window: Window | None = None,
    ) -> WriteResult:
        """Make `rows` the whole content of the window's days, each day atomically.

        Raises:
            ContractError: A column breaks the contract, or a row lies outside the window; the first
                is named.
        """
        ...

    def days(self, schema: type[dy.Schema]) -> Sequence[date]:
        """Return the UTC days that hold rows, in order."""
        ...

    def delete_days(self, schema: type[dy.Schema], days: Collection[date]) -> int:
        """Delete these UTC days for good, as if never computed; return how many there were."""
        ...


class Warehouse(Protocol):
    """The operational store."""

    def read(self, schema: type[dy.Schema], *, window: Window | None = None) -> pl.DataFrame:
        """Return the rows of the window (all of them for None), ordered by key."""
        ...

    def upsert(self, schema: type[dy.Schema], rows: pl.DataFrame) -> WriteResult:
        """Insert new keys, update changed rows, leave equal rows alone; one transaction."""
        ...

    def replace(
        self, schema: type[dy.Schema], rows: pl.DataFrame, *, window: Window | None = None
    ) -> WriteResult:
        """Make `rows` the whole content of the window (of the table for None); one transaction."""
        ...

    def read_register_brackets(self, days: Sequence[date]) -> pl.DataFrame:
        """Return rows of `RegisterBrackets` for each of the days, from the raw readings."""
        ...

    def read_touched_since(self, seq: int, *, limit: int = 1000) -> pl.DataFrame:
        """Return rows of `TouchedDays` with a larger `seq`, in order, at most `limit`."""
        ...

    def count_nodes(self) -> dict[str, int]:
        """Return how many nodes of each kind the tree holds; empty before there is one."""
        ...


class Notifier(Protocol):
    """Carries one message to one recipient."""

    def send(
        self, channel: str, recipient: str, payload: Mapping[str, Any], *, message_id: str
    ) -> "Delivery":
        """Try once to send; an error of the receiver does not raise, the result tells it.

        Args:
            channel: One of `CHANNELS`.
            recipient: The address on that channel, such as a URL.
            payload: The message as a JSON object.
            message_id: The same in every try, so that the receiver can drop a repeat.

        Returns:
            How the try ended.
        """
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one attempt to deliver a message ended."""

    outcome: str
    """As in `NotificationAttempts`."""
    status_code: int | None
    """The HTTP status; None without an answer."""
    detail: str | None
    """What went wrong, for people; None for a delivery."""
    duration_ms: float
    """Wall time of the attempt, ms."""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """How a round of deliveries ended, in messages."""

    delivered: int
    """Messages that arrived."""
    retried: int
    """Messages that will be tried again."""
    dead: int
    """Messages that were given up."""


class AlertStore(Protocol):
    """The stored alerts, and the outbox that carries them to people."""

    def read_open_alerts(self) -> pl.DataFrame:
        """Return the rows of `Alerts` that are not closed."""
        ...

    def record(self, alerts: pl.DataFrame) -> int:
        """Write rows of `Alerts`, each with its message to deliver; return how many are new.

        A fact that is stored already (by `dedupe_key`) is left alone and sends nothing.
        """
        ...

    def list_due(self, *, now: datetime) -> Sequence[str]:
        """Return the messages to be tried, each as `<message_id>#<attempts so far>`."""
        ...

    def deliver(self, *, now: datetime) -> DeliveryReport:
        """Try every due message once; an error of the receiver does not raise."""
        ...


class QualitySuites(Protocol):
    """The suites of expectations, one per table, and the pages that their runs leave behind."""

    def run(self, name: str, frame: pl.DataFrame, *, at: datetime) -> SuiteResult:
        """Return how rows of the table `name` do in its suite; they should reach up to `at`.

        Raises:
            KeyError: The table has no suite.
        """
        ...

    def count_waiting(self) -> int:
        """Return how many runs are still to get their page."""
        ...

    def make_pages(self) -> tuple[list[str], list[str]]:
        """Make the pages that are still to be made.

        Returns:
            Their addresses below the docs; and in sentences where a page says something else than
            the verdict that was given.
        """
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that waits in the landing folder and no longer grows."""

    name: str
    """How the folder knows the file."""
    identity: str
    """Changes with the file's content."""
    size_bytes: int = 0
    """Its size as it lies there."""


class LandingFolder(Protocol):
    """The watched folder: which files wait, and the way from there into the warehouse."""

    def list_arrivals(self) -> Sequence[Arrival]:
        """Return the files that wait and no longer grow, the longest waiting first."""
        ...

    def land(self, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Land files in the warehouse; yield what became of each, once it is certain.

        `source` is the name; `status` is landed, already_landed (`landed_as` is the name that
        brought the content), refused (`message` tells why) or growing; rows_read = rows_new +
        rows_changed + rows_repeated + rows_refused; rows_removed are nodes of the grid that a whole
        tree left out. A file that cannot be landed is refused and stops no other.
        """
        ...


class WeatherSource(Protocol):
    """A source of the weather of past days."""

    def fetch(self, window: Window) -> pl.DataFrame:
        """Return rows of `Weather` for the window's UTC days; none if no source is set.

        Raises:
            ServerError: The source does not answer; it is named.
        """
        ...
