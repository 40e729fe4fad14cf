"""Publication of SavedModels into a model server's folder, and the wait until they answer.

A process that is killed at any moment leaves the old versions or the old and the new, never a
half one; what it leaves of a copy is swept by the next publication.
"""

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from smartgrid_core.errors import ModelUnavailableError, PublicationError
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_io.serving.client import VersionStatus
from smartgrid_io.serving.model_folder import (
    GRAPH,
    ModelFolder,
    hash_folder,
    open_model_folder,
    raise_publication_errors,
    refuse_name,
)

FEWEST_KEPT = 3
"""The live version, the one to fall back to, and the one that a request may still be in."""

_POLL_SECONDS = 0.2


class VersionSource(Protocol):
    """Gives the state of each version on a model server; `ModelServerClient` is one."""

    def read_version_status(self, model: str) -> Sequence[VersionStatus]:
        """Return every version that the server knows of."""
        ...


def publish_version(saved_model: Path, *, base: str, model: str, version: int) -> str:
    """Make the SavedModel folder a version of the model; return where the version lies.

    A version is never overwritten: the same content again changes nothing.

    Args:
        saved_model: Folder of the SavedModel.
        base: The model server's folder or `s3://bucket/prefix`.
        model: Name of the model.
        version: Number of the version, from 1.

    Raises:
        PublicationError: The version is there with other content, the folder is no SavedModel, the
            server would not take the name or number, or a disk or bucket failed.
    """
    source = Path(saved_model)
    if not (source / GRAPH).is_file():
        raise PublicationError(f"copy: {source} is no SavedModel, it has no {GRAPH}")
    if version < 1:
        raise PublicationError(f"copy: version {version} of {model}: versions count from 1")
    folder = _open_checked_folder(base, model)
    place = f"{folder.get_base_path(model)}/{version}"
    with raise_publication_errors(place, step="copy"), folder.hold(model):
        folder.sweep(model)
        there = folder.hash_version(model, version)
        if there is None:
            folder.put(source, model=model, version=version)
        elif there != hash_folder(source):
            raise PublicationError(
                f"rename: {place} exists with other content; publish a new version"
            )
    return place


def withdraw_version(*, base: str, model: str, version: int) -> None:
    """Take a version away, so that the server goes back to the one before; none is no error."""
    folder = _open_checked_folder(base, model)
    with raise_publication_errors(base, step="withdraw"):
        if version in folder.list_versions(model):
            with folder.hold(model):
                folder.remove(model, version)


def prune_versions(
    *, base: str, model: str, keep: int = FEWEST_KEPT, spare: Collection[int] = ()
) -> list[int]:
    """Remove the oldest versions and return which were removed.

    Args:
        base: The model server's folder or `s3://bucket/prefix`.
        model: Name of the model.
        keep: How many of the newest versions stay, at least 3.
        spare: Versions that the config has a server load: they stay and count.

    Raises:
        PublicationError: `keep` is below 3, or a disk or bucket failed.
    """
    if keep < FEWEST_KEPT:
        raise PublicationError(
            f"prune: {model} keeps at least {FEWEST_KEPT} versions, asked for {keep}"
        )
    folder = _open_checked_folder(base, model)
    with raise_publication_errors(base, step="prune"):
        if not folder.list_versions(model):
            return []
        with folder.hold(model):
            folder.sweep(model)
            surplus = [each for each in folder.list_versions(model)[:-keep] if each not in spare]
            for version in surplus:
                folder.remove(model, version)
    return surplus


def list_published_versions(*, base: str, model: str) -> list[int]:
    """Return versions that lie in the model's folder, oldest first."""
    with raise_publication_errors(base, step="copy"):
        return _open_checked_folder(base, model).list_versions(model)


def wait_until_available(
    client: VersionSource, model: str, version: int | str, timeout: float = 60.0
) -> None:
    """Return as soon as the server answers with this version.

    Args:
        client: Says what the server does with each version.
        model: Name of the model.
        version: Number of the version.
        timeout: Longest wait, s.

    Raises:
        PublicationError: The server could not load it, or not in time; has the server's own words.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            statuses = client.read_version_status(model)
            status = next((each for each in statuses if each.version == str(version)), None)
            if status is not None and status.is_available:
                return
            if status is not None and status.is_failed:
                raise PublicationError(
                    f"load: version {version} of {model} was refused by the model server: "
                    f"{status.error_code}: {status.error_message}"
                )
            known = ", ".join(f"{each.version} {each.state}" for each in statuses)
            last = f"the server knows {known or 'no version'}"
        except ModelUnavailableError as error:
            last = str(error)
        if time.monotonic() >= deadline:
            raise PublicationError(
                f"load: version {version} of {model} is not live after {timeout:g} s: {last}"
            )
        time.sleep(_POLL_SECONDS)


def measure_golden_parity(
    served: pl.DataFrame, offline: pl.DataFrame, tolerance: float = 1e-4
) -> float:
    """Return the largest difference between served and offline quantiles of the same rows.

    `served`, `offline`: p10, p50, p90 in kW, in the same row order. A difference counts relative
    to the offline value, absolutely below 1 kW: |served - offline| / max(1, |offline|), because
    float32 holds seven digits of whatever size. Raises PublicationError naming the worst row if it
    exceeds `tolerance`, for an answer that is not finite, another number of rows, or none.

    >>> offline = pl.DataFrame({"p10": [90.0], "p50": [100.0], "p90": [110.0]})
    >>> measure_golden_parity(offline, offline)
    0.0
    """
    if served.height != offline.height:
        raise PublicationError(
            f"parity: {served.height} rows were served for {offline.height} golden rows"
        )
    if offline.height == 0:
        raise PublicationError("parity: the golden batch is empty, which proves nothing")
    apart = {
        name: _compute_relative_difference(served=served[name], offline=offline[name])
        for name in OUTPUTS
    }
    name = max(OUTPUTS, key=lambda quantile: float(apart[quantile].max()))
    row = int(apart[name].argmax())
    worst = float(apart[name][row])
    if worst > tolerance:
        raise PublicationError(
            f"parity: {name} of golden row {row} is {served[row, name]} served and "
            f"{offline[row, name]} offline, apart by {worst:.3g} of {tolerance:g} allowed"
        )
    return worst


def _compute_relative_difference(*, served: pl.Series, offline: pl.Series) -> NDArray[np.float64]:
    """Return |served - offline| / max(1, |offline|), (n,); infinite where either is not finite."""
    left, right = served.cast(pl.Float64).to_numpy(), offline.cast(pl.Float64).to_numpy()
    with np.errstate(invalid="ignore"):
        apart = np.abs(left - right) / np.maximum(1.0, np.abs(right))
    return np.where(np.isfinite(left) & np.isfinite(right), apart, np.inf)


def _open_checked_folder(base: str, model: str) -> ModelFolder:
    refuse_name(model)
    return open_model_folder(base)
