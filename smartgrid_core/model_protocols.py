"""Protocols of trained models: where they are registered, stored and served."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from smartgrid_core.rollout.labels import ServingState
from smartgrid_core.time import Window


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

    def read_params(self, version: ModelVersion) -> Mapping[str, str]:
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
        """Return the versions in state AVAILABLE, newest first; none if the server is away."""
        ...


class ModelRepository(Protocol):
    """The folder that the model server loads from, and the server's configuration."""

    def read_state(self, model: str) -> ServingState:
        """Return which versions the server loads, and their labels; none for an unknown model."""
        ...

    def update_state(
        self, model: str, move: Callable[[ServingState], ServingState]
    ) -> ServingState:
        """Apply one move to what is served and tell the server; return the state after it."""
        ...

    def list_versions(self, model: str) -> Sequence[int]:
        """Return the versions in the repository, oldest first."""
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
