"""`python -m smartgrid_services.config_mirror`: a model server follows a bucket's config."""

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from smartgrid_core.errors import SmartGridError
from smartgrid_io.serving.config_mirror import ConfigMirror

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy a bucket's config to the folder again and again, until the process is ended.

    A failure is logged when it is new, and tried again.
    """
    parser = argparse.ArgumentParser(prog="python -m smartgrid_services.config_mirror")
    parser.add_argument("--url", required=True, help="s3://bucket/prefix of the models")
    parser.add_argument("--folder", type=Path, required=True, help="where its models.config goes")
    parser.add_argument("--poll-seconds", type=float, default=1.0, help="between two looks")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    mirror, trouble = ConfigMirror(options.url, options.folder), ""
    while True:
        try:
            mirror.follow()
            trouble = ""
        except (SmartGridError, OSError) as error:
            if str(error) != trouble:
                log.warning("the bucket cannot be followed, tried again: %s", error)
            trouble = str(error)
        time.sleep(options.poll_seconds)


if __name__ == "__main__":
    main()
