"""The models' config of a bucket, copied to where a model server reads it."""

import logging
from pathlib import Path

from smartgrid_io.serving.model_config import EMPTY_CONFIG, read_all_served
from smartgrid_io.serving.model_folder import LocalModelFolder, S3ModelFolder

log = logging.getLogger(__name__)


class ConfigMirror:
    """Keeps `<folder>/models.config` like the bucket's; the versions it names stay in the bucket.

    The model server copies those itself, as it does for every base path that is a URL.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._bucket = S3ModelFolder(url)
        self._local = LocalModelFolder(folder)

    def follow(self) -> bool:
        """Copy the config if it has changed; return whether it had.

        Raises OSError if the bucket does not answer, PublicationError for a config that cannot be
        read; the copy stays as it was then.
        """
        text = self._bucket.read_config() or EMPTY_CONFIG
        if text == self._local.read_config():
            return False
        labels = {served.model: served.labels for served in read_all_served(text)}
        with self._local.hold():
            self._local.change_config(lambda _: text)
        log.info("the models' config of the bucket is in effect: %s", labels)
        return True
