"""Where files lie: a local folder or an S3 bucket, each with an atomic put."""

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import polars as pl

LEFTOVER_AGE_S = 3600.0
"""No write of one day, or of one object, takes an hour: what is older and unfinished is a crash's.
"""

_ANOTHER_WAS_FIRST = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409"}
"""S3's codes for a conditional put whose condition no longer holds."""


class FileStore(Protocol):
    """A root with files below; a file is named by its path from the root."""

    is_remote: bool
    storage_options: dict[str, Any] | None
    """What Polars needs to read the addresses."""

    def get_address(self, file: str) -> str:
        """Return the file's full path or URL."""
        ...

    def exists(self, file: str) -> bool:
        """Return whether the file is there."""
        ...

    def list_folders_with(self, name: str, *, below: str) -> list[str]:
        """Return names of the folders directly below a folder that hold a file of that name."""
        ...

    def count_rows(self, file: str) -> int:
        """Return the number of rows of a Parquet file, from its footer."""
        ...

    def put(self, source: Path, file: str) -> None:
        """Make `source` the file's content: readers see the old one or the new one, never part."""
        ...

    def remove(self, file: str) -> None:
        """Take the file away; none is fine."""
        ...


def open_file_store(url: str, *, storage_options: Mapping[str, str] | None = None) -> FileStore:
    """Return the store of files that a URL names: a local folder or `s3://bucket/prefix`."""
    if url.startswith("s3://"):
        return S3FileStore(url, storage_options or {})
    return LocalFileStore(Path(url.removeprefix("file://")).resolve())


class LocalFileStore:
    """A folder of this machine; a put is a temporary file, an fsync and a rename."""

    is_remote = False
    storage_options: dict[str, Any] | None = None

    def __init__(self, root: Path) -> None:
        self.root = root

    def get_address(self, file: str) -> str:
        """Return the file's full path."""
        return str(self.root / file)

    def exists(self, file: str) -> bool:
        """Return whether the file is there."""
        return (self.root / file).exists()

    def list_folders_with(self, name: str, *, below: str) -> list[str]:
        """Return names of the folders directly below a folder that hold a file of that name."""
        folder = self.root / below
        if not folder.is_dir():
            return []
        return [place.name for place in folder.iterdir() if (place / name).exists()]

    def count_rows(self, file: str) -> int:
        """Return the number of rows of a Parquet file, from its footer."""
        return int(pl.scan_parquet(self.root / file).select(pl.len()).collect().item())

    def put(self, source: Path, file: str) -> None:
        """Copy beside the target, flush to disk, rename, flush the folder's entry."""
        target = self.root / file
        is_new = not target.parent.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        self._sweep(target)
        scratch = target.with_name(f".{target.name}-{uuid.uuid4().hex}.tmp")
        try:
            shutil.copyfile(source, scratch)
            flush_to_disk(scratch)
            scratch.replace(target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        flush_to_disk(target.parent)
        if is_new:
            flush_to_disk(target.parent.parent)

    def remove(self, file: str) -> None:
        """Take the file away, and its folder if it is empty then."""
        target = self.root / file
        target.unlink(missing_ok=True)
        if target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()

    def _sweep(self, target: Path) -> None:
        """Remove what a crash left beside the target."""
        for leftover in target.parent.glob(f".{target.name}-*.tmp"):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_AGE_S:
                leftover.unlink(missing_ok=True)


class S3FileStore:
    """A prefix in a bucket; an object appears whole, when its upload has ended.

    Every call raises OSError for a server that is away or refuses, whatever its client raises.
    """

    is_remote = True

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        import fsspec

        self.root = url.removeprefix("s3://").rstrip("/")
        known = {key.lower(): value for key, value in os.environ.items() if key.startswith("AWS_")}
        known = {**known, **options}
        endpoint = known.get("aws_endpoint_url")
        allowed = {"aws_allow_http": "true"} if (endpoint or "").startswith("http://") else {}
        self.storage_options: dict[str, Any] | None = {
            **options,
            **({"aws_endpoint_url": endpoint} if endpoint else {}),
            **allowed,
        }
        self._files = fsspec.filesystem(
            "s3",
            key=options.get("aws_access_key_id"),
            secret=options.get("aws_secret_access_key"),
            token=options.get("aws_session_token"),
            endpoint_url=endpoint,
            client_kwargs={"region_name": known["aws_region"]} if "aws_region" in known else {},
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def get_address(self, file: str) -> str:
        """Return the file's URL."""
        return f"s3://{self.root}/{file}"

    def exists(self, file: str) -> bool:
        """Return whether the object is there."""
        with _raise_os_errors():
            return bool(self._files.exists(f"{self.root}/{file}"))

    def list_folders_with(self, name: str, *, below: str) -> list[str]:
        """Return names of the prefixes directly below one that hold an object of that name."""
        with _raise_os_errors():
            found = self._files.find(f"{self.root}/{below}/")
        paths = [path.split("/") for path in found]
        return [path[-2] for path in paths if path[-1] == name and path[-3] == below]

    def list_files(self, below: str) -> list[str]:
        """Return every object below a prefix, by its path from there, in order."""
        root = f"{self.root}/{below}".rstrip("/") + "/"
        with _raise_os_errors():
            return sorted(path.removeprefix(root) for path in self._files.find(root))

    def read(self, file: str) -> bytes:
        """Return the object's content."""
        with _raise_os_errors():
            return bytes(self._files.cat_file(f"{self.root}/{file}"))

    def read_with_mark(self, file: str) -> tuple[bytes, str] | None:
        """Return the object's content and the mark (ETag) of it; None if there is no object."""
        from fsspec.asyn import sync

        bucket, key, _ = self._files.split_path(f"{self.root}/{file}")
        if not self.exists(file):
            return None
        with _raise_os_errors():
            found = self._files.call_s3("get_object", Bucket=bucket, Key=key)
            return sync(self._files.loop, found["Body"].read), found["ETag"]

    def write_instead(self, content: bytes, file: str, *, mark: str | None) -> bool:
        """Make `content` the object's content, at once, unless another one wrote meanwhile.

        `mark` is that of the content that was read; None if there was none. Returns whether it was
        written. Needs a server that knows conditional puts, as S3 does since 2024.
        """
        condition = {"IfNoneMatch": "*"} if mark is None else {"IfMatch": mark}
        with _raise_os_errors():
            try:
                self._files.pipe_file(f"{self.root}/{file}", content, **condition)
            except OSError as error:
                answer = getattr(error.__cause__, "response", {})
                if answer.get("Error", {}).get("Code") in _ANOTHER_WAS_FIRST:
                    return False
                raise
        return True

    def find_newest(self, below: str) -> datetime | None:
        """Return when the youngest object below a prefix was written; None if there is none."""
        with _raise_os_errors():
            found = self._files.find(f"{self.root}/{below}/", detail=True)
        return max((each["LastModified"] for each in found.values()), default=None)

    def count_rows(self, file: str) -> int:
        """Return the number of rows of a Parquet file, from its footer."""
        with _raise_os_errors():
            scan = pl.scan_parquet(self.get_address(file), storage_options=self.storage_options)
            return int(scan.select(pl.len()).collect().item())

    def put(self, source: Path, file: str) -> None:
        """Upload as one object."""
        with _raise_os_errors():
            self._files.put_file(str(source), f"{self.root}/{file}")

    def remove(self, file: str) -> None:
        """Take the object away; none is fine."""
        if self.exists(file):
            with _raise_os_errors():
                self._files.rm_file(f"{self.root}/{file}")


@contextmanager
def _raise_os_errors() -> Iterator[None]:
    """Raise OSError for errors of botocore, aiohttp and Polars, which have no common kind."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush_to_disk(path: Path) -> None:
    """Ask the disk to keep a file's or a folder's present state."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
