"""Publication of SavedModels into a model server's folder: whole or not at all.

A version appears by one rename of a hidden folder that is already on the disk, so a process that
is killed at any moment leaves the old versions or the old and the new, never a half one. What it
leaves of the hidden folder is swept by the next publication. The layout is TensorFlow Serving's:
`<base>/<model>/<version>/saved_model.pb`.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from smartgrid_core.errors import ModelUnavailableError, PublicationError
from smartgrid_io.serving.client import QUANTILES, VersionStatus

FEWEST_KEPT = 3
"""The live version, the one to fall back to, and the one that a request may still be in."""

_UNFINISHED = ".publishing-"
_WITHDRAWN = ".withdrawn-"
_LOCK = ".lock"
_POLL_SECONDS = 0.2
_VERSION = re.compile(r"[1-9][0-9]*")
_MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


class VersionSource(Protocol):
    """Says what a model server does with each version; `ModelServerClient` is one."""

    def version_status(self, model: str) -> Sequence[VersionStatus]:
        """Every version that the server knows of."""
        ...


def publish(saved_model: Path, *, base: str, model: str, version: int) -> Path:
    """Make the SavedModel folder the version of the model; returns the version's folder.

    A version is never overwritten: the same content again changes nothing, other content raises
    PublicationError. It also does so for a folder that is no SavedModel, or a name or number that
    the server would not take.
    """
    source = Path(saved_model)
    if not (source / "saved_model.pb").is_file():
        raise PublicationError(f"copy: {source} is no SavedModel, it has no saved_model.pb")
    if version < 1:
        raise PublicationError(f"copy: version {version} of {model}: versions count from 1")
    folder = _model_folder(base, model)
    folder.mkdir(parents=True, exist_ok=True)
    _sync(folder.parent)
    target = folder / str(version)
    with _alone_in(folder):
        _sweep(folder)
        if target.exists():
            if _digest(target) != _digest(source):
                raise PublicationError(
                    f"rename: {target} exists with other content; publish a new version"
                )
            return target
        hidden = folder / f"{_UNFINISHED}{version}-{uuid.uuid4().hex[:8]}"
        try:
            _copy_durably(source, hidden)
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            raise PublicationError(f"copy: {source} to {folder}: {error}") from error
        os.rename(hidden, target)  # noqa: PTH104  # refuses a folder that is not empty
        _sync(folder)
    return target


def withdraw(*, base: str, model: str, version: int) -> None:
    """Take a version away, so that the server goes back to the one before; none is no error."""
    folder = _model_folder(base, model)
    if not folder.is_dir():
        return
    with _alone_in(folder):
        _remove(folder, version)


def prune(*, base: str, model: str, keep: int = FEWEST_KEPT) -> list[int]:
    """Remove the oldest versions beyond `keep` (at least 3); returns what was removed."""
    if keep < FEWEST_KEPT:
        raise PublicationError(
            f"prune: {model} keeps at least {FEWEST_KEPT} versions, asked for {keep}"
        )
    folder = _model_folder(base, model)
    if not folder.is_dir():
        return []
    with _alone_in(folder):
        _sweep(folder)
        surplus = published_versions(base=base, model=model)[:-keep]
        for version in surplus:
            _remove(folder, version)
    return surplus


def published_versions(*, base: str, model: str) -> list[int]:
    """Versions that lie in the model's folder, oldest first."""
    folder = _model_folder(base, model)
    if not folder.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in folder.iterdir()
        if _VERSION.fullmatch(entry.name) and entry.is_dir()
    )


def wait_until_available(
    client: VersionSource, model: str, version: int | str, timeout: float = 60.0
) -> None:
    """Return as soon as the server answers with this version.

    Raises PublicationError if the server could not load it, or not within `timeout` seconds; the
    text has the server's own words.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            statuses = client.version_status(model)
            seen = {status.version: status for status in statuses}
            found = seen.get(str(version))
            if found is not None and found.available:
                return
            if found is not None and found.failed:
                raise PublicationError(
                    f"load: version {version} of {model} was refused by the model server: "
                    f"{found.error_code}: {found.error_message}"
                )
            known = ", ".join(f"{status.version} {status.state}" for status in statuses)
            last = f"the server knows {known or 'no version'}"
        except ModelUnavailableError as error:
            last = str(error)
        if time.monotonic() >= deadline:
            raise PublicationError(
                f"load: version {version} of {model} is not live after {timeout:g} s: {last}"
            )
        time.sleep(_POLL_SECONDS)


def golden_parity(served: pl.DataFrame, offline: pl.DataFrame, tolerance: float = 1e-4) -> float:
    """The largest difference between served and offline quantiles of the same rows.

    served, offline: p10, p50, p90 in kW, in the same row order. A difference counts relative to
    the offline value, absolutely below 1 kW: |served - offline| / max(1, |offline|), because
    float32 holds seven digits of whatever size. Raises PublicationError naming the worst row if
    it exceeds `tolerance`, for an answer that is not finite, another number of rows, or none.
    """
    if served.height != offline.height:
        raise PublicationError(
            f"parity: {served.height} rows were served for {offline.height} golden rows"
        )
    if offline.height == 0:
        raise PublicationError("parity: the golden batch is empty, which proves nothing")
    apart = {
        name: _relative_difference(served=served[name], offline=offline[name]) for name in QUANTILES
    }
    name = max(QUANTILES, key=lambda quantile: float(apart[quantile].max()))
    row = int(apart[name].argmax())
    worst = float(apart[name][row])
    if worst > tolerance:
        raise PublicationError(
            f"parity: {name} of golden row {row} is {served[row, name]} served and "
            f"{offline[row, name]} offline, apart by {worst:.3g} of {tolerance:g} allowed"
        )
    return worst


def _relative_difference(*, served: pl.Series, offline: pl.Series) -> NDArray[np.float64]:
    """|served - offline| / max(1, |offline|), infinite where either is not finite or null."""
    left, right = served.cast(pl.Float64).to_numpy(), offline.cast(pl.Float64).to_numpy()
    with np.errstate(invalid="ignore"):
        apart = np.abs(left - right) / np.maximum(1.0, np.abs(right))
    return np.where(np.isfinite(left) & np.isfinite(right), apart, np.inf)


def _model_folder(base: str, model: str) -> Path:
    if "://" in base:
        raise PublicationError(
            f"copy: {base} is no local folder; mount it where the model server sees it"
        )
    if not _MODEL_NAME.fullmatch(model):
        raise PublicationError(
            f"copy: {model!r} cannot name a model: letters, digits, _ - and . only"
        )
    return Path(base) / model


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the model's folder against other publishers; a killed one lets go by itself."""
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(folder: Path) -> None:
    """Remove what killed publications and withdrawals left; only while holding the folder."""
    for entry in folder.iterdir():
        if entry.name.startswith((_UNFINISHED, _WITHDRAWN)):
            shutil.rmtree(entry)


def _remove(folder: Path, version: int) -> None:
    """Hide the version by one rename, then delete it, so that no half of it is ever seen."""
    target = folder / str(version)
    if not target.exists():
        return
    hidden = folder / f"{_WITHDRAWN}{version}-{uuid.uuid4().hex[:8]}"
    target.rename(hidden)
    _sync(folder)
    shutil.rmtree(hidden)


def _copy_durably(source: Path, target: Path) -> None:
    """Copy the tree and wait until the disk has every file and every folder of it."""
    target.mkdir()
    for entry in sorted(source.iterdir()):
        copy = target / entry.name
        if entry.is_dir():
            _copy_durably(entry, copy)
        else:
            shutil.copyfile(entry, copy)
            _sync(copy)
    _sync(target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(folder: Path) -> str:
    """One hash over names and contents of all files below."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
