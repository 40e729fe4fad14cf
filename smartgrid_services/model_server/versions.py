"""What lies below a path: models, their version folders, and whether one has changed."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

Versions = Mapping[int, Path]
"""The version folders of one model by number."""

LARGEST_VERSION = 2**63 - 1
"""Versions are int64 in every message."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What changes whenever a folder changes.

    Attributes:
        files: Name, size in bytes and time of change in ns of every file, ordered.
    """

    files: tuple[tuple[str, int, int], ...]


def find_versions(base: Path) -> Mapping[str, Versions | None]:
    """Return the models below the base path with their numeric folders.

    Hidden and other names are skipped.
    """
    found: dict[str, Versions | None] = {}
    for folder in sorted(base.iterdir()):
        if folder.name.startswith("."):
            continue
        try:
            if folder.is_dir():
                found[folder.name] = list_versions(folder)
        except FileNotFoundError:
            log.debug("model folder %s vanished while it was read", folder)
        except OSError as error:
            log.warning("model folder %s cannot be read: %s", folder, error)
            found[folder.name] = None
    return found


def list_versions(folder: Path) -> Versions:
    """Return the numeric folders in a model's folder, zero-padded ones too; raises OSError."""
    found: dict[int, Path] = {}
    for entry in sorted(folder.iterdir()):
        version = parse_version(entry.name)
        if version is not None and entry.is_dir():
            # "007" and "7" are one version; the plain name sorts last and wins.
            found[version] = entry
    return found


def parse_version(name: str) -> int | None:
    """Return the version that a folder's name or a path names, None if it names none."""
    if not (name.isascii() and name.isdecimal()):
        return None
    digits = name.lstrip("0") or "0"
    if len(digits) > len(str(LARGEST_VERSION)):
        # Python itself refuses to read thousands of digits.
        return None
    version = int(digits)
    return version if version <= LARGEST_VERSION else None


def fingerprint_folder(folder: Path) -> Fingerprint:
    """Return the fingerprint of every file and folder below the folder."""
    files = []
    for path in sorted(folder.rglob("*")):
        try:
            stat = path.stat()
        except OSError:
            # Vanished since it was listed, or closed to us: the listing itself will differ later.
            files.append((path.relative_to(folder).as_posix(), -1, -1))
            continue
        files.append((path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns))
    return Fingerprint(tuple(files))


def fingerprint_graph(folder: Path) -> Fingerprint:
    """Return the fingerprint of `saved_model.pb` alone, cheap enough for a look every second."""
    try:
        stat = (folder / "saved_model.pb").stat()
    except OSError:
        return Fingerprint(())
    return Fingerprint((("saved_model.pb", stat.st_size, stat.st_mtime_ns),))
