"""A landing file as judged rows, part by part; the next part is read while one is loaded."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from smartgrid_core.readings.validation import Validated
from smartgrid_io.landing.held_back import HeldBack
from smartgrid_io.landing.judge import RowJudge
from smartgrid_io.landing.layout import (
    ColumnPlan,
    LandingLayout,
    recognise_columns,
    refuse_nested,
)
from smartgrid_io.landing.source import Block, read_blocks


@dataclass(frozen=True, slots=True)
class JudgedPart:
    """Some judged rows of a file, and how far in the file they reach."""

    plan: ColumnPlan
    """What the file's columns become; the same for all parts of a file."""
    rows: Validated
    """Good rows as the table has them, and refused ones."""
    position: int
    """Bytes of the file that were read."""


def judge_file(
    path: Path, *, layout: LandingLayout, now: datetime, source_id: str
) -> Generator[JudgedPart, None, None]:
    """Yield the file's rows in order, judged.

    Args:
        path: The file.
        layout: How files of the landing folder are written.
        now: The instant of the landing, UTC.
        source_id: Begins the event id of every reading of the file.

    Raises:
        LandingError: The file is no table, or its columns are those of none of ours.
    """
    position = 0

    def note_position(reached: int) -> None:
        nonlocal position
        position = reached

    judge: RowJudge | None = None
    held: HeldBack | None = None
    for block in read_blocks(path, encoding=layout.encoding, progress=note_position):
        if judge is None or held is None:
            judge = RowJudge(_plan_columns(block, layout), layout.dialect, now, source_id)
            held = HeldBack(judge.plan, layout.dialect.timezone)
        cut_off = Validated(pl.DataFrame(), block.bad, refused=block.bad.height)
        yield JudgedPart(judge.plan, cut_off, position)
        rows = held.pass_on(block.rows)
        # The first block has columns and no rows: rules over nothing cost as much as over rows.
        for judged in judge.judge(rows) if rows.height else ():
            yield JudgedPart(judge.plan, judged, position)
    if judge is not None and held is not None:
        for rows in held.release():
            for judged in judge.judge(rows, at_once=True):
                yield JudgedPart(judge.plan, judged, position)


def _plan_columns(block: Block, layout: LandingLayout) -> ColumnPlan:
    """Return what the columns of a file become, by its first block."""
    columns = [name for name in block.rows.columns if name != "row_number"]
    plan = recognise_columns(columns, layout=layout)
    refuse_nested(plan, block.rows.schema)
    return plan


def read_ahead(parts: Generator[JudgedPart, None, None]) -> Generator[JudgedPart, None, None]:
    """Yield the same parts; while one is loaded, a thread reads and judges the next.

    For a file of one block this costs a thread and saves nothing.
    """
    with closing(parts), ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, parts, None)
        while (part := following.result()) is not None:
            following = reader.submit(next, parts, None)
            yield part
