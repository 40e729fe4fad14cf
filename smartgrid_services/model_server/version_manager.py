"""Which versions of which models answer: loads those wanted, lets go of the rest, knows labels."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from smartgrid_services.model_server.model_config import VersionPolicy
from smartgrid_services.model_server.servables.signatures import Servable
from smartgrid_services.model_server.status import Code, ServingError
from smartgrid_services.model_server.versions import (
    Fingerprint,
    Versions,
    fingerprint_folder,
    fingerprint_graph,
)

log = logging.getLogger(__name__)

Load = Callable[[Path], Servable]
Labels = Mapping[str, Mapping[str, int]]
"""Versions by label, by model."""

_UNLOADED_REMEMBERED = 8
"""Versions that were let go of stay in the status; not for ever, a server runs for years."""


class State(IntEnum):
    """ModelVersionStatus.State of TensorFlow Serving."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True)
class VersionState:
    """One line of a model's status.

    Attributes:
        version: Number of the version.
        state: Where it is between its load and its end.
        code: Why its load failed; OK if it did not.
        message: The same in words; empty if it did not.
    """

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


@dataclass(slots=True, eq=False)
class LiveVersion:
    """A loaded version that requests may hold.

    Attributes:
        model: Name of the model.
        version: Number of the version.
        servable: What computes.
        graph: Fingerprint of the `saved_model.pb` that was loaded.
        users: Requests that hold it now.
        retired: Whether no further request may hold it.
    """

    model: str
    version: int
    servable: Servable
    graph: Fingerprint
    users: int = 0
    retired: bool = False
    small_seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    """What small requests took lately, by method and signature; what was not measured is long."""


@dataclass(frozen=True, slots=True)
class LoadRetry:
    """How often a version whose load failed is tried again.

    A folder that changes is tried at once, however often it failed before.

    Attributes:
        times: Attempts after the first one.
        seconds: Time between two attempts, s.
    """

    times: int = 5
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A load that failed.

    Attributes:
        folder: Fingerprint of the folder before the attempt.
        failures: Attempts that failed on this folder.
        again_at: Time of the manager's clock from which it is tried again, s.
    """

    folder: Fingerprint
    failures: int
    again_at: float


@dataclass(slots=True)
class _ModelRecord:
    """Everything that is known about one model.

    Attributes:
        live: Loaded versions by number.
        status: States by version, for the status requests.
        refused: Failed loads by version.
    """

    live: dict[int, LiveVersion] = field(default_factory=dict)
    status: dict[int, VersionState] = field(default_factory=dict)
    refused: dict[int, _Refusal] = field(default_factory=dict)


class VersionManager:
    """The versions that answer. One thread refreshes them, any number of requests hold them.

    Of every model those versions are live that its policy asks for, the `keep` newest ones if it
    has none; an older one takes the place of one that does not load. A version is retired only when
    those that take its place are live, and closed when the last request on it has ended.

    Args:
        load: Returns the servable of a version folder, or raises ServingError.
        keep: How many of the newest versions answer, of a model without a policy.
        retry: How often a failed load is tried again.
        clock: Monotonic time, s.
    """

    def __init__(
        self,
        load: Load,
        *,
        keep: int,
        retry: LoadRetry = LoadRetry(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._default = VersionPolicy(newest=keep)
        self._retry = retry
        self._clock = clock
        self._models: dict[str, _ModelRecord] = {}
        self._labels: Labels = {}
        self._lock = threading.Lock()

    def refresh(
        self,
        found: Mapping[str, Versions | None],
        policies: Mapping[str, VersionPolicy] | None = None,
    ) -> None:
        """Load and retire versions until those are live that the folders and policies ask for.

        A model that is None is left as it is; one that is missing has no versions any more.
        """
        for name in sorted({*found, *self._models}):
            versions = found.get(name, {})
            if versions is not None:
                policy = (policies or {}).get(name, self._default)
                self._refresh_model(name, versions, policy)

    def assign(self, labels: Labels, *, new_anywhere: bool) -> None:
        """Replace all labels. A label may point to a version that is AVAILABLE.

        With `new_anywhere` a label that does not exist yet, or stays where it is, may point to any
        version. Raises ServingError for one that may not, and then changes none.
        """
        with self._lock:
            for name, versions in labels.items():
                live = self._models[name].live if name in self._models else {}
                before = self._labels.get(name, {})
                for label, version in versions.items():
                    moved = before.get(label, version) != version
                    if version not in live and (moved or not new_anywhere):
                        raise ServingError(
                            Code.FAILED_PRECONDITION,
                            f"Request to assign label to version {version} of model {name}, "
                            "which is not currently available for inference",
                        )
            self._labels = {name: dict(versions) for name, versions in labels.items()}

    def close(self) -> None:
        """Retire every version; those that requests still hold are closed when the requests end."""
        self.refresh({})

    @contextmanager
    def hold(
        self, model: str, version: int | None = None, label: str | None = None
    ) -> Iterator[LiveVersion]:
        """Yield the version asked for, the newest live one for None, loaded in the block.

        Raises ServingError if it is not live, or the label is not known.
        """
        with self._lock:
            if label is not None:
                version = self._find_labelled(model, label)
            live = self._pick(model, version)
            live.users += 1
        try:
            yield live
        finally:
            with self._lock:
                live.users -= 1
                ended = live.retired and live.users == 0
            if ended:
                self._close(live)

    def peek(
        self, model: str, version: int | None = None, label: str | None = None
    ) -> LiveVersion | None:
        """Return the version that `hold` would give, without holding it; None for a refusal."""
        with self._lock:
            try:
                if label is not None:
                    version = self._find_labelled(model, label)
                return self._pick(model, version)
            except ServingError:
                return None

    def list_states(self, model: str, version: int | None = None) -> list[VersionState]:
        """Return the states of all versions, newest first, or of one; ServingError for none."""
        with self._lock:
            known = self._models.get(model)
            states = [] if known is None else list(known.status.values())
        if version is not None:
            states = [state for state in states if state.version == version]
            if not states:
                raise ServingError(
                    Code.NOT_FOUND, f"Could not find version {version} of model {model}"
                )
        if not states:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {model}")
        return sorted(states, key=lambda state: state.version, reverse=True)

    def list_live(self) -> dict[str, list[int]]:
        """Return the live versions of every model that has one, newest first."""
        with self._lock:
            return {
                name: sorted(model.live, reverse=True)
                for name, model in sorted(self._models.items())
                if model.live
            }

    def list_labels(self) -> dict[str, dict[str, int]]:
        """Return the versions by label of every model that has labels."""
        with self._lock:
            return {name: dict(versions) for name, versions in sorted(self._labels.items())}

    def _find_labelled(self, name: str, label: str) -> int:
        version = self._labels.get(name, {}).get(label)
        if version is None:
            raise ServingError(
                Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}"
            )
        return version

    def _pick(self, name: str, version: int | None) -> LiveVersion:
        live = self._models[name].live if name in self._models else {}
        if version is None and live:
            return live[max(live)]
        if version is not None and version in live:
            return live[version]
        asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {asked}")

    def _refresh_model(self, name: str, found: Versions, policy: VersionPolicy) -> None:
        with self._lock:
            model = self._models.setdefault(name, _ModelRecord())
        candidates = policy.select_candidates(found)
        wanted: list[int] = []
        for version in candidates:
            if len(wanted) == policy.newest:
                break
            if self._is_live(model, name, version, found[version]):
                wanted.append(version)
        if wanted or not candidates:
            surplus = [live for version, live in model.live.items() if version not in wanted]
            for live in surplus:
                self._retire(model, live)
        self._forget(name, model, candidates)

    def _is_live(self, model: _ModelRecord, name: str, version: int, folder: Path) -> bool:
        """Return whether the version answers, after an attempt to load a folder that is new.

        Args:
            model: The record of the model.
            name: Name of the model.
            version: Number of the version.
            folder: The version's folder.
        """
        graph = fingerprint_graph(folder)
        before = model.live.get(version)
        if before is not None and before.graph == graph:
            return True
        # Taken before the attempt, so that what changes during it is tried again.
        whole = fingerprint_folder(folder)
        refusal = model.refused.get(version)
        if refusal is not None and refusal.folder == whole and self._clock() < refusal.again_at:
            return before is not None
        if before is None:
            self._note(model, VersionState(version, State.LOADING))
        try:
            servable = self._load(folder)
        except ServingError as error:
            self._refuse(model, name, version, whole, error)
            return before is not None
        except Exception as error:
            log.exception("model %s version %s: the loader failed", name, version)
            unforeseen = ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}")
            self._refuse(model, name, version, whole, unforeseen)
            return before is not None
        model.refused.pop(version, None)
        with self._lock:
            model.live[version] = LiveVersion(name, version, servable, graph)
            model.status[version] = VersionState(version, State.AVAILABLE)
        log.info("model %s version %s is available", name, version)
        if before is not None:
            self._retire(model, before, replaced=True)
        return True

    def _refuse(
        self, model: _ModelRecord, name: str, version: int, whole: Fingerprint, error: ServingError
    ) -> None:
        """Remember a failed load; a live version that it was to replace goes on answering.

        Args:
            model: The record of the model.
            name: Name of the model.
            version: Number of the version.
            whole: Fingerprint of the folder before the attempt.
            error: Why the load failed.
        """
        log.warning(
            "model %s version %s cannot be loaded: %s: %s",
            name,
            version,
            error.code.name,
            error.message,
        )
        before = model.refused.get(version)
        failures = 1 if before is None or before.folder != whole else before.failures + 1
        again = self._clock() + self._retry.seconds if failures <= self._retry.times else math.inf
        model.refused[version] = _Refusal(whole, failures, again)
        if version not in model.live:
            self._note(model, VersionState(version, State.END, error.code, error.message))

    def _retire(self, model: _ModelRecord, live: LiveVersion, *, replaced: bool = False) -> None:
        """Give the version to no further request; it is closed when the last one has ended."""
        with self._lock:
            if not replaced:
                del model.live[live.version]
                model.status[live.version] = VersionState(live.version, State.UNLOADING)
            live.retired = True
            idle = live.users == 0
        log.info("model %s version %s is let go of", live.model, live.version)
        if idle:
            self._close(live)

    def _close(self, live: LiveVersion) -> None:
        live.servable.close()
        with self._lock:
            model = self._models.get(live.model)
            state = None if model is None else model.status.get(live.version)
            if model is not None and state is not None and state.state is State.UNLOADING:
                model.status[live.version] = VersionState(live.version, State.END)

    def _note(self, model: _ModelRecord, state: VersionState) -> None:
        with self._lock:
            model.status[state.version] = state

    def _forget(self, name: str, model: _ModelRecord, candidates: list[int]) -> None:
        """Drop failures of unwanted versions, old ended versions, and empty models."""
        with self._lock:
            for version in [version for version in model.refused if version not in candidates]:
                del model.refused[version]
                if version not in model.live:
                    model.status.pop(version, None)
            ended = sorted(
                version
                for version, state in model.status.items()
                if state.state is State.END and version not in model.refused
            )
            for version in ended[:-_UNLOADED_REMEMBERED]:
                del model.status[version]
            if not candidates and not model.status:
                del self._models[name]
