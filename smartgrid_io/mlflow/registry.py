"""The model registry on MLflow: trainings, the SavedModels they made, versions and aliases.

Every call names its run: MLflow's "active run" is one per process, and assets run in threads.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import polars as pl

from smartgrid_core.errors import ConfigurationError, PublicationError
from smartgrid_core.model_protocols import ModelVersion, RunStatus
from smartgrid_core.time import Window
from smartgrid_io.mlflow.saved_model import SAVED_MODEL_DIR, write_mlflow_model

if TYPE_CHECKING:
    from mlflow.client import MlflowClient
    from mlflow.entities import Run

MODEL_ID_TAG = "smartgrid.model_id"
"""Tag of a run: the id of the logged model that it made."""

ANSWER_TIMEOUT_S = 5.0
"""A server that runs answers at once; MLflow's own client would try for four minutes."""

PARAMS_PER_CALL, METRICS_PER_CALL = 100, 1000
"""The server refuses longer batches."""

LONGEST_PARAM, LONGEST_TAG = 6_000, 5_000
"""The server refuses longer texts."""

PARENT_TAG = "mlflow.parentRunId"
"""MLflow shows a run that bears it below its parent."""

ERROR_TAG = "smartgrid.error"
"""On a trial that failed: why."""


class MlflowRegistry:
    """Trainings with their data, scores and models; versions of a model and their aliases."""

    def __init__(self, tracking_uri: str) -> None:
        """`tracking_uri` is the server's URL or a database URL; nothing is asked of it yet."""
        self.tracking_uri = tracking_uri
        self._opened: MlflowClient | None = None
        self._experiment_of_run: dict[str, str] = {}

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
        """Write a training down and return its run id; the run stays open until `finish`.

        A training that cannot be written down entirely ends FAILED.

        Args:
            experiment: Name of the MLflow experiment; made if there is none yet.
            params: Parameters of the training, written as text.
            metrics: Metrics by name; those that are None are left out.
            data_window: The span of the training data; written as `data_start` and `data_end`.
            figures: Plotly figures, kept together on one page that needs no network, Matplotlib
                figures (PNG), or whole HTML pages as text, by name.
            tables: Frames by name, kept as CSV.
            tags: Tags of the run.
            run_name: The run's name; MLflow makes one up for None.

        Returns:
            The run id.

        Raises:
            ConfigurationError: The server does not answer.
        """
        client = self._open_client()
        run = client.create_run(
            self._ensure_experiment(experiment), tags=dict(tags or {}), run_name=run_name
        )
        run_id = str(run.info.run_id)
        window = {
            "data_start": data_window.start.isoformat(),
            "data_end": data_window.end.isoformat(),
        }
        try:
            self._log_params(run_id, {**params, **window})
            self._log_metrics(run_id, metrics)
            with tempfile.TemporaryDirectory() as folder:
                _write_figures(Path(folder), figures or {})
                for name, table in (tables or {}).items():
                    table.write_csv(Path(folder) / f"{_to_metric_name(name)}.csv")
                client.log_artifacts(run_id, folder)
        except BaseException:
            self.finish(run_id, "FAILED")
            raise
        return run_id

    def _log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Write parameters of a run as text, as many at a time as the server takes."""
        from mlflow.entities import Param

        all_params = [Param(name, str(value)) for name, value in params.items()]
        for batch in _split_into_batches(all_params, PARAMS_PER_CALL):
            self._open_client().log_batch(run_id, params=batch)

    def _log_metrics(self, run_id: str, metrics: Mapping[str, float | None]) -> None:
        """Write the metrics of a run that are not None, as many at a time as the server takes."""
        from mlflow.entities import Metric

        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        known = [
            Metric(_to_metric_name(name), float(value), now_ms, 0)
            for name, value in metrics.items()
            if value is not None
        ]
        for batch in _split_into_batches(known, METRICS_PER_CALL):
            self._open_client().log_batch(run_id, metrics=batch)

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
        """Write down one trial of a search as a finished run within its parent; return its run id.

        Metrics: `fold_mae`, mean absolute error with the fold as step, `mae`, their mean,
        `seconds` and `memory_mb`. Four short calls, the health of the server among them: a search
        has no time to wait.

        Args:
            parent_run_id: The run of the search.
            name: The trial's name.
            params: What the trial tried, written as text.
            fold_scores: Mean absolute error per fold, kW; empty for a trial that failed before a
                fold.
            seconds: How long the trial took, s.
            memory_mb: Peak memory of the trial, MB.
            error: Why the trial failed, kept as tag `smartgrid.error`; the run is FAILED then.

        Returns:
            The run id of the trial.

        Raises:
            ConfigurationError: The server does not answer.
        """
        from mlflow.entities import Metric, Param, RunTag

        _require_server(self.tracking_uri)
        client = self._open_client()
        if parent_run_id not in self._experiment_of_run:
            parent = client.get_run(parent_run_id)
            self._experiment_of_run[parent_run_id] = str(parent.info.experiment_id)
        ended = int(datetime.now(UTC).timestamp() * 1000)
        run = client.create_run(
            self._experiment_of_run[parent_run_id],
            start_time=ended - round(1000 * seconds),
            tags={PARENT_TAG: parent_run_id},
            run_name=name,
        )
        metrics = {"seconds": seconds, "memory_mb": memory_mb}
        if fold_scores:
            metrics["mae"] = sum(fold_scores) / len(fold_scores)
        first, *others = list(
            _split_into_batches(
                [
                    Param(_to_metric_name(key), str(value)[:LONGEST_PARAM])
                    for key, value in params.items()
                ],
                PARAMS_PER_CALL,
            )
        ) or [[]]
        client.log_batch(
            run.info.run_id,
            metrics=[
                *(Metric(key, float(value), ended, 0) for key, value in metrics.items()),
                *(Metric("fold_mae", float(s), ended, fold) for fold, s in enumerate(fold_scores)),
            ],
            params=first,
            tags=[] if error is None else [RunTag(ERROR_TAG, error[:LONGEST_TAG])],
        )
        for batch in others:
            client.log_batch(run.info.run_id, params=batch)
        client.set_terminated(run.info.run_id, "FINISHED" if error is None else "FAILED", ended)
        return str(run.info.run_id)

    def log_saved_model(self, run_id: str, folder: Path, *, example: pl.DataFrame) -> str:
        """Keep a SavedModel with the run; return its URI, `models:/<model id>`.

        `example` has a column per input; people see it and the signature beside the model. A run
        keeps one model: asked again, the one that is there is named.
        """
        from mlflow.entities import LoggedModelOutput

        client = self._open_client()
        run = client.get_run(run_id)
        if (model_id := run.data.tags.get(MODEL_ID_TAG)) is not None:
            return f"models:/{model_id}"
        model = client.create_logged_model(
            run.info.experiment_id, name="forecaster", source_run_id=run_id, model_type="forecaster"
        )
        try:
            with tempfile.TemporaryDirectory() as place:
                write_mlflow_model(
                    Path(place), saved_model=folder, example=example, run_id=run_id, model=model
                )
                client.log_model_artifacts(model.model_id, place)
            client.finalize_logged_model(model.model_id, "READY")
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
        except BaseException:
            client.finalize_logged_model(model.model_id, "FAILED")
            raise
        client.set_tag(run_id, MODEL_ID_TAG, model.model_id)
        return f"models:/{model.model_id}"

    def register(self, name: str, run_id: str) -> ModelVersion:
        """Return the version of `name` that holds the run's model; made if there is none yet.

        Raises PublicationError for a run that has no SavedModel.
        """
        from mlflow.exceptions import MlflowException

        client = self._open_client()
        run = client.get_run(run_id)
        model_id = run.data.tags.get(MODEL_ID_TAG)
        if model_id is None:
            raise PublicationError(f"run {run_id} has no SavedModel: call log_saved_model first")
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        version = (
            made[0]
            if made
            else client.create_model_version(
                name, f"models:/{model_id}", run_id=run_id, model_id=model_id
            )
        )
        return _to_model_version(version)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let `alias` mean this version from now on; it leaves the one that had it."""
        self._open_client().set_registered_model_alias(name, alias, version)

    def find_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Return the version that bears the alias; None if none does or there is no such model."""
        from mlflow.exceptions import MlflowException

        try:
            return _to_model_version(self._open_client().get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def read_params(self, version: ModelVersion) -> Mapping[str, str]:
        """Return the parameters of its training as text: `forecaster`, `data_end` and more."""
        return dict(self._open_client().get_run(version.run_id).data.params)

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Fetch the version's SavedModel into `folder`; return where it lies.

        The input example lies beside it as `input_example.json`.
        """
        from mlflow.artifacts import download_artifacts

        client = self._open_client()
        folder.mkdir(parents=True, exist_ok=True)
        source = client.get_model_version_download_uri(version.name, version.version)
        place = download_artifacts(
            artifact_uri=source, dst_path=str(folder), tracking_uri=self.tracking_uri
        )
        return Path(place) / SAVED_MODEL_DIR

    def find_by_tag(self, experiment: str, key: str, value: str) -> str | None:
        """Return the newest finished run of the experiment with that tag; None if there is none."""
        runs = self._search_runs(experiment, f"tags.`{key}` = '{value}' and status = 'FINISHED'")
        return str(runs[0].info.run_id) if runs else None

    def fail_unfinished(self, experiment: str, key: str, value: str) -> int:
        """End as FAILED what a killed process left running under that tag; return how many."""
        runs = self._search_runs(experiment, f"tags.`{key}` = '{value}' and status = 'RUNNING'")
        for run in runs:
            self.finish(run.info.run_id, "FAILED")
        return len(runs)

    def finish(self, run_id: str, status: RunStatus) -> None:
        """Close the run as FINISHED or FAILED."""
        self._open_client().set_terminated(run_id, status)

    def _search_runs(self, experiment: str, condition: str) -> list["Run"]:
        known = self._open_client().get_experiment_by_name(experiment)
        if known is None:
            return []
        return list(
            self._open_client().search_runs(
                [known.experiment_id], condition, order_by=["attributes.start_time DESC"]
            )
        )

    def _ensure_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        client = self._open_client()
        known = client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        try:
            return client.create_experiment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        known = client.get_experiment_by_name(name)  # another process was faster
        if known is None:
            raise ConfigurationError(f"experiment {name!r} of {self.tracking_uri} was deleted")
        return str(known.experiment_id)

    def _open_client(self) -> "MlflowClient":
        if self._opened is None:
            _require_server(self.tracking_uri)
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
            from mlflow.client import MlflowClient

            self._opened = MlflowClient(self.tracking_uri, self.tracking_uri)
        return self._opened


def _require_server(tracking_uri: str) -> None:
    if not tracking_uri.startswith("http"):
        return
    try:
        httpx.get(f"{tracking_uri}/health", timeout=ANSWER_TIMEOUT_S).raise_for_status()
    except httpx.HTTPError as error:
        raise ConfigurationError(
            f"MLflow does not answer at {tracking_uri} ({error}): start it with `smartgrid up`, or"
            " set SMARTGRID_MLFLOW_URL, for example http://127.0.0.1:5500"
        ) from error


def _to_model_version(version: Any) -> ModelVersion:
    return ModelVersion(
        name=version.name,
        version=str(version.version),
        run_id=version.run_id,
        aliases=tuple(sorted(version.aliases)),
    )


def _to_metric_name(name: str) -> str:
    """Return a name that MLflow takes for a metric; a feeder may have any name."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


def _split_into_batches(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _write_figures(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write HTML pages as they are, Matplotlib as PNG, and all Plotly figures on one page."""
    plots: list[str] = []
    for name, figure in figures.items():
        if isinstance(figure, str):
            (folder / f"{_to_metric_name(name)}.html").write_text(figure, encoding="utf-8")
        elif hasattr(figure, "savefig"):
            figure.savefig(folder / f"{_to_metric_name(name)}.png")
        else:
            plots.append(figure.to_html(full_html=False, include_plotlyjs=not plots))
    if plots:
        page = f'<!doctype html><meta charset="utf-8"><title>figures</title>{"".join(plots)}'
        (folder / "figures.html").write_text(page, encoding="utf-8")
