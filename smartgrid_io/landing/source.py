"""A landing file as blocks of raw rows with their numbers, and the rows that cannot be cut up."""

import csv
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from smartgrid_core.errors import LandingError
from smartgrid_core.readings.validation import REFUSED_COLUMNS
from smartgrid_io.landing.text import PARQUET, CutShortError, detect_kind, read_utf8_blocks

ROWS_PER_BATCH = 65_536
"""Parquet rows that are decoded at a time."""
SEPARATORS = (",", ";", "\t", "|")
MOST_LINES_PER_RECORD = 100
"""A quote that stays open longer is a stray one."""
MOST_COLUMNS_OF_TEXT = 2
"""In a wider table, lines inside quotes that all have the table's width are rows, not text."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive rows of a file."""

    rows: pl.DataFrame
    """The source's columns and `row_number`, which counts from 1."""
    bad: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REFUSED_COLUMNS))
    """Rows that cannot be cut into cells, in the columns of `REFUSED_COLUMNS`."""


@dataclass(frozen=True, slots=True)
class _TextFormat:
    """How the records of a text file are cut into cells."""

    names: Sequence[str]
    """The columns, in order."""
    separator: str
    """One of SEPARATORS."""

    @property
    def width(self) -> int:
        """Cells of a record."""
        return len(self.names)


def read_blocks(
    path: Path, *, encoding: str | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[Block]:
    """Yield the file's rows in order, some ten thousand at a time; at least one block, perhaps
    empty.

    Text comes as text, Parquet in its own types.

    Args:
        path: The file.
        encoding: How text is read that is no UTF-8; None recognises UTF-16 only.
        progress: Called with the position in the file, in bytes.

    Raises:
        LandingError: The file is empty, damaged or of another kind.
        CutShortError: The file was not written to its end.
    """
    if path.stat().st_size == 0:
        raise LandingError("the file is empty: send it again")
    if detect_kind(path) == "parquet":
        return _read_parquet_blocks(path, progress)
    return _read_text_blocks(path, encoding, progress)


def _read_parquet_blocks(path: Path, progress: Callable[[int], None] | None) -> Iterator[Block]:
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
                yield Block(_number_rows(frame, first_row))
                first_row += frame.height
                if progress is not None:
                    progress(size * (first_row - 1) // total)
    except (pa.ArrowException, OSError) as error:
        raise LandingError(f"the Parquet file is damaged ({error}): send it again") from error


def _read_text_blocks(
    path: Path, encoding: str | None, progress: Callable[[int], None] | None
) -> Iterator[Block]:
    blocks = read_utf8_blocks(path, encoding=encoding, progress=progress)
    first = next(blocks, b"").lstrip(b"\r\n")
    if not first.strip():
        raise LandingError("the file is empty: send it again")
    header, _, body = first.partition(b"\n")
    line = _as_readable_text(header).strip("\r")
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
    text_format = _TextFormat(names, separator)
    first_row = 1
    for block in itertools.chain([body], blocks):
        if block:
            parsed, rows = _parse_block(block, text_format, first_row=first_row)
            first_row += rows
            yield parsed


def _number_rows(frame: pl.DataFrame, first_row: int) -> pl.DataFrame:
    numbers = pl.int_range(first_row, first_row + frame.height, dtype=pl.Int64, eager=True)
    return frame.with_columns(row_number=numbers)


def _parse_block(block: bytes, text_format: _TextFormat, *, first_row: int) -> tuple[Block, int]:
    """Return the rows of a block of whole lines, and how many it has, good and bad.

    Polars reads it at once if every line is one record of the right width; else it is cut up line
    by line, so that one broken line costs no other.
    """
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    frame = None
    if _has_plain_quotes(block, text_format.separator):
        try:
            frame = pl.read_csv(
                block,
                has_header=False,
                schema=dict.fromkeys(text_format.names, pl.String),
                separator=text_format.separator,
                raise_if_empty=False,
            )
        except pl.exceptions.PolarsError:
            frame = None
    if frame is not None and frame.height == lines and not _has_blank_line(block):
        return Block(_number_rows(frame, first_row)), lines
    return _parse_lines(block, text_format, first_row=first_row)


def _has_plain_quotes(block: bytes, separator: str) -> bool:
    """Return whether every quote belongs to a cell that is quoted as a whole, within one line."""
    if b'"' not in block:
        return True
    ends = re.escape(separator).encode()
    quoted = rb'(?<![^%b\n])"(?:[^"\n]++|"")*+"(?![^%b\r\n])' % (ends, ends)
    return b'"' not in re.sub(quoted, b"", block)


def _has_blank_line(block: bytes) -> bool:
    return b"\n\n" in block or b"\n\r\n" in block or block.startswith((b"\n", b"\r\n"))


def _parse_lines(block: bytes, text_format: _TextFormat, *, first_row: int) -> tuple[Block, int]:
    """Return the rows of a block and how many it has, cut record by record."""
    cells: list[list[str]] = []
    numbers: list[int] = []
    bad: list[dict[str, Any]] = []
    number = first_row
    for record, reason, values in _split_records(block.split(b"\n"), text_format):
        if reason is None and len(values) <= 1 and not "".join(values).strip():
            continue
        if reason is None:
            cells.append(values + [""] * (text_format.width - len(values)))
            numbers.append(number)
        else:
            bad.append(
                {"row_number": number, "raw": _as_readable_text(record).rstrip("\r"), **reason}
            )
        number += 1
    columns = zip(*cells, strict=True) if cells else [()] * text_format.width
    frame = pl.DataFrame(
        {
            name: pl.Series(values, dtype=pl.String)
            for name, values in zip(text_format.names, columns, strict=True)
        }
    ).with_columns(row_number=pl.Series(numbers, dtype=pl.Int64))
    return Block(frame, pl.DataFrame(bad, schema=REFUSED_COLUMNS)), number - first_row


Fault = dict[str, str | None]
"""Why a record has no cells, by `reason`, `column` and `message`."""


def _split_records(
    lines: Sequence[bytes], text_format: _TextFormat
) -> Iterator[tuple[bytes, Fault | None, list[str]]]:
    """Yield every record as it is written, why it has no cells, and its cells.

    A quote opens a cell only where the cell begins; elsewhere it is a character like others. Lines
    are one record where a quoted cell holds their break; if that cell never ends, or ends so that
    no row comes of it, its quote is a stray one and costs the line that it stands in alone.
    """
    index = 0
    while index < len(lines):
        used, reason, values = _cut_record(
            lines[index : index + MOST_LINES_PER_RECORD], text_format
        )
        yield b"\n".join(lines[index : index + used]), reason, values
        index += used


def _cut_record(
    lines: Sequence[bytes], text_format: _TextFormat
) -> tuple[int, Fault | None, list[str]]:
    """Return how many of the lines the first record has, why it has no cells, and its cells."""
    width, separator = text_format.width, text_format.separator
    try:
        if b'"' not in lines[0]:
            used, values = 1, lines[0].decode("utf-8").rstrip("\r").split(separator)
        else:
            texts = (line.decode("utf-8") + "\n" for line in lines)
            reader = csv.reader(texts, delimiter=separator, strict=True)
            values = next(reader, [])
            used = reader.line_num
    except UnicodeDecodeError as error:
        message = (
            f"byte {error.start + 1} of the line is not UTF-8: "
            "send UTF-8 or set SMARTGRID_LANDING_ENCODING, such as cp1252"
        )
        return 1, {"reason": "wrong_encoding", "column": None, "message": message}, []
    except csv.Error:
        return 1, _describe_broken_quotes(), []
    while len(values) > width and not values[-1].strip():
        values.pop()
    if used > 1 and (len(values) != width or _has_only_rows(lines[1 : used - 1], width, separator)):
        return 1, _describe_broken_quotes(), []
    if len(values) > width:
        message = f"{len(values)} cells, the header has {width}: is there a separator in a number?"
        return used, {"reason": "too_many_cells", "column": None, "message": message}, []
    return used, None, values


def _describe_broken_quotes() -> Fault:
    message = "a cell that begins with a quote does not end with one: double the quotes inside it"
    return {"reason": "broken_quotes", "column": None, "message": message}


def _has_only_rows(lines: Sequence[bytes], width: int, separator: str) -> bool:
    """Return whether all lines between two quotes look like rows: the quotes are stray ones."""
    if width <= MOST_COLUMNS_OF_TEXT or not lines:
        return False
    return all(b'"' not in line and line.count(separator.encode()) == width - 1 for line in lines)


def _as_readable_text(line: bytes) -> str:
    """Return the line as people read it: what is no UTF-8 is read as Western European."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")
