"""A landing file as blocks of raw rows with their numbers, and the rows that cannot be cut up."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from smartgrid_core.errors import LandingError
from smartgrid_core.readings.validation import BAD
from smartgrid_io.landing.text import PARQUET, CutShortError, kind_of, utf8_blocks

ROWS_PER_BATCH = 65_536
"""Parquet rows that are decoded at a time."""
SEPARATORS = (",", ";", "\t", "|")
MOST_LINES_PER_RECORD = 100
"""A quote that stays open longer is a stray one."""


@dataclass(frozen=True, slots=True)
class Block:
    """`rows`: the source's columns and `row_number`; `bad`: rows that fit no column, as in BAD."""

    rows: pl.DataFrame
    bad: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=BAD))


def read_blocks(
    path: Path, *, encoding: str | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[Block]:
    """The file's rows in order, some ten thousand at a time; at least one block, perhaps empty.

    Text comes as text, Parquet in its own types. `progress` is told the position in the file.
    Raises LandingError, CutShortError for a file that was not written to its end.
    """
    if path.stat().st_size == 0:
        raise LandingError("the file is empty: send it again")
    if kind_of(path) == "parquet":
        return _parquet_blocks(path, progress)
    return _text_blocks(path, encoding, progress)


def _parquet_blocks(path: Path, progress: Callable[[int], None] | None) -> Iterator[Block]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        file.seek(-len(PARQUET), 2)
        if file.read() != PARQUET:
            raise CutShortError("the Parquet file has no footer: send it again")
    try:
        # Buffered and without read-ahead: a row group may be larger than our memory.
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as parquet:
            names = [name for name in parquet.schema_arrow.names if not name.startswith("__")]
            size, total = path.stat().st_size, max(parquet.metadata.num_rows, 1)
            first_row = 1
            empty = pl.DataFrame(pl.from_arrow(parquet.schema_arrow.empty_table().select(names)))
            yield Block(empty.with_columns(row_number=pl.lit(None, dtype=pl.Int64)))
            for batch in parquet.iter_batches(batch_size=ROWS_PER_BATCH, columns=names):
                frame = pl.DataFrame(pl.from_arrow(pa.table(batch)))
                yield Block(_numbered(frame, first_row))
                first_row += frame.height
                if progress is not None:
                    progress(size * (first_row - 1) // total)
    except (pa.ArrowException, OSError) as error:
        raise LandingError(f"the Parquet file is damaged ({error}): send it again") from error


def _text_blocks(
    path: Path, encoding: str | None, progress: Callable[[int], None] | None
) -> Iterator[Block]:
    blocks = utf8_blocks(path, encoding=encoding, progress=progress)
    first = next(blocks, b"").lstrip(b"\r\n")
    if not first.strip():
        raise LandingError("the file is empty: send it again")
    header, _, body = first.partition(b"\n")
    line = _as_text(header).strip("\r")
    separator = max(SEPARATORS, key=line.count)
    names = [name.strip() for name in next(csv.reader([line], delimiter=separator))]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise LandingError("the first line names no columns: a header is expected")
    if len(set(names)) == len(names):
        yield Block(
            pl.DataFrame(schema={**dict.fromkeys(names, pl.String), "row_number": pl.Int64})
        )
    else:
        raise LandingError(
            f"a column name is there twice in {', '.join(names)}: rename one of them"
        )
    first_row = 1
    for block in _with_first(body, blocks):
        if block:
            parsed, rows = _parse(block, names=names, separator=separator, first_row=first_row)
            first_row += rows
            yield parsed


def _with_first(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _numbered(frame: pl.DataFrame, first_row: int) -> pl.DataFrame:
    numbers = pl.int_range(first_row, first_row + frame.height, dtype=pl.Int64, eager=True)
    return frame.with_columns(row_number=numbers)


def _parse(
    block: bytes, *, names: Sequence[str], separator: str, first_row: int
) -> tuple[Block, int]:
    """A block of whole lines and how many rows it has, good and bad.

    Polars reads it at once if every line is one record of the right width; else it is cut up line
    by line, so that one broken line costs no other.
    """
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    try:
        frame = pl.read_csv(
            block,
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            separator=separator,
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError:
        frame = None
    if frame is not None and frame.height == lines and not _has_blank_line(block):
        return Block(_numbered(frame, first_row)), lines
    return _parse_lines(block, names=names, separator=separator, first_row=first_row)


def _has_blank_line(block: bytes) -> bool:
    return b"\n\n" in block or b"\n\r\n" in block or block.startswith((b"\n", b"\r\n"))


def _parse_lines(
    block: bytes, *, names: Sequence[str], separator: str, first_row: int
) -> tuple[Block, int]:
    """The block record by record."""
    cells: list[list[str]] = []
    numbers: list[int] = []
    bad: list[dict[str, Any]] = []
    number = first_row
    for record in _records(block.split(b"\n")):
        reason, values = _cut(record, width=len(names), separator=separator)
        if reason is None and not any(value.strip() for value in values):
            continue
        if reason is None:
            cells.append(values + [""] * (len(names) - len(values)))
            numbers.append(number)
        else:
            bad.append({"row_number": number, "raw": _as_text(record).rstrip("\r"), **reason})
        number += 1
    columns = zip(*cells, strict=True) if cells else [()] * len(names)
    frame = pl.DataFrame(
        {
            name: pl.Series(values, dtype=pl.String)
            for name, values in zip(names, columns, strict=True)
        }
    ).with_columns(row_number=pl.Series(numbers, dtype=pl.Int64))
    return Block(frame, pl.DataFrame(bad, schema=BAD)), number - first_row


def _records(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Lines, joined where quotes hold a line break; a quote that never closes costs one line."""
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        if line.count(b'"') % 2 == 1:
            for end in range(index, min(index + MOST_LINES_PER_RECORD, len(lines))):
                if lines[end].count(b'"') % 2 == 1:
                    line = b"\n".join([line, *lines[index : end + 1]])
                    index = end + 1
                    break
        yield line


def _cut(
    record: bytes, *, width: int, separator: str
) -> tuple[dict[str, str | None] | None, list[str]]:
    """A record's cells, or why it has none."""
    try:
        text = record.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        message = (
            f"byte {error.start + 1} of the line is not UTF-8: "
            "send UTF-8 or set SMARTGRID_LANDING_ENCODING, such as cp1252"
        )
        return {"reason": "wrong_encoding", "column": None, "message": message}, []
    try:
        values = next(
            csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), []
        )
    except csv.Error as error:
        return {"reason": "broken_quotes", "column": None, "message": f"{error}"}, []
    while len(values) > width and not values[-1].strip():
        values.pop()
    if len(values) > width:
        message = f"{len(values)} cells, the header has {width}: is there a separator in a number?"
        return {"reason": "too_many_cells", "column": None, "message": message}, []
    return None, values


def _as_text(line: bytes) -> str:
    """The line for people: what is no UTF-8 is read as Western European."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")
