"""Protocols: what assets, sensors and commands need, said without naming a product."""

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
    """What a store took: `count` rows, and the figures people ask about next.

    `frame` may be a lazy scan of what was written, so that a large table is not held in memory.
    """

    count: int
    frame: pl.DataFrame | pl.LazyFrame

    def _figure(self, figure: pl.Expr) -> Any:
        return self.frame.lazy().select(figure).collect().item()

    def collect(self) -> pl.DataFrame:
        """All rows that were written, in memory."""
        return self.frame.lazy().collect()

    def max(self, column: str) -> float | None:
        """Largest value of a numeric column, None for no rows."""
        largest: float | None = self._figure(pl.col(column).cast(pl.Float64).max())
        return largest

    def sum(self, column: str) -> float:
        """Sum of a numeric or boolean column, 0 for no rows."""
        return float(self._figure(pl.col(column).cast(pl.Float64).sum()))

    def distinct(self, column: str) -> int:
        """How many different values a column holds."""
        return int(self._figure(pl.col(column).n_unique()))

    def count_by(self, column: str) -> dict[str, int]:
        """Rows per value of a text column."""
        counts = self.frame.lazy().group_by(column).len().sort(column).collect()
        return dict(counts.iter_rows())


class Clock(Protocol):
    """Says what time it is, so that nothing else needs to ask."""

    def now(self) -> datetime:
        """The present instant, UTC."""
        ...


class Lake(Protocol):
    """History as day-partitioned Parquet."""

    def scan(self, schema: type[dy.Schema], *, window: Window | None = None) -> pl.LazyFrame:
        """Rows of the window, all for None; without any, an empty frame of the right columns."""
        ...

    def replace(
        self,
        schema: type[dy.Schema],
        rows: pl.DataFrame | pl.LazyFrame,
        *,
        window: Window | None = None,
    ) -> WriteResult:
        """Make `rows` the whole content of the window's days, each day atomically.

        Raises ContractError naming the first bad column, or a row outside the window.
        """
        ...

    def days(self, schema: type[dy.Schema]) -> Sequence[date]:
        """The UTC days that hold rows, in order."""
        ...

    def forget(self, schema: type[dy.Schema], *, before: date) -> int:
        """Remove the days before this one for good, as if never computed; say how many."""
        ...


class Warehouse(Protocol):
    """The operational store."""

    def read(self, schema: type[dy.Schema], *, window: Window | None = None) -> pl.DataFrame:
        """Rows of the window (all of them for None), ordered by key."""
        ...

    def upsert(self, schema: type[dy.Schema], rows: pl.DataFrame) -> WriteResult:
        """Insert new keys, update changed rows, leave equal rows alone; one transaction."""
        ...

    def replace(
        self, schema: type[dy.Schema], rows: pl.DataFrame, *, window: Window | None = None
    ) -> WriteResult:
        """Make `rows` the whole content of the window (of the table for None); one transaction."""
        ...

    def register_brackets(self, days: Sequence[date]) -> pl.DataFrame:
        """Rows of `RegisterBrackets` for each of the days, from the raw readings."""
        ...

    def read_touched_since(self, seq: int, *, limit: int = 1000) -> pl.DataFrame:
        """Rows of `TouchedDays` with a larger `seq`, in order."""
        ...


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model that the registry holds. `version` is the registry's number, as text."""

    name: str
    version: str
    run_id: str
    aliases: tuple[str, ...] = ()


RunStatus = Literal["FINISHED", "FAILED"]
"""How a training's run ends."""


class ModelRegistry(Protocol):
    """Knows what was trained, keeps the models, and says which version bears which alias."""

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
        """Write a training down and return its run id; the run stays open until `finish`."""
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
        """Write down one trial of a search as a finished run within its parent; return its id.

        `fold_scores`: mean absolute error per fold. One with an `error` is FAILED.
        """
        ...

    def log_saved_model(self, run_id: str, folder: Path, *, example: pl.DataFrame) -> str:
        """Keep a SavedModel with the run; return its URI. `example` has a column per input."""
        ...

    def register(self, name: str, run_id: str) -> ModelVersion:
        """The version of `name` that holds the run's model; made if there is none yet.

        Raises PublicationError for a run that has no SavedModel.
        """
        ...

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let `alias` mean this version from now on; it leaves the one that had it."""
        ...

    def find_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version that bears the alias; None if none does or there is no such model."""
        ...

    def params(self, version: ModelVersion) -> Mapping[str, str]:
        """What was written down of its training: `forecaster`, `data_end` and more."""
        ...

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Fetch the version's SavedModel into `folder`; return where it lies."""
        ...

    def find_by_tag(self, experiment: str, key: str, value: str) -> str | None:
        """The newest finished run of the experiment with that tag; None if there is none."""
        ...

    def fail_unfinished(self, experiment: str, key: str, value: str) -> int:
        """End as FAILED what a killed process left running under that tag; say how many."""
        ...

    def finish(self, run_id: str, status: RunStatus) -> None:
        """Close the run as FINISHED or FAILED."""
        ...


@dataclass(frozen=True, slots=True)
class Quantiles:
    """What a model server answered: P10, P50, P90 in kW, float32 (batch,), and who said so."""

    frame: pl.DataFrame
    model: str
    model_version: str


@dataclass(frozen=True, slots=True)
class RoutedForecasts:
    """What the variants of a model answered for a batch, and the log of it.

    `frame`: p10, p50, p90 in kW, model_version and variant, (batch,), null for a row that nobody
    answered. `log`: rows of `PredictionLog`.
    """

    frame: pl.DataFrame
    log: pl.DataFrame


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
        """Quantiles for a batch: one float32 array (batch,) per feature.

        Asked is the version, or the one with the label, else the newest. Raises
        ModelUnavailableError if that one is not live or the server does not answer.
        """
        ...

    def live_versions(self, model: str) -> Sequence[str]:
        """Versions in state AVAILABLE, newest first; empty if none or the server is away."""
        ...


class ModelRepository(Protocol):
    """The folder from which the model server takes its versions, and what it is told of them."""

    def served(self, model: str) -> ServingState:
        """Which versions the server shall load, and their labels; none for an unknown model."""
        ...

    def change(self, model: str, move: Callable[[ServingState], ServingState]) -> ServingState:
        """Apply one move to what is served and tell the server; return what is served now."""
        ...

    def published(self, model: str) -> Sequence[int]:
        """Versions that lie there, oldest first."""
        ...

    def publish(self, saved_model: Path, *, model: str, version: int) -> str:
        """Put a version there, whole or not at all; the same again changes nothing.

        Raises PublicationError if that version is there with other content.
        """
        ...

    def wait_until_live(self, model: str, version: int) -> None:
        """Return once the server answers with it. Raises PublicationError if it does not come."""
        ...

    def wait_until_labelled(self, model: str, label: str, version: int) -> None:
        """Return once the label means this version. Raises PublicationError if it does not."""
        ...

    def withdraw(self, model: str, version: int) -> None:
        """Take a version away; none is no error."""
        ...

    def prune(self, model: str) -> Sequence[int]:
        """Remove versions too old to fall back to that are not served; returns which."""
        ...


class Notifier(Protocol):
    """Carries one message to one recipient."""

    def send(
        self, channel: str, recipient: str, payload: Mapping[str, Any], *, message_id: str
    ) -> "Delivery":
        """Try once. Never raises for what the far side does: the delivery says it.

        `message_id` is the same in every try, so that the far side can drop a repeat.
        """
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one attempt ended: `outcome` as in `NotificationAttempts`."""

    outcome: str
    status_code: int | None
    detail: str | None
    duration_ms: float


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a round of deliveries did: messages delivered, to be tried again, and given up."""

    delivered: int
    retried: int
    dead: int


class AlertStore(Protocol):
    """The alerts on record, and the outbox that carries them to people."""

    def open_alerts(self) -> pl.DataFrame:
        """Rows of `Alerts` that nobody has closed."""
        ...

    def record(self, alerts: pl.DataFrame) -> int:
        """Write rows of `Alerts` down, each with its message to deliver; say how many are new.

        A fact that is on record (by `dedupe_key`) is left alone and sends nothing.
        """
        ...

    def due(self, *, now: datetime) -> Sequence[str]:
        """The messages that wait to be tried, each as `<message_id>#<attempts so far>`."""
        ...

    def deliver(self, *, now: datetime) -> DeliveryReport:
        """Try every message that is due once. What the far side does raises nothing."""
        ...


class QualitySuites(Protocol):
    """The suites of expectations, one per table, and the documents that their runs leave."""

    def run(self, name: str, frame: pl.DataFrame, *, at: datetime) -> SuiteResult:
        """Judge rows of table `name`, which should reach up to `at`.

        Raises KeyError for a table without a suite.
        """
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that waits in the landing folder and no longer grows.

    `identity` changes with the file's content; `name` is how the folder knows it.
    """

    name: str
    identity: str


class LandingFolder(Protocol):
    """The watched folder: what has arrived, and the way from there into the warehouse."""

    def arrivals(self) -> Sequence[Arrival]:
        """Files that wait and no longer grow, the longest waiting first."""
        ...

    def land(self, name: str) -> Mapping[str, Any]:
        """Bring one file into the warehouse and say what became of it.

        `status` is landed, already_landed, refused (`message` says why) or growing; rows_read =
        rows_new + rows_changed + rows_repeated + rows_refused; rows_removed are nodes of the grid
        that a whole tree left out. Raises LandingError if there is no such file.
        """
        ...


class WeatherSource(Protocol):
    """Somebody who knows the weather of past days."""

    def fetch(self, window: Window) -> pl.DataFrame:
        """Rows of `Weather` for the window's UTC days, as far as they are known; none if unset.

        Raises ServerError naming who does not answer.
        """
        ...
