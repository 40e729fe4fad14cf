"""Version folders of a URL, copied to this machine: TensorFlow loads them from here."""

import contextlib
import hashlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from smartgrid_services.model_server.model_config import ModelConfig
from smartgrid_services.model_server.versions import Versions, parse_version

log = logging.getLogger(__name__)

_GRAPH = "saved_model.pb"
_ABANDONED_SECONDS = 6 * 3600


class Mirror:
    """Local copies of the remote version folders that shall answer, below one folder.

    A version is never overwritten, so what was copied once is not compared again. A copy is renamed
    into its place when it is whole and on the disk. Several servers may share the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy_versions(self, model: ModelConfig) -> Versions:
        """Copy the versions that shall answer and return their local folders.

        A version counts once its `saved_model.pb` is there, which the publisher writes last.
        An older one takes the place of one that cannot be copied.

        Raises:
            FileNotFoundError: If the model's remote folder does not exist.
            OSError: If no version can be copied, so that what answers now goes on answering.
        """
        filesystem, path = fsspec.url_to_fs(model.base_path, use_listings_cache=False)
        try:
            remote = self._list_remote_versions(filesystem, path)
        except FileNotFoundError:
            raise
        except Exception as error:
            # Each kind of store has errors of its own.
            raise OSError(f"{type(error).__name__}: {error}") from error
        place = self._folder / hashlib.sha256(model.base_path.encode()).hexdigest()[:16]
        candidates = model.policy.select_candidates(remote)
        here: dict[int, Path] = {}
        for version in candidates:
            if len(here) == model.policy.newest:
                break
            copy = place / str(version)
            if copy.exists() or self._fetch(filesystem, remote[version], copy):
                here[version] = copy
        if candidates and not here:
            named = ", ".join(map(str, candidates))
            raise OSError(f"no version can be copied of those that shall answer: {named}")
        self._tidy(place, remote, here)
        return here

    def _list_remote_versions(self, filesystem: Any, path: str) -> Mapping[int, str]:
        """Return the remote folders that hold a whole version, by version."""
        found: dict[int, str] = {}
        for entry in sorted(filesystem.ls(path, detail=True), key=lambda entry: entry["name"]):
            folder = entry["name"].rstrip("/")
            version = parse_version(PurePosixPath(folder).name)
            if version is not None and entry["type"] == "directory":
                found[version] = folder
        return {
            version: folder
            for version, folder in found.items()
            if filesystem.exists(f"{folder}/{_GRAPH}")
        }

    def _fetch(self, filesystem: Any, remote: str, copy: Path) -> bool:
        """Copy one version; return whether it is there. A failure is logged."""
        fresh = copy.with_name(f".{copy.name}-{uuid.uuid4().hex}")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        try:
            filesystem.get(f"{remote}/", f"{fresh}/", recursive=True)
            _sync(fresh)
            fresh.rename(copy)
            _sync(copy.parent, deep=False)
        except Exception as error:
            shutil.rmtree(fresh, ignore_errors=True)
            if copy.exists():
                # Another server was quicker.
                return True
            log.warning("%s cannot be copied: %s: %s", remote, type(error).__name__, error)
            return False
        log.info("%s is copied to %s", remote, copy)
        return True

    def _tidy(self, place: Path, remote: Mapping[int, str], here: Versions) -> None:
        """Remove copies that are neither wanted now nor could be wanted again."""
        if not place.exists():
            return
        for copy in place.iterdir():
            version = parse_version(copy.name)
            unwanted = version not in here and version not in remote
            if _is_abandoned(copy) if version is None else unwanted:
                shutil.rmtree(copy, ignore_errors=True)


def _sync(folder: Path, *, deep: bool = True) -> None:
    """Write a folder to the disk, with all below it if `deep`: a rename may survive a crash."""
    for path in [*(folder.rglob("*") if deep else ()), folder]:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _is_abandoned(fresh: Path) -> bool:
    """Return whether an unfinished copy was not written to for hours."""
    youngest = 0.0
    for path in (fresh, *fresh.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            youngest = max(youngest, path.stat().st_mtime)
    return time.time() - youngest > _ABANDONED_SECONDS
