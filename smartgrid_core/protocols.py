"""Protocols: what assets, sensors and commands need, without the name of a product."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import dataframely as dy
import polars as pl

from smartgrid_core.quality import SuiteResult
from smartgrid_core.rollout.labels import ServingState
from smartgrid_core.time import Window


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a store wrote, and the figures that people ask for next."""

    count: int
    """Rows that were written."""
    frame: pl.DataFrame | pl.LazyFrame
    """The rows; a lazy scan of what was written where a large table is not held in memory."""

    def _figure(self, figure: pl.Expr) -> Any:
        return self.frame.lazy().select(figure).collect().item()

    def collect(self) -> pl.DataFrame:
        """Return all rows that were written, in memory."""
        return self.frame.lazy().collect()

    def max(self, column: str) -> float | None:
        """Return the largest value of a numeric column, None for no rows."""
        largest: float | None = self._figure(pl.col(column).cast(pl.Float64).max())
        return largest

    def sum(self, column: str) -> float:
        """Return the sum of a numeric or boolean column, 0 for no rows."""
        return float(self._figure(pl.col(column).cast(pl.Float64).sum()))

    def count_distinct(self, column: str) -> int:
        """How many different values a column holds."""
        return int(self._figure(pl.col(column).n_unique()))

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

    def delete_before(self, schema: type[dy.Schema], *, before: date) -> int:
        """Remove the days before this one for good, as if never computed; say how many."""
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


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model in the registry."""

    name: str
    """The registered model's name."""
    version: str
    """The registry's number, as text."""
    run_id: str
    """The run that trained it."""
    aliases: tuple[str, ...] = ()
    """Such as `champion`."""


RunStatus = Literal["FINISHED", "FAILED"]
"""How a training's run ends."""


class ModelRegistry(Protocol):
    """Holds what was trained: runs, models, and which version has which alias."""

    def log_training(
        self,
        experiment: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float | None],
        data_window: Window,
        figures: Mapping[str, Any] | None = None,
        tables: Mapping[str, pl.DataFrame] | None = None,
        tags: Mapping[str, str] | None = None,
        run_name: str | None = None,
    ) -> str:
        """Record a training and return its run id; the run stays open until `finish`.

        Args:
            experiment: Name of the experiment that the run belongs to.
            params: What the training was given; values are kept as text.
            metrics: What it reached; None leaves a metric out.
            data_window: The span of the training data.
            figures: Plotly figures by file name without suffix.
            tables: Tables by file name without suffix.
            tags: Tags of the run.
            run_name: What people see as the run's name.

        Returns:
            The run id.
        """
        ...

    def log_trial(
        self,
        parent_run_id: str,
        *,
        name: str,
        params: Mapping[str, Any],
        fold_scores: Sequence[float],
        seconds: float,
        memory_mb: float,
        error: str | None = None,
    ) -> str:
        """Record one trial of a search as a finished run within its parent; return its run id.

        Args:
            parent_run_id: The search's run.
            name: What people see as the trial's name.
            params: What was tried.
            fold_scores: Mean absolute error per fold, in the target's unit.
            seconds: Wall time of the trial, s.
            memory_mb: Memory at its peak, MB.
            error: Why it failed; such a trial is FAILED. None for one that ended.

        Returns:
            The trial's run id.
        """
        ...

    def log_saved_model(self, run_id: str, folder: Path, *, example: pl.DataFrame) -> str:
        """Store a SavedModel with the run; return its URI. `example` has a column per input."""
        ...

    def register(self, name: str, run_id: str) -> ModelVersion:
        """Return the version of `name` that holds the run's model; made if there is none yet.

        Raises:
            PublicationError: The run has no SavedModel.
        """
        ...

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Give this version the alias; the version that had it loses it."""
        ...

    def find_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Return the version that has the alias; None if none has, or there is no such model."""
        ...

    def params(self, version: ModelVersion) -> Mapping[str, str]:
        """Return what was recorded of the version's training: `forecaster`, `data_end` and more."""
        ...

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Fetch the version's SavedModel into `folder`; return where it lies."""
        ...

    def find_by_tag(self, experiment: str, key: str, value: str) -> str | None:
        """Return the newest finished run of the experiment with that tag; None if there is none."""
        ...

    def fail_unfinished(self, experiment: str, key: str, value: str) -> int:
        """Mark as FAILED what a killed process left running under that tag; return how many."""
        ...

    def finish(self, run_id: str, status: RunStatus) -> None:
        """Close the run as FINISHED or FAILED."""
        ...


@dataclass(frozen=True, slots=True)
class Quantiles:
    """What a model server answered for a batch."""

    frame: pl.DataFrame
    """p10, p50, p90 in kW, Float32 (batch,)."""
    model: str
    """The model that answered."""
    model_version: str
    """Its version, as text."""


@dataclass(frozen=True, slots=True)
class RoutedForecasts:
    """What the variants of a model answered for a batch, and the log of the calls."""

    frame: pl.DataFrame
    """p10, p50, p90 in kW, model_version and variant, (batch,); null where nobody answered."""
    log: pl.DataFrame
    """Rows of `PredictionLog`."""


class ModelServer(Protocol):
    """Answers predictions of the live model version."""

    def predict(
        self,
        model: str,
        features: Mapping[str, Any],
        version: int | str | None = None,
        *,
        label: str | None = None,
    ) -> Quantiles:
        """Return the quantiles for a batch.

        The given version answers, else the one with the label, else the newest.

        Args:
            model: The model's name on the server.
            features: One float32 array (batch,) per feature.
            version: The version to ask; None for the label's or the newest.
            label: The label to ask, if no version is given.

        Returns:
            P10, P50, P90 in kW, and the version that answered.

        Raises:
            ModelUnavailableError: That version is not live, or the server does not answer.
        """
        ...

    def list_live_versions(self, model: str) -> Sequence[str]:
        """Versions in state AVAILABLE, newest first; empty if none or the server is away."""
        ...


class ModelRepository(Protocol):
    """The folder that the model server loads from, and the server's configuration."""

    def read_state(self, model: str) -> ServingState:
        """Which versions the server shall load, and their labels; none for an unknown model."""
        ...

    def update_state(
        self, model: str, move: Callable[[ServingState], ServingState]
    ) -> ServingState:
        """Apply one move to what is served and tell the server; return what is served now."""
        ...

    def list_versions(self, model: str) -> Sequence[int]:
        """Versions that lie there, oldest first."""
        ...

    def publish(self, saved_model: Path, *, model: str, version: int) -> str:
        """Put a version into the repository, whole or not at all; the same again changes nothing.

        Raises:
            PublicationError: That version is there with other content.
        """
        ...

    def wait_until_live(self, model: str, version: int) -> None:
        """Return once the server answers with the version.

        Raises:
            PublicationError: It does not answer in time.
        """
        ...

    def wait_until_labelled(self, model: str, label: str, version: int) -> None:
        """Return once the label means the version.

        Raises:
            PublicationError: It does not in time.
        """
        ...

    def withdraw(self, model: str, version: int) -> None:
        """Remove a version; a version that is not there is no error."""
        ...

    def prune(self, model: str) -> Sequence[int]:
        """Remove versions too old to fall back to that are not served; return which."""
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
    """The suites of expectations, one per table, and the documents that their runs write."""

    def run(self, name: str, frame: pl.DataFrame, *, at: datetime) -> SuiteResult:
        """Return how rows of the table `name` do in its suite; they should reach up to `at`.

        Raises:
            KeyError: The table has no suite.
        """
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that waits in the landing folder and no longer grows."""

    name: str
    identity: str


class LandingFolder(Protocol):
    """The watched folder: which files wait, and the way from there into the warehouse."""

    def list_arrivals(self) -> Sequence[Arrival]:
        """Return the files that wait and no longer grow, the longest waiting first."""
        ...

    def land(self, name: str) -> Mapping[str, Any]:
        """Land one file in the warehouse; return what became of it.

        `status` is landed, already_landed, refused (`message` tells why) or growing; rows_read =
        rows_new + rows_changed + rows_repeated + rows_refused; rows_removed are nodes of the grid
        that a whole tree left out.

        Raises:
            LandingError: There is no such file.
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
