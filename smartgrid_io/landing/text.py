"""The bytes of a text file as blocks of whole UTF-8 lines, whatever the file is packed in."""

import codecs
import gzip
import itertools
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path

from smartgrid_core.errors import LandingError

BLOCK_BYTES = 3_000_000
"""Some 60,000 readings: large enough to load fast; as empty cells of a wide table, 50 MB."""
LONGEST_LINE_BYTES = 64_000_000
LONGEST_RECORD_BYTES = 4_000_000
"""A record with line breaks inside quotes that is longer is a stray quote."""
GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
FOREIGN_FORMATS = {
    b"PK\x03\x04": "a ZIP archive or spreadsheet",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"%PDF": "PDF",
}
"""Formats that people put into a landing folder and that cannot be landed, by first bytes."""


class CutShortError(LandingError):
    """The file ends before its format says so: it was not written to its end."""


def detect_kind(path: Path) -> str:
    """Return `parquet` or `text`, by the first bytes. Raises LandingError for what is neither."""
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(PARQUET):
        return "parquet"
    for magic, name in FOREIGN_FORMATS.items():
        if head.startswith(magic):
            raise LandingError(f"this is {name}: land CSV, gzipped CSV or Parquet")
    return "text"


def read_utf8_blocks(
    path: Path, *, encoding: str | None, progress: Callable[[int], None] | None = None
) -> Iterator[bytes]:
    """Yield blocks of whole lines in UTF-8 without a byte order mark; lines end in a line feed.

    UTF-16 is recognised; bytes that are no UTF-8 stay as they are for the row that holds them,
    unless `encoding` says how to read the block. A line break inside quotes ends no block.
    `progress` is called with the position in the file, in bytes. Raises CutShortError for a gzip
    file without its end, LandingError for binary content.
    """
    with path.open("rb") as file:
        is_gzip = file.read(2) == GZIP
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if is_gzip else file
        rest = b""
        for text in _decode_chunks(_read_chunks(stream), encoding):
            block = rest + text
            cut = _find_last_record_end(block)
            rest = block[cut:]
            if len(rest) > LONGEST_LINE_BYTES:
                raise LandingError("a line is longer than 64 MB: is this a table?")
            if cut:
                yield _encode_utf8(block[:cut], encoding)
            if progress is not None:
                progress(file.tell())
        if rest:
            yield _encode_utf8(rest, encoding)


def _encode_utf8(block: bytes, encoding: str | None) -> bytes:
    """Return whole lines in UTF-8, by way of `encoding` if they are not in it already."""
    if encoding is None:
        return block
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return block.decode(encoding, errors="replace").encode("utf-8")
    return block


def _read_chunks(stream: gzip.GzipFile | BufferedReader) -> Iterator[bytes]:
    """Yield the stream's bytes, unpacked."""
    while True:
        try:
            chunk = stream.read(BLOCK_BYTES)
        except EOFError as error:
            raise CutShortError("the gzip file ends too early: send it again") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise LandingError(f"the gzip file is damaged ({error}): send it again") from error
        if not chunk:
            return
        yield chunk


def _decode_chunks(chunks: Iterator[bytes], encoding: str | None) -> Iterator[bytes]:
    """Yield the chunks in UTF-8."""
    first = next(chunks, b"")
    name = _detect_encoding(first, encoding)
    first_text = first.removeprefix(codecs.BOM_UTF8) if name == "utf-8" else first
    old_mac = name == "utf-8" and b"\n" not in first_text and b"\r" in first_text
    if name == "utf-8":
        if b"\x00" in first_text[:4096]:
            raise LandingError("this is no text: land CSV, gzipped CSV or Parquet")
        for chunk in itertools.chain([first_text], chunks):
            yield chunk.replace(b"\r", b"\n") if old_mac else chunk
        return
    decoder = codecs.getincrementaldecoder(name)(errors="replace")
    for chunk in itertools.chain([first], chunks):
        yield decoder.decode(chunk).encode("utf-8")
    yield decoder.decode(b"", final=True).encode("utf-8")


def _detect_encoding(head: bytes, wanted: str | None) -> str:
    """Return the encoding by which the stream must be cut up: `utf-8` for all that extend ASCII."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if wanted is not None:
        try:
            name = codecs.lookup(wanted).name
        except LookupError as error:
            raise LandingError(
                f"encoding {wanted!r} is not known: mend SMARTGRID_LANDING_ENCODING, such as cp1252"
            ) from error
        if name.startswith(("utf-16", "utf-32")):
            return name
    sample = head[:4096]
    if sample and sample[1::2].count(0) > len(sample) // 3:
        return "utf-16-le"
    if sample and sample[0::2].count(0) > len(sample) // 3:
        return "utf-16-be"
    return "utf-8"


def _find_last_record_end(block: bytes) -> int:
    """Return where the last line ends that is not inside quotes; 0 if there is none yet."""
    cut = block.rfind(b"\n") + 1
    if cut == 0 or block.count(b'"', 0, cut) % 2 == 0:
        return cut
    last = cut
    while cut > 0 and last - cut < LONGEST_RECORD_BYTES:
        following = cut
        cut = block.rfind(b"\n", 0, cut - 1) + 1
        if block.count(b'"', cut, following) % 2 == 1:
            return cut
    return last
