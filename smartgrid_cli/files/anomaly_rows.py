"""What detectors found on the grid, at the file's own times."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from smartgrid_cli.files.detect_file import DetectedAnomalies
from smartgrid_cli.files.readings import Readings
from smartgrid_cli.files.timestamps import convert_wall_to_utc

ANOMALY_COLUMNS = (
    *("series", "time", "value", "lower", "upper", "score", "kind", "reason"),
    *("start_time", "end_time"),
)
"""One row per anomalous reading; the last two show which belong together."""

POINT_KINDS = ("spike", "out_of_band")
"""Kinds that a reading has by itself; the others are of a stretch, and all of it is anomalous."""

LET_PASS = 0.99
"""Of the threshold: what detectors weighed and did not call an anomaly never ranks with one."""

KEY = ("series", "slot")
FIGURES = ("score", "lower", "upper")


@dataclass(frozen=True, slots=True)
class FileAnomalies:
    """The anomalies of a file at its own times, in UTC; ordered by series and time.

    Attributes:
        anomalies: ANOMALY_COLUMNS, one row per anomalous reading.
        spells: The same columns, one row per anomaly: its worst reading.
        rows: series, time, value, lower, upper, score, label, flag; every row of the file and,
            where a step has no row, the step itself.
    """

    anomalies: pl.DataFrame
    spells: pl.DataFrame
    rows: pl.DataFrame

    @property
    def scores(self) -> pl.DataFrame:
        """series, time, score of every row."""
        return self.rows.select("series", "time", "score")


def assign_to_rows(readings: Readings, found: DetectedAnomalies) -> FileAnomalies:
    """Return the anomalies and scores of the grid's steps, assigned to the rows of the file.

    All rows of a stretch have at least its score, for a stretch is judged as a whole; of a spike
    only those that score by themselves are anomalous. Where a step has several rows, the furthest
    from what was expected has its score, the others their share of it.
    """
    rows = _join_every_row(readings, found.scores)
    marked = _mark_rows(rows, found)
    anomalous = _apply_limits(marked.filter("flag")).sort("series", "time", "kind")
    if readings.clock != "UTC":
        anomalous = _convert_to_utc(anomalous, clock=readings.clock)
    spells = (
        anomalous.sort(
            "series", "start_time", "kind", "score", "time", descending=[False] * 3 + [True, False]
        )
        .unique(["series", "start_time", "kind"], keep="first", maintain_order=True)
        .sort("series", "start_time", "kind")
    )
    judged = marked.select("series", "time", "value", "lower", "upper", "score", "label", "flag")
    unjudged = readings.unjudged.with_columns(score=pl.lit(0.0), flag=pl.lit(value=False))
    return FileAnomalies(
        anomalies=anomalous,
        spells=spells,
        rows=pl.concat([judged, unjudged], how="diagonal").sort("series", "time"),
    )


def as_written(result: FileAnomalies, *, written_on: str | None) -> FileAnomalies:
    """Return the same on the clock `Readings.written_on`, without an offset; unchanged for None.

    A local time that spring leaves out has become that of an hour later.
    """
    if written_on is None:
        return result

    def on_clock(frame: pl.DataFrame) -> pl.DataFrame:
        times = pl.col(pl.Datetime("us", "UTC"))
        return frame.with_columns(times.dt.convert_time_zone(written_on).dt.replace_time_zone(None))

    return FileAnomalies(
        anomalies=on_clock(result.anomalies),
        spells=on_clock(result.spells),
        rows=on_clock(result.rows),
    )


def write_anomalies(result: FileAnomalies, folder: Path) -> None:
    """Write anomalies.parquet and scores.parquet; the same input gives the same bytes."""
    result.anomalies.write_parquet(folder / "anomalies.parquet")
    result.scores.write_parquet(folder / "scores.parquet")


def select_since(result: FileAnomalies, begin: datetime) -> FileAnomalies:
    """Return what lies at `begin` or later; what was before is history."""
    later = pl.col("time") >= begin
    return FileAnomalies(
        anomalies=result.anomalies.filter(later),
        spells=result.spells.filter(pl.col("end_time") > begin),
        rows=result.rows.filter(later),
    )


def count_kinds(result: FileAnomalies) -> dict[str, Any]:
    """Return how many anomalies there are of each kind, and in how many series."""
    counts = result.spells.group_by("kind").agg(pl.len()).sort("kind")
    return {
        "anomalies": result.spells.height,
        "by_kind": dict(counts.iter_rows()),
        "series_with_anomalies": result.spells["series"].n_unique(),
        "anomalous_rows": result.anomalies.height,
    }


def _join_every_row(readings: Readings, scores: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the file and steps without one, with score and band of their step.

    Steps of the second of a doubled hour, where the local clock gave no row, are left out.
    """
    bare = (
        readings.grid.filter(pl.col("value").is_null() & pl.col("expected"))
        .select("series", slot="time", time="instant")
        .join(readings.rows.select(KEY).unique(), on=KEY, how="anti")
        .with_columns(
            value=pl.lit(None, dtype=pl.Float64),
            label=pl.lit(None, dtype=pl.Boolean),
            has_row=pl.lit(value=False),
        )
    )
    rows = readings.rows.with_columns(has_row=pl.lit(value=True))
    steps = scores.select("series", "lower", "upper", "score", slot="time")
    return pl.concat([rows, bare.select(rows.columns)]).join(steps, on=KEY, how="left")


def _mark_rows(rows: pl.DataFrame, found: DetectedAnomalies) -> pl.DataFrame:
    """Return the rows with flag, anomaly and the score that is theirs.

    Of a gap without rows in the file only its first step is an anomaly: the file has no more.
    """
    in_spell = pl.col("slot") < pl.col("end_time")
    spell = ("start_time", "end_time", "kind", "reason", *(f"spell_{name}" for name in FIGURES))
    spells = found.spells.select(
        "series", *spell[:4], **{f"spell_{name}": name for name in FIGURES}
    ).sort("start_time")
    joined = rows.sort("slot").join_asof(
        spells,
        left_on="slot",
        right_on="start_time",
        by="series",
        strategy="backward",
        check_sortedness=False,
    )
    joined = joined.with_columns(pl.when(in_spell).then(pl.col(name)).alias(name) for name in spell)
    is_point = pl.col("kind").is_in(POINT_KINDS).fill_null(value=False)
    scored = joined.with_columns(
        score=pl.when(is_point)
        .then(pl.col("score") * _share_of_band())
        .when(pl.col("kind").is_not_null())
        .then(pl.max_horizontal("score", "spell_score"))
        .otherwise(pl.min_horizontal("score", pl.lit(LET_PASS * found.threshold)))
        .fill_null(0.0)
    )
    begins = pl.col("slot") == pl.col("slot").min().over("series", "start_time")
    anomalous = (
        pl.when(is_point)
        .then(pl.col("score") >= found.threshold)
        .otherwise(pl.col("kind").is_not_null() & (pl.col("has_row") | begins))
    )
    return scored.with_columns(flag=anomalous)


def _apply_limits(anomalous: pl.DataFrame) -> pl.DataFrame:
    """Return ANOMALY_COLUMNS; a reading that breaks a limit has it in place of its band."""
    value, low, high = pl.col("value"), pl.col("spell_lower"), pl.col("spell_upper")
    breaks = (pl.col("kind") == "out_of_band") & ~(
        (value >= low).fill_null(value=True) & (value <= high).fill_null(value=True)
    )
    return anomalous.with_columns(
        lower=pl.when(breaks).then(low).otherwise("lower"),
        upper=pl.when(breaks).then(high).otherwise("upper"),
    ).select(ANOMALY_COLUMNS)


def _convert_to_utc(anomalous: pl.DataFrame, *, clock: str) -> pl.DataFrame:
    """Return starts and ends of a grid on a local clock as UTC; reasons name times without Z."""
    return anomalous.with_columns(
        *(convert_wall_to_utc(pl.col(name), timezone=clock) for name in ("start_time", "end_time")),
        pl.col("reason").str.replace_all(r"(\d\d:\d\d)Z", "$1"),
    )


def _share_of_band() -> pl.Expr:
    """Return a row's distance from the middle of its band over the largest of its step; else 1."""
    far = (pl.col("value") - (pl.col("lower") + pl.col("upper")) / 2).abs()
    share = far / far.max().over(KEY)
    return pl.when(share.is_between(0, 1)).then(share).otherwise(1.0)
