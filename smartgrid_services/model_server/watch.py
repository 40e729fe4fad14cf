"""Follows the config file and the folders, and tells the manager what shall answer."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smartgrid_core.errors import ServerError
from smartgrid_services.model_server.mirror import Mirror
from smartgrid_services.model_server.model_config import ModelConfig, Models, read_model_config
from smartgrid_services.model_server.status import Code, ServingError
from smartgrid_services.model_server.version_manager import State, VersionManager
from smartgrid_services.model_server.versions import Versions, find_versions, list_versions

log = logging.getLogger(__name__)

CONFIG_NAME = "models.config"
"""The config file below a base path, where no other is named."""


@dataclass(frozen=True, slots=True)
class ModelSources:
    """Where the names of models and their versions come from.

    `base_path` is scanned for models; those that a config file lists follow the file instead.
    Without it only models of the file, or of a config that was sent, are served.

    Attributes:
        base_path: Folder of model folders; None if only a config names models.
        config_file: A ModelServerConfig in text form; None if there is none to follow.
    """

    base_path: Path | None = None
    config_file: Path | None = None
    config_required: bool = False
    """Whether a missing file is an error; one that may appear below a base path is not."""
    config_poll_seconds: float = 1.0
    """Zero reads the file once."""
    models: Models | None = None
    """Models that are served from the start, until a config replaces them."""
    mirror: Mirror | None = None
    """Where version folders of URLs are copied to."""
    new_labels_anywhere: bool = True
    """Whether a new label may point to a version that is not AVAILABLE yet."""


class ModelWatch:
    """What is configured and what lies in the folders; one thread looks, any may send a config.

    A config that cannot be read, or may not be applied, changes nothing; it is logged and tried
    again with the next poll, since a label may wait for its version.
    """

    def __init__(self, manager: VersionManager, sources: ModelSources) -> None:
        self._manager = manager
        self._sources = sources
        self._models: Models = sources.models or {}
        self._scans = sources.base_path is not None
        self._applied: Models | None = None
        """The file's content when last applied: a sent config holds until it changes."""
        self._read_at: float | None = None
        self._trouble: dict[str, str] = {}
        """Why a model's folder, or the config file (""), cannot be followed."""
        self._applying = threading.Lock()
        self._looked = threading.Condition()
        self._looks_begun = 0
        self._looks_ended = 0
        self._wanted = threading.Event()

    def look(self) -> None:
        """Read what changed in the config and the folders, and refresh the live versions.

        Raises OSError if the base path cannot be read, ServerError for a config file that cannot be
        used and would be read only once.
        """
        self._wanted.clear()
        with self._looked:
            self._looks_begun += 1
        try:
            self._read_config()
            with self._applying:
                models, scans = self._models, self._scans
            found = self._find(models, scans=scans)
            policies = {name: model.policy for name, model in models.items()}
            self._manager.refresh(found, policies)
        finally:
            with self._looked:
                self._looks_ended = self._looks_begun
                self._looked.notify_all()

    def wait(self, seconds: float) -> None:
        """Return after the seconds, or at once when a config was sent or `wake` called."""
        self._wanted.wait(seconds)

    def wake(self) -> None:
        """End the current or the next wait."""
        self._wanted.set()

    def reload(self, models: Models, *, timeout: float) -> None:
        """Serve these models and no others; returns when those that are new answer.

        A config that equals the file is treated as the file: below a base path it rules the models
        that it lists and leaves the others to the folders.

        Raises ServingError if the config may not be applied, and then changes nothing, or if a new
        model has no version that loads, or none after `timeout` seconds.
        """
        with self._applying:
            new = sorted(set(models) - set(self._models))
            self._apply(
                models, scans=self._sources.base_path is not None and self._is_in_file(models)
            )
        with self._looked:
            awaited = self._looks_begun + 1
            self._wanted.set()
            if not self._looked.wait_for(lambda: self._looks_ended >= awaited, timeout):
                raise ServingError(
                    Code.DEADLINE_EXCEEDED, f"not all models were looked at in {timeout:g} s"
                )
        missing = [name for name in new if not self._manager.list_live().get(name)]
        if missing:
            missing_text = ", ".join(
                f"{{name: {name}}} due to error: {self._explain(name)}" for name in missing
            )
            raise ServingError(
                Code.UNKNOWN,
                f"{len(missing)} model(s) did not become available: {{{missing_text}}}",
            )

    def list_reasons(self) -> list[str]:
        """Return why not everything that is configured answers; empty if all of it does."""
        live, labels = self._manager.list_live(), self._manager.list_labels()
        with self._applying:
            models = self._models
        trouble = self._trouble.get("")
        if not models:
            if trouble is not None:
                return [trouble]
            return [] if live else ["no version of any model is live"]
        reasons = [
            f"model {name}: no version is AVAILABLE: {self._explain(name)}"
            for name in models
            if not live.get(name)
        ]
        for name, versions in labels.items():
            reasons += [
                f"model {name}: label {label} points to version {version}, which is not AVAILABLE"
                for label, version in versions.items()
                if version not in live.get(name, [])
            ]
        return reasons

    def find_config_trouble(self) -> str | None:
        """Return why the config file is not in effect; None if it is, or there is none."""
        return self._trouble.get("")

    def _read_config(self) -> None:
        path, poll = self._sources.config_file, self._sources.config_poll_seconds
        now = time.monotonic()
        if path is None or (
            self._read_at is not None and (poll == 0 or now - self._read_at < poll)
        ):
            return
        self._read_at = now
        if not self._sources.config_required and not path.exists():
            if self._applied is None:
                return
            self._report_trouble("", f"{path} is gone, what it said stays in effect")
            return
        try:
            models = read_model_config(path)
            if models != self._applied:
                with self._applying:
                    self._apply(models, scans=self._sources.base_path is not None)
                self._applied = models
                log.info("the model config %s is in effect: %s", path, ", ".join(sorted(models)))
        except ServingError as error:
            if self._sources.config_required and poll == 0:
                raise ServerError(f"the model config cannot be used: {error.message}") from error
            self._report_trouble("", f"the model config changes nothing: {error.message}")
            return
        self._trouble.pop("", None)

    def _is_in_file(self, models: Models) -> bool:
        path = self._sources.config_file
        if path is None:
            return False
        try:
            return read_model_config(path) == models
        except ServingError:
            return False

    def _apply(self, models: Models, *, scans: bool) -> None:
        self._manager.assign(
            {name: model.labels for name, model in models.items() if model.labels},
            new_anywhere=self._sources.new_labels_anywhere,
        )
        self._models, self._scans = models, scans

    def _find(self, models: Models, *, scans: bool) -> Mapping[str, Versions | None]:
        found: dict[str, Versions | None] = {}
        if scans and self._sources.base_path is not None:
            found.update(find_versions(self._sources.base_path))
        for name, model in models.items():
            found[name] = self._find_versions(model)
        for name in [name for name in self._trouble if name and name not in models]:
            del self._trouble[name]
        return found

    def _find_versions(self, model: ModelConfig) -> Versions | None:
        try:
            versions = (
                self._sources.mirror.copy_versions(model)
                if "://" in model.base_path and self._sources.mirror is not None
                else list_versions(Path(model.base_path))
            )
        except FileNotFoundError:
            self._report_trouble(
                model.name,
                f"Could not find base path {model.base_path} for servable {model.name}",
            )
            return None
        except OSError as error:
            self._report_trouble(model.name, f"base path {model.base_path} cannot be read: {error}")
            return None
        self._trouble.pop(model.name, None)
        return versions

    def _report_trouble(self, name: str, trouble: str) -> None:
        """Log what is wrong when it is new."""
        if self._trouble.get(name) != trouble:
            log.error("%s", trouble)
        self._trouble[name] = trouble

    def _explain(self, name: str) -> str:
        # Asked from any thread, while the one that looks may find that the trouble is over.
        trouble = self._trouble.get(name)
        if trouble is not None:
            return trouble
        try:
            states = self._manager.list_states(name)
        except ServingError as error:
            return error.message
        newest = states[0]
        if newest.state is State.LOADING:
            return f"version {newest.version} is LOADING"
        return (
            f"version {newest.version} is {newest.state.name}: {newest.message or newest.code.name}"
        )
