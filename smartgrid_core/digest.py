"""Digests of tables: equal for equal rows, whatever their order, store or time of writing."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

WHEN_AND_BY_WHOM = frozenset(
    {
        *("event_id", "revision_id", "seq", "backtest_id", "request_id", "alert_id", "message_id"),
        *("ingested_at", "landed_at", "touched_at", "replaced_at", "quarantined_at", "known_at"),
        *("scored_at", "created_at", "asked_at", "changed_at", "moved_at", "compared_at"),
        *("decided_at", "opened_at", "closed_at", "tried_at", "next_attempt_at"),
        *("train_s", "predict_ms", "latency_ms", "duration_ms", "artifact_mb"),
    }
)
"""Columns that say when, by which run or how fast a row came to be, not what the grid did."""

MEASURED_ROWS = {
    "promotion_decisions": pl.col("condition").is_in(["answer_ms", "size_mb", "golden_batch"])
}
"""By table, rows whose figures were measured on the machine: speed, size on disk, rounding."""

SIGNIFICANT_DIGITS = 6
"""Sums of floats differ in their last bits from run to run: threads add up in another order."""

OFF_THE_TIES = 1 + 1.37e-7
"""Readings have few decimals, so their sums lie on ties (5.404375) and would round either way; a
shift of a tenth of the last digit takes them off."""

FIELD, ROW, NULL = "\x1f", "\x1e", "\x00"
"""Separators that no text of a contract holds, so that no two rows read alike."""


@dataclass(frozen=True, slots=True)
class TableDigest:
    """The digest of one table in one store.

    Attributes:
        table: its name, as in `smartgrid_core.contracts.tables`.
        store: `warehouse` or `lake`.
        rows: how many rows it holds.
        sha256: hexadecimal digest of all rows, 64 characters.
    """

    table: str
    store: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DigestMode:
    """What counted when digests were made: only those of the same mode can be compared.

    Attributes:
        name: `reproducible`, or `all_columns` for everything that a row holds.
        left_out: names of the columns that did not count, in alphabetical order.
    """

    name: str
    left_out: tuple[str, ...]


REPRODUCIBLE = DigestMode("reproducible", tuple(sorted(WHEN_AND_BY_WHOM)))
"""Without WHEN_AND_BY_WHOM and MEASURED_ROWS: equal for two runs of the same code."""

ALL_COLUMNS = DigestMode("all_columns", ())
"""Everything, also when and by which run a row was written."""


def explain_mode_difference(before: DigestMode, now: DigestMode) -> str | None:
    """Return why digests of two modes cannot be compared; None if they can.

    >>> explain_mode_difference(ALL_COLUMNS, ALL_COLUMNS)
    >>> explain_mode_difference(ALL_COLUMNS, REPRODUCIBLE)
    'its mode is all_columns, this one is reproducible'
    """
    if before.name != now.name:
        return f"its mode is {before.name}, this one is {now.name}"
    apart = sorted(set(before.left_out) ^ set(now.left_out))
    return f"one of the two leaves out {', '.join(apart)}" if apart else None


def digest_rows(
    parts: Iterable[pl.DataFrame], *, left_out: frozenset[str] = WHEN_AND_BY_WHOM
) -> tuple[int, str]:
    """Return how many rows the parts hold, and the digest of them.

    Args:
        parts: the table's rows, cut the same way whenever digests are compared (a day each, in
            order of days, or all at once); rows within a part in any order.
        left_out: columns that do not count.

    >>> one, other = pl.DataFrame({"kw": [1.0, 2.0]}), pl.DataFrame({"kw": [2.0, 1.0]})
    >>> digest_rows([one]) == digest_rows([other])
    True
    """
    rows, whole = 0, hashlib.sha256()
    for part in parts:
        if part.is_empty():
            continue
        rows += part.height
        texts = part.select(to_row_text(part, left_out=left_out)).to_series().sort()
        whole.update(hashlib.sha256(ROW.join(texts).encode()).digest())
    return rows, whole.hexdigest()


def drop_measured_rows(rows: pl.DataFrame, *, table: str) -> pl.DataFrame:
    """Return the rows of a table without those that hold what was measured on the machine."""
    return rows.filter(~MEASURED_ROWS[table]) if table in MEASURED_ROWS else rows


def to_row_text(frame: pl.DataFrame, *, left_out: frozenset[str] = frozenset()) -> pl.Expr:
    """Return an expression that writes each row as one text, columns in alphabetical order.

    Null, NaN and the empty text are three things. Columns in `left_out` do not count.
    """
    names = sorted(set(frame.columns) - left_out)
    cells = [_to_cell_text(name, frame.schema[name]) for name in names]
    return pl.concat_str(cells or [pl.lit("")], separator=FIELD).alias("row")


def compare_digests(before: Iterable[TableDigest], after: Iterable[TableDigest]) -> list[str]:
    """Return a sentence for every table that differs between two runs; none if they are equal."""
    old, new = ({(each.table, each.store): each for each in side} for side in (before, after))
    sentences = []
    for table, store in sorted(old.keys() | new.keys()):
        was, is_now = old.get((table, store)), new.get((table, store))
        if was is None or is_now is None:
            where = "only the new run" if was is None else "only the old run"
            sentences.append(f"{table} ({store}): {where} has it")
        elif was.rows != is_now.rows:
            sentences.append(f"{table} ({store}): {was.rows:,} rows before, {is_now.rows:,} now")
        elif was.sha256 != is_now.sha256:
            sentences.append(f"{table} ({store}): {was.rows:,} rows, but not the same")
    return sentences


def _to_cell_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return an expression that writes one column as text, lists element by element.

    Floats keep SIGNIFICANT_DIGITS.
    """
    column = pl.col(name)
    if isinstance(dtype, pl.Array):
        column, dtype = column.cast(pl.List(dtype.inner)), pl.List(dtype.inner)
    if dtype.is_float():
        column = _round_figures(column)
    if isinstance(dtype, pl.List):
        element = _round_figures(pl.element()) if dtype.inner.is_float() else pl.element()
        elements = element.cast(pl.String).fill_null(NULL)
        return column.list.eval(elements).list.join(",").fill_null(NULL).alias(name)
    return column.cast(pl.String).fill_null(NULL).alias(name)


def _round_figures(figures: pl.Expr) -> pl.Expr:
    """Return floats with SIGNIFICANT_DIGITS; minus zero becomes zero."""
    rounded = (figures * OFF_THE_TIES).round_sig_figs(SIGNIFICANT_DIGITS)
    return pl.when(figures == 0).then(0.0).otherwise(rounded)
