"""The model repository: versions for the model server, their config, and the reload of changes."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smartgrid_core.errors import ModelUnavailableError, PublicationError
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving import publisher
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.model_config import (
    EMPTY_CONFIG,
    parse_config,
    read_all_served,
    read_served,
    write_served,
)
from smartgrid_io.serving.model_folder import (
    ModelFolder,
    open_model_folder,
    raise_publication_errors,
    refuse_name,
)

log = logging.getLogger(__name__)

FIRST_ANSWER_S = 60.0
"""A model server that has just been started imports TensorFlow for a quarter of a minute."""

_POLL_SECONDS = 0.05


@dataclass
class ModelServerRepository:
    """Versions below `base` (a folder or `s3://bucket/prefix`), and the config that names and
    labels them.

    The config file is what counts. The server is asked to reload it and would find it by itself:
    one that is away takes it when it starts.
    """

    base: str
    """The folder, or `s3://bucket/prefix`."""
    client: ModelServerClient
    """Asks the server that serves from `base`."""
    patience_s: float = FIRST_ANSWER_S
    """Longest wait for the server, s."""
    _refusal: str | None = field(default=None, init=False)
    """Why the server did not take the last change."""

    def read_state(self, model: str) -> ServingState:
        """Return what the config has of a model. Raises PublicationError if it cannot be read."""
        return read_served(self._read_config(), model)

    def all_served(self) -> list[ServingState]:
        """Return what the config has of every model, in its order. Raises PublicationError."""
        return read_all_served(self._read_config())

    def update_state(
        self, model: str, move: Callable[[ServingState], ServingState]
    ) -> ServingState:
        """Apply one move and return what is served then; the config is replaced, then the server
        reloads it.

        A move that changes nothing asks the server once more: the process that asked first may
        have died. Raises PublicationError if the config cannot be read or written.
        """
        refuse_name(model)
        folder = self._folder

        def apply_move(text: str | None) -> str:
            before = read_served(text or EMPTY_CONFIG, model)
            after = move(before)
            if after == before:
                return text or EMPTY_CONFIG
            return write_served(text or EMPTY_CONFIG, after, base_path=folder.get_base_path(model))

        with raise_publication_errors(self.base, step="config"), folder.hold():
            text = folder.change_config(apply_move)
            # Still alone: the first change is reloaded first, and the server ends with the last.
            self._reload(text)
            # A bucket cannot be held: if another publisher changed the config meanwhile, the
            # server may have reloaded that one first.
            reloaded = text
            while (newest := folder.read_config() or EMPTY_CONFIG) != reloaded:
                self._reload(newest)
                reloaded = newest
        return read_served(text, model)

    def list_versions(self, model: str) -> Sequence[int]:
        """Return the versions that lie in the repository, oldest first."""
        return publisher.list_published_versions(base=self.base, model=model)

    def publish(self, saved_model: Path, *, model: str, version: int) -> str:
        """Put a version there, whole or not at all, and return where; the same again changes
        nothing.
        """
        ensure_config(self.base)
        return publisher.publish_version(saved_model, base=self.base, model=model, version=version)

    def wait_until_live(self, model: str, version: int) -> None:
        """Return once the server answers with it. Raises PublicationError."""
        publisher.wait_until_available(self.client, model, version, timeout=self.patience_s)

    def wait_until_labelled(self, model: str, label: str, version: int) -> None:
        """Return once the server answers under the label with this version.

        Raises PublicationError with the server's reason if it refused the last change.
        """
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                answering = self.client.find_labelled_version(model, label)
                if answering == str(version):
                    return
                cause = f"the label means {answering or 'nothing'}"
            except ModelUnavailableError as error:
                cause = str(error)
            if time.monotonic() >= deadline:
                refusal = f"; {self._refusal}" if self._refusal else ""
                raise PublicationError(
                    f"label: {label} of {model} is not version {version} after "
                    f"{self.patience_s:g} s: {cause}{refusal}"
                )
            time.sleep(_POLL_SECONDS)

    def withdraw(self, model: str, version: int) -> None:
        """Take a version's files away; none is no error."""
        publisher.withdraw_version(base=self.base, model=model, version=version)

    def prune(self, model: str) -> Sequence[int]:
        """Remove versions too old to fall back to that are not served; return which."""
        return publisher.prune_versions(
            base=self.base, model=model, spare=self.read_state(model).versions
        )

    @property
    def _folder(self) -> ModelFolder:
        return open_model_folder(self.base)

    def _read_config(self) -> str:
        with raise_publication_errors(self.base, step="config"):
            return self._folder.read_config() or EMPTY_CONFIG

    def _reload(self, text: str) -> None:
        """Ask the server to reload the config; keep its reason if it does not."""
        self._refusal = None
        try:
            self.client.reload_config(parse_config(text).SerializeToString())
        except ModelUnavailableError as error:
            self._refusal = str(error)
            log.warning("%s; it will find the file", error)


def ensure_config(base: str) -> None:
    """Make the config of a folder that has none, so that a server may be started on it.

    Models that were published before there was a config keep answering: the newest version of each
    is stable, the ones before are kept loaded.
    """
    folder = open_model_folder(base)

    def write_first(text: str | None) -> str:
        if text is not None:
            return text
        text = EMPTY_CONFIG
        for model in folder.list_models():
            served = ServingState(model)
            for version in folder.list_versions(model):
                served = served.promote() if served.canary else served
                served = served.add_trial(version).give_label(version)
            served = served.promote() if served.canary else served
            text = write_served(text, served, base_path=folder.get_base_path(model))
        return text

    with raise_publication_errors(base, step="config"), folder.hold():
        folder.change_config(write_first)
