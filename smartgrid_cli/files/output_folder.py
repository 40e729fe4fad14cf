"""A folder of results that is there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smartgrid_core.errors import ConfigurationError


def check_output_folder(out: Path) -> None:
    """Raise ConfigurationError if `out` is something else than a folder, before long work."""
    above = next(parent for parent in (out, *out.resolve().parents) if parent.exists())
    if not above.is_dir():
        where = "of that name" if above == out else f"at {above}"
        raise ConfigurationError(f"--out {out}: there is a file {where}; name a folder")
    if not os.access(above, os.W_OK):
        raise ConfigurationError(f"--out {out}: {above} cannot be written to")


@contextmanager
def open_output_folder(out: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `out`; its files move to `out` when all are written."""
    check_output_folder(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        parts = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ConfigurationError(f"--out {out}: cannot be made: {error}") from error
    try:
        yield parts
        out.mkdir(exist_ok=True)
        for part in sorted(parts.iterdir()):
            part.replace(out / part.name)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
