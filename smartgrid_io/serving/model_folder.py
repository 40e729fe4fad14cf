"""The versions of a model server: a local folder or an S3 prefix; a version is whole or not there.

The layout is TensorFlow Serving's: `<base>/<model>/<version>/saved_model.pb`, and beside the
models their config, `<base>/models.config`.

In a local folder a version appears by one rename of a hidden folder that is already on the disk. A
bucket has no rename: there `saved_model.pb` is uploaded last and removed first, and a prefix
without it is no version. A server that follows the config loads a version only once it is named
there, which happens after its upload.
"""

import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from smartgrid_core.errors import PublicationError
from smartgrid_io.file_store import (
    LEFTOVER_AGE_S,
    LocalFileStore,
    S3FileStore,
    flush_to_disk,
    hash_file,
)

CONFIG = "models.config"
GRAPH = "saved_model.pb"

_TRIES = 10
"""Each failed one means that another publisher got through; there are few."""

_UNFINISHED = ".publishing-"
_WITHDRAWN = ".withdrawn-"
_LOCK = ".lock"
_VERSION = re.compile(r"[1-9][0-9]*")
_MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


class ModelFolder(Protocol):
    """The base path of a model server."""

    def get_base_path(self, model: str) -> str:
        """Return the model's folder or URL, as it stands in the config."""
        ...

    def list_models(self) -> list[str]:
        """Return names of the models that have a version, in order."""
        ...

    def list_versions(self, model: str) -> list[int]:
        """Return versions that are there whole, oldest first."""
        ...

    def hash_version(self, model: str, version: int) -> str | None:
        """Return one hash over names and contents of a version's files; None if it is not there."""
        ...

    def put(self, source: Path, *, model: str, version: int) -> None:
        """Make the SavedModel folder a version that is not there yet. Raises OSError."""
        ...

    def remove(self, model: str, version: int) -> None:
        """Remove a version, at once for every reader; none is no error."""
        ...

    def sweep(self, model: str) -> None:
        """Remove what killed publications left behind."""
        ...

    def read_config(self) -> str | None:
        """Return the text of the models' config; None if there is none."""
        ...

    def change_config(self, change: Callable[[str | None], str]) -> str:
        """Replace the config's text, None if there is none, by what `change` makes of it, at once.

        No other publisher's change is lost: `change` may be called again, with that one's text.
        Only while holding the config. Returns the new text. Raises OSError.
        """
        ...

    def hold(self, model: str | None = None) -> AbstractContextManager[None]:
        """Hold a model, or the config for None, against other publishers."""
        ...


def open_model_folder(base: str) -> ModelFolder:
    """Return the folder that a path or an `s3://bucket/prefix` names.

    Raises PublicationError for a URL of another kind.
    """
    if base.startswith("s3://"):
        return S3ModelFolder(base)
    if "://" in base and not base.startswith("file://"):
        raise PublicationError(f"copy: {base} is neither a local folder nor s3://bucket/prefix")
    return LocalModelFolder(Path(base.removeprefix("file://")))


def refuse_name(model: str) -> None:
    """Raise PublicationError for a name that a server would not take, or that leaves the folder."""
    if not _MODEL_NAME.fullmatch(model) or model == CONFIG:
        raise PublicationError(
            f"copy: {model!r} cannot name a model: letters, digits, _ - and . only"
        )


@contextmanager
def raise_publication_errors(base: str, *, step: str) -> Iterator[None]:
    """Raise PublicationError, naming the step, where a disk or a bucket fails or is away."""
    try:
        yield
    except OSError as error:
        raise PublicationError(f"{step}: {base}: {error}") from error


def hash_folder(folder: Path) -> str:
    """Return one hash over names and contents of all files below a local folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return _combine_hashes((path.relative_to(folder).as_posix(), hash_file(path)) for path in files)


class LocalModelFolder:
    """A folder of this machine; publishers wait for each other, a killed one lets go by itself."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def get_base_path(self, model: str) -> str:
        """Return the model's folder, absolute as a server wants it."""
        return str(self.base.absolute() / model)

    def list_models(self) -> list[str]:
        """Return names of the models that have a version, in order."""
        if not self.base.is_dir():
            return []
        names = [entry.name for entry in self.base.iterdir() if _MODEL_NAME.fullmatch(entry.name)]
        return sorted(name for name in names if self.list_versions(name))

    def list_versions(self, model: str) -> list[int]:
        """Return versions that are there, oldest first."""
        folder = self.base / model
        if not folder.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in folder.iterdir()
            if _VERSION.fullmatch(entry.name) and entry.is_dir()
        )

    def hash_version(self, model: str, version: int) -> str | None:
        """Return one hash over a version's files; None if it is not there."""
        folder = self.base / model / str(version)
        return hash_folder(folder) if folder.exists() else None

    def put(self, source: Path, *, model: str, version: int) -> None:
        """Copy into a hidden folder, wait for the disk, rename. Raises OSError."""
        folder = self.base / model
        hidden = folder / f"{_UNFINISHED}{version}-{uuid.uuid4().hex[:8]}"
        try:
            _copy_durably(source, hidden)
        except OSError:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        os.rename(hidden, folder / str(version))  # noqa: PTH104  # refuses a folder not empty
        flush_to_disk(folder)

    def remove(self, model: str, version: int) -> None:
        """Hide the version by one rename, then delete it, so that no server reads half of it."""
        target = self.base / model / str(version)
        if not target.exists():
            return
        hidden = target.with_name(f"{_WITHDRAWN}{version}-{uuid.uuid4().hex[:8]}")
        target.rename(hidden)
        flush_to_disk(target.parent)
        shutil.rmtree(hidden)

    def sweep(self, model: str) -> None:
        """Remove what killed publications and withdrawals left; only while holding the model."""
        for entry in (self.base / model).iterdir():
            if entry.name.startswith((_UNFINISHED, _WITHDRAWN)):
                shutil.rmtree(entry)

    def read_config(self) -> str | None:
        """Return the text of the models' config; None if there is none."""
        try:
            return (self.base / CONFIG).read_text()
        except FileNotFoundError:
            return None

    def change_config(self, change: Callable[[str | None], str]) -> str:
        """Write beside it, wait for the disk, rename; only while holding the config."""
        before = self.read_config()
        text = change(before)
        if text == before:
            return text
        scratch = self.base / f".{CONFIG}-{uuid.uuid4().hex}"
        try:
            scratch.write_text(text)
            LocalFileStore(self.base).put(scratch, CONFIG)
        finally:
            scratch.unlink(missing_ok=True)
        return text

    @contextmanager
    def hold(self, model: str | None = None) -> Iterator[None]:
        """Hold a model's folder, or the config for None; waits for who holds it."""
        folder = self.base if model is None else self.base / model
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            flush_to_disk(folder.parent)
        with (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class S3ModelFolder:
    """A prefix in a bucket: there is no lock, but a config is only written over the one read.

    One publisher at a time per version is the caller's part.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._store = S3FileStore(self.url, {})

    def get_base_path(self, model: str) -> str:
        """Return the model's URL."""
        return self._store.get_address(model)

    def list_models(self) -> list[str]:
        """Return names of the models that have a version, in order."""
        names = {file.split("/")[0] for file in self._store.list_files("") if "/" in file}
        return sorted(name for name in names if self.list_versions(name))

    def list_versions(self, model: str) -> list[int]:
        """Return versions whose graph is there, oldest first."""
        found = self._store.list_folders_with(GRAPH, below=model)
        return sorted(int(name) for name in found if _VERSION.fullmatch(name))

    def hash_version(self, model: str, version: int) -> str | None:
        """Return one hash over a version's files, which are read; None if it is not there."""
        below = f"{model}/{version}"
        if not self._store.exists(f"{below}/{GRAPH}"):
            return None
        return _combine_hashes(
            (file, hashlib.sha256(self._store.read(f"{below}/{file}")).hexdigest())
            for file in sorted(self._store.list_files(below))
        )

    def put(self, source: Path, *, model: str, version: int) -> None:
        """Upload every file, the graph last: what is left of an earlier attempt is removed."""
        below = f"{model}/{version}"
        for leftover in self._store.list_files(below):
            self._store.remove(f"{below}/{leftover}")
        files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
        for file in sorted(files, key=lambda file: (file.as_posix() == GRAPH, file)):
            self._store.put(source / file, f"{below}/{file.as_posix()}")

    def remove(self, model: str, version: int) -> None:
        """Remove the graph, then the rest."""
        below = f"{model}/{version}"
        self._store.remove(f"{below}/{GRAPH}")
        for file in self._store.list_files(below):
            self._store.remove(f"{below}/{file}")

    def sweep(self, model: str) -> None:
        """Remove uploads and removals that were cut short; a young one may still be at work."""
        whole = {str(version) for version in self.list_versions(model)}
        files = self._store.list_files(model)
        for name in {file.split("/")[0] for file in files} - whole:
            newest = self._store.find_newest(f"{model}/{name}")
            age = timedelta(0) if newest is None else datetime.now(UTC) - newest
            if age.total_seconds() > LEFTOVER_AGE_S:
                for file in self._store.list_files(f"{model}/{name}"):
                    self._store.remove(f"{model}/{name}/{file}")

    def read_config(self) -> str | None:
        """Return the text of the models' config; None if there is none."""
        found = self._store.read_with_mark(CONFIG)
        return None if found is None else found[0].decode()

    def change_config(self, change: Callable[[str | None], str]) -> str:
        """Put one object, on condition that it still is what was read; else read and change anew.

        Raises OSError if others write in between every time.
        """
        text = None
        for _ in range(_TRIES):
            found = self._store.read_with_mark(CONFIG)
            before, mark = (None, None) if found is None else (found[0].decode(), found[1])
            if text is not None and text == before:
                # Written, but the answer was lost: changing it once more would go a step too far.
                return text
            text = change(before)
            if text == before or self._store.write_instead(text.encode(), CONFIG, mark=mark):
                return text
        raise OSError(f"{self.url}/{CONFIG} was changed by others {_TRIES} times in between")

    @contextmanager
    def hold(self, model: str | None = None) -> Iterator[None]:
        """Hold nothing: a bucket has no lock."""
        del model
        yield


def _combine_hashes(files: Iterator[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def _copy_durably(source: Path, target: Path) -> None:
    """Copy the tree and wait until the disk has every file and every folder of it."""
    target.mkdir()
    for entry in sorted(source.iterdir()):
        copy = target / entry.name
        if entry.is_dir():
            _copy_durably(entry, copy)
        else:
            shutil.copyfile(entry, copy)
            flush_to_disk(copy)
    flush_to_disk(target)
