"""A model server that reads no buckets: its folder follows a bucket's config and versions."""

import hashlib
import logging
from pathlib import Path

from smartgrid_core.serving import Served
from smartgrid_io.serving.folder import LocalModelFolder, S3ModelFolder
from smartgrid_io.serving.model_config import EMPTY, all_served, with_served

log = logging.getLogger(__name__)


class Mirror:
    """Keeps a local folder like the bucket: what the config names is there, with the same labels.

    Only models that the config lists by versions are followed. A version is downloaded once, aside,
    and renamed; the local config changes when all that it names is there, so that a mirror that is
    killed leaves what was before. Versions that are named no more are removed.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._bucket = S3ModelFolder(url)
        self._local = LocalModelFolder(folder)
        self._followed = ""

    def follow(self) -> bool:
        """Make the folder like the bucket; returns whether anything was to do.

        Raises OSError if the bucket does not answer or names a version that is not there yet,
        PublicationError for a config that cannot be read; nothing has changed then.
        """
        text = self._bucket.read_config() or EMPTY
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest == self._followed:
            return False
        wanted = all_served(text)
        for served in wanted:
            self._fetch(served)
        mirrored = EMPTY
        for served in wanted:
            base_path = self._local.base_path(served.model)
            mirrored = with_served(mirrored, served, base_path=base_path)
        with self._local.alone():
            self._local.write_config(mirrored)
        self._followed = digest
        self._forget(wanted)
        log.info("the folder follows the bucket: %s", [served.labels for served in wanted])
        return True

    def _fetch(self, served: Served) -> None:
        with self._local.alone(served.model):
            self._local.sweep(served.model)
            missing = set(served.versions) - set(self._local.versions(served.model))
            for version in sorted(missing):
                with self._bucket.fetched(model=served.model, version=version) as folder:
                    self._local.put(folder, model=served.model, version=version)

    def _forget(self, wanted: list[Served]) -> None:
        named = {served.model: served.versions for served in wanted}
        for model in self._local.models():
            for version in self._local.versions(model):
                if version not in named.get(model, ()):
                    self._local.remove(model, version)
