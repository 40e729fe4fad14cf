"""Alarm flags of a distribution transformer, foreseen or found from its measurements alone.

The flags OTI_A (oil temperature), OTI_T (trip) and MOG_A (oil gauge) judge, and are no input.
Inputs are oil and ambient temperature, the oil's rise above ambient, oil level, voltages and
currents. The detectors of `smartgrid anomalies`, at the threshold of the daily watch, judge every
day by the days before it; what is strange is known at the end of its step, a drift at the end of
its day. Oil above the limit of IEC 60076-7 is known at once. For the gauge, so are two temperatures
that are both exactly zero: the monitor has lost its supply, and the gauge's contact hangs on it.

What is strange opens a warning, which stands until a day has passed without anything strange. A
warning is right if an episode of the flag begins while it stands, or if it opens during one. An
episode is foreseen if a warning stood before its first row; the lead counts a day at most. The
z-score, of every series by all of its past, has the threshold at which it opens as many warnings.
Run it with the folder of the data in SMARTGRID_SHARED_DATA.
"""

import json
import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from smartgrid_cli.files.detect_file import DetectionSettings, detect_anomalies
from smartgrid_cli.files.readings import Readings, read_readings
from smartgrid_cli.files.table import Columns
from smartgrid_ml.mining.anomalies.detect import THRESHOLD
from smartgrid_ml.mining.anomalies.evaluation.metrics import evaluate_events, find_row_runs

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
FOLDER = "transformer_monitoring"
TIME = "DeviceTimeStamp"
FLAGS = ("OTI_A", "OTI_T", "MOG_A")

OIL = ("OTI", "ATI", "rise", "OLI")
GRID = ("VL1", "VL2", "VL3", "VL12", "IL1", "IL2", "IL3", "INUT")
"""WTI is 0 or 1 in these files, a contact and no temperature: it is left out."""

OIL_LIMITS_C = (-25.0, 115.0)
"""IEC 60076-7: oil at the top of a distribution transformer stays below 115 degrees Celsius even in
an emergency; IEC 60076-1: air no colder than -25."""

NO_CAUSES = ("out_of_band", "flatline", "missing")
"""Limits are looked at by themselves; gauges of whole degrees stand still often, and a gauge that
stands or is silent shows a fault of its own, not of the transformer."""

STANDS = timedelta(hours=24)
"""How long a warning stands after the last strange reading, and the longest lead that counts."""

USUAL_Z = 3.0

LEARNED = timedelta(days=7)
"""The z-score has no value before: as long as the detectors."""


def main(options: list[str]) -> int:
    data = Path(os.environ.get("SMARTGRID_SHARED_DATA", DEFAULT_DATA)) / FOLDER
    if not data.is_dir():
        print(f"skipped: no transformer in {data}; set SMARTGRID_SHARED_DATA")
        return 0
    figures = measure_methods(data)
    if "--json" in options:
        print(json.dumps(figures, indent=2))
        return 0
    for flag, by_method in figures.items():
        print(flag)
        for method, row in by_method.items():
            print(
                f"  {method}: {row['right']} of {row['warnings']} warnings right (precision"
                f" {row['precision']:.2f}), {row['found']} of {row['episodes']} episodes (recall"
                f" {row['recall']:.2f}), {row['foreseen']} of them foreseen, median lead"
                f" {row['median_lead_h'] or 0:.1f} h"
            )
    return 0


def measure_methods(data: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the figures by flag and method."""
    parts = read_transformer(data)
    strange = pl.concat([find_triggers(part) for part in parts])
    z = pl.concat([compute_z_scores(part) for part in parts])
    figures = {}
    for flag in FLAGS:
        causes = [strange, find_dead_inputs(parts[0])] if flag == "MOG_A" else [strange]
        ours = open_warnings(pl.concat(causes))
        equal = choose_threshold(z, ours.height)
        methods = {
            "detectors": ours,
            "z-score, as many warnings": open_warnings(z.filter(pl.col("z") >= equal)),
            "z-score above 3": open_warnings(z.filter(pl.col("z") >= USUAL_Z)),
        }
        episodes = read_episodes(data, flag)
        figures[flag] = {
            name: evaluate_warnings(episodes, of_method) for name, of_method in methods.items()
        }
    return figures


def read_transformer(data: Path) -> list[Readings]:
    """Return both files as the command reads them, with the oil's rise above ambient."""
    oil = pl.read_csv(data / "Overview.csv", infer_schema_length=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "oil.parquet"
        oil.with_columns(rise=pl.col("OTI") - pl.col("ATI")).write_parquet(path)
        return [
            read_readings(path, Columns(TIME, OIL), timezone="UTC"),
            read_readings(data / "CurrentVoltage.csv", Columns(TIME, GRID), timezone="UTC"),
        ]


def find_triggers(part: Readings) -> pl.DataFrame:
    """Return the times at which something strange is known."""
    names = part.grid["series"].unique()
    limits = {"OTI": OIL_LIMITS_C} if "OTI" in names else {}
    detection = detect_anomalies(
        part,
        DetectionSettings("UTC", threshold=THRESHOLD, past_only=True, habits=True, limits=limits),
    )
    low, high = OIL_LIMITS_C
    outside = part.rows.filter(
        (pl.col("series") == "OTI") & ~pl.col("value").is_between(low, high)
    ).select("time")
    spells = detection.spells.select("series", "start_time", "end_time", "kind").sort("start_time")
    steps = (
        detection.scores.filter(
            (pl.col("score") >= detection.threshold) & pl.col("value").is_not_null()
        )
        .sort("time")
        .join_asof(
            spells,
            left_on="time",
            right_on="start_time",
            by="series",
            strategy="backward",
            check_sortedness=False,
        )
        .filter((pl.col("time") < pl.col("end_time")) & ~pl.col("kind").is_in(NO_CAUSES))
    )
    day_end = pl.col("time").dt.truncate("1d") + timedelta(days=1)
    known = pl.when(pl.col("kind") == "drift").then(day_end).otherwise(pl.col("time") + part.step)
    return pl.concat([outside, steps.select(time=known)])


def find_dead_inputs(part: Readings) -> pl.DataFrame:
    """Return the times at which oil and ambient temperature are both exactly zero."""
    zero = part.rows.filter(pl.col("series").is_in(["OTI", "ATI"]) & (pl.col("value") == 0))
    return zero.group_by("time").len().filter(pl.col("len") == 2).select("time")


def compute_z_scores(part: Readings) -> pl.DataFrame:
    """Return time, z of every row by all rows of its series before it."""
    value, past = pl.col("value"), pl.int_range(pl.len())
    mean = value.cum_sum().shift() / past
    variance = (value**2).cum_sum().shift() / past - mean**2
    return (
        part.rows.filter(value.is_not_null())
        .with_columns(
            z=((value - mean).abs() / variance.clip(lower_bound=1e-6).sqrt()).over("series"),
            age=(pl.col("time") - pl.col("time").min()).over("series"),
        )
        .filter((pl.col("age") >= LEARNED) & pl.col("z").is_finite())
        .select("time", "z")
        .sort("time")
    )


def open_warnings(strange: pl.DataFrame) -> pl.DataFrame:
    """Return series, start, end of warnings; each stands for STANDS after its last strange time."""
    flagged = strange.select("time").unique().sort("time")
    rows = flagged.with_columns(series=pl.lit("transformer"), flag=pl.lit(value=True))
    return find_row_runs(rows, "flag", apart=STANDS).with_columns(pl.col("end") + STANDS)


def choose_threshold(z: pl.DataFrame, count: int) -> float:
    """Return the lowest threshold at which the z-score opens at most so many warnings."""
    for threshold in np.arange(2.0, 100.0, 0.1):
        if open_warnings(z.filter(pl.col("z") >= threshold)).height <= count:
            return float(threshold)
    raise ValueError(f"no threshold of the z-score gives {count} warnings")


def read_episodes(data: Path, flag: str) -> pl.DataFrame:
    """Return the unbroken runs of rows in which the flag is set."""
    table = pl.read_csv(data / "Overview.csv", infer_schema_length=None)
    time = pl.col(TIME).str.to_datetime("%Y-%m-%dT%H:%M", time_unit="us", time_zone="UTC")
    rows = table.select(series=pl.lit("transformer"), time=time, flag=(pl.col(flag) == 1)).sort(
        "time", maintain_order=True
    )
    return find_row_runs(rows, "flag")


def evaluate_warnings(episodes: pl.DataFrame, of_method: pl.DataFrame) -> dict[str, Any]:
    """Return precision, recall and lead of warnings for the episodes of one flag."""
    figures = evaluate_events(episodes, of_method, early=STANDS)
    leads = [-delay.total_seconds() / 3600 for delay in figures.delays if delay < timedelta(0)]
    return {
        "warnings": figures.alarms,
        "right": figures.true_alarms,
        "precision": figures.precision or 0.0,
        "episodes": figures.events,
        "found": figures.found,
        "recall": figures.recall or 0.0,
        "foreseen": len(leads),
        "median_lead_h": median(leads) if leads else None,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
