"""Known anomalies put into public measurements: `smartgrid anomalies` against a plain z-score.

Into every series go, at drawn times after its first 60 days, spikes, level shifts, drifts,
flatlines and gaps of known place (seed fixed). Prints F1 and PR-AUC of rows and the share of events
found beside those of |value - mean| / standard deviation of each series, which knows the gaps;
its threshold is the one of its own best F1, which nobody knows beforehand. Ends with 1 if the
command is not better. Run it with the folder of the data in SMARTGRID_SHARED_DATA.

    python benchmarks/anomalies_injected.py            # all of them
    python benchmarks/anomalies_injected.py homes      # one
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from smartgrid_ml.mining.anomalies.evaluation.metrics import (
    evaluate_events,
    evaluate_rows,
    find_row_runs,
)

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"

QUIET_DAYS = 60
"""A series is left alone for so long at first."""

DAYS_PER_ANOMALY = 25
"""One is put into about so many days, kinds in turn."""


@dataclass(frozen=True, slots=True)
class Case:
    """Measurements as columns series, time, value, and the options of the command for them."""

    name: str
    what: str
    read: Callable[[Path], pl.DataFrame]
    step: timedelta
    options: str


def read_homes(data: Path, *, every: str, count: int) -> pl.DataFrame:
    wide = pl.read_parquet(
        data / "lcl_london_2013" / "lcl_100_households_2013_30min_kwh_wide.parquet"
    )
    known = [
        name
        for name in sorted(wide.columns)
        if name.startswith("MAC") and wide[name].null_count() + wide[name].is_nan().sum() < 20
    ]
    return (
        wide.unpivot(known[:count], index="timestamp", variable_name="series")
        .with_columns(pl.col("value").fill_nan(None))
        .group_by("series", time=pl.col("timestamp").dt.truncate(every))
        .agg(pl.col("value").sum())
    )


def read_house(data: Path) -> pl.DataFrame:
    table = pl.read_parquet(
        data / "uci_household_power" / "uci_household_power_hourly_agg.parquet"
    ).filter(pl.col("date_time").dt.year() == 2009)
    names = ["Global_active_power_mean", "Voltage_mean", "Global_intensity_mean"]
    return table.unpivot(names, index="date_time", variable_name="series").rename(
        {"date_time": "time"}
    )


def read_pjme(data: Path) -> pl.DataFrame:
    return (
        pl.read_csv(data / "pjm" / "PJME_hourly.csv")
        .select(
            series=pl.lit("PJME"),
            time=pl.col("Datetime").str.to_datetime("%m/%d/%Y %H:%M"),
            value=pl.col("PJME_MW").cast(pl.Float64),
        )
        .filter(pl.col("time").dt.year().is_between(2016, 2017))
    )


HOUR, HALF_HOUR = timedelta(hours=1), timedelta(minutes=30)
CASES = (
    Case("homes", "20 London homes, hourly", lambda d: read_homes(d, every="1h", count=20), HOUR,
         "--country GB-ENG"),
    Case("half-hours", "8 London homes, half-hourly", lambda d: read_homes(d, every="30m", count=8),
         HALF_HOUR, "--country GB-ENG"),
    Case("house", "one house in Sceaux, 2009, hourly power, voltage, current", read_house, HOUR,
         "--country FR"),
    Case("pjme", "PJM East 2016 and 2017, hourly", read_pjme, HOUR, "--country US"),
)  # fmt: skip


def main(wanted: list[str]) -> int:
    data = Path(os.environ.get("SMARTGRID_SHARED_DATA", DEFAULT_DATA))
    if not data.is_dir():
        print(f"skipped: no public measurements in {data}; set SMARTGRID_SHARED_DATA")
        return 0
    cases = [case for case in CASES if not wanted or case.name in wanted]
    return max([measure(case, data=data) for case in cases], default=0)


def measure(case: Case, *, data: Path) -> int:
    """Print one case; 1 if the z-score is better in F1 or PR-AUC."""
    rows = insert_anomalies(case.read(data), step=case.step, random=np.random.default_rng(5))
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "labelled.parquet", Path(folder) / "out"
        rows.select("series", "time", "value", "fault").write_parquet(file)
        command = (
            f"smartgrid anomalies --data {file} --time time --target value --series series"
            f" --label fault --out {out} {case.options}"
        )
        began = time.perf_counter()
        subprocess.run(
            [Path(sys.executable).with_name("smartgrid"), *shlex.split(command)[1:]],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        took = time.perf_counter() - began
        metrics = json.loads((out / "metrics.json").read_text())
        anomalies = pl.read_parquet(out / "anomalies.parquet")
    plain = evaluate_z_score(rows, step=case.step)
    print(f"{case.what}: {rows.height:,} rows in {took:.0f} s")
    events = metrics["by_event"]
    ours = (metrics["f1"], metrics["pr_auc"], events["recall"], events["precision"])
    for name, us, them in zip(
        ("F1 of rows", "PR-AUC of rows", "events found", "alarms right"), ours, plain, strict=True
    ):
        print(f"  {name}: {us:.3f}, z-score {them:.3f}, ratio {us / max(them, 1e-9):.2f}")
    for kind, share in count_found_by_kind(rows, anomalies, step=case.step).items():
        print(f"    {kind}: {share}")
    return int(ours[0] <= plain[0] or ours[1] <= plain[1])


def insert_anomalies(
    table: pl.DataFrame, *, step: timedelta, random: np.random.Generator
) -> pl.DataFrame:
    """series, time, value, fault (0 or 1), kind (null where none was put)."""
    parts = []
    table = table.unique(["series", "time"], keep="first").sort("series", "time")
    for _, rows in table.group_by("series", maintain_order=True):
        values = rows["value"].cast(pl.Float64).to_numpy().copy()
        kinds = np.full(len(values), None, dtype=object)
        day = timedelta(days=1) // step
        at = QUIET_DAYS * day
        number = 0
        while at < len(values) - 20 * day:
            at += int(random.integers(DAYS_PER_ANOMALY // 2, DAYS_PER_ANOMALY * 3 // 2) * day)
            at += int(random.integers(day))
            if at >= len(values) - 16 * day:
                break
            put, kind = PUT[number % len(PUT)]
            length = put(values, at, day, random)
            kinds[at : at + length] = kind
            at += length
            number += 1
        marked = pl.Series("kind", kinds.tolist(), dtype=pl.String)
        changed = pl.Series("value", values).fill_nan(None)
        parts.append(rows.with_columns(changed, marked))
    return pl.concat(parts).with_columns(fault=pl.col("kind").is_not_null().cast(pl.Int8))


def measure_spread(values: Any) -> float:
    return float(np.nanstd(values))


def insert_spike(values: Any, at: int, day: int, random: np.random.Generator) -> int:
    values[at] += random.choice([-1, 1]) * random.uniform(4, 8) * measure_spread(values)
    return 1


def insert_level_shift(values: Any, at: int, day: int, random: np.random.Generator) -> int:
    length = int(random.integers(day, 4 * day))
    values[at : at + length] += (
        random.choice([-1, 1]) * random.uniform(2, 4) * measure_spread(values)
    )
    return length


def insert_drift(values: Any, at: int, day: int, random: np.random.Generator) -> int:
    length = int(random.integers(7 * day, 14 * day))
    end = random.choice([-1, 1]) * random.uniform(2, 4) * measure_spread(values)
    values[at : at + length] += np.linspace(0, end, length)
    return length


def insert_flatline(values: Any, at: int, day: int, random: np.random.Generator) -> int:
    length = int(random.integers(day // 2, 2 * day))
    values[at : at + length] = values[at]
    return length


def insert_gap(values: Any, at: int, day: int, random: np.random.Generator) -> int:
    length = int(random.integers(day // 2, 2 * day))
    values[at : at + length] = np.nan
    return length


PUT = (
    (insert_spike, "spike"),
    (insert_level_shift, "level_shift"),
    (insert_flatline, "flatline"),
    (insert_spike, "spike"),
    (insert_gap, "missing"),
    (insert_drift, "drift"),
)


def evaluate_z_score(rows: pl.DataFrame, *, step: timedelta) -> tuple[float, float, float, float]:
    """F1 at its best threshold, PR-AUC, share of events found, share of alarms right."""
    value = pl.col("value")
    z = ((value - value.mean()) / value.std()).abs().over("series")
    scored = rows.with_columns(z=z.fill_null(float("inf")), label=pl.col("fault") == 1)
    labels, scores = scored["label"].to_numpy(), scored["z"].to_numpy()

    def at(threshold: float) -> float:
        return evaluate_rows(labels, scores >= threshold, scores).f1 or 0.0

    best = max(np.arange(1.0, 8.1, 0.25).tolist(), key=at)
    figures = evaluate_rows(labels, scores >= best, scores)
    flagged = scored.with_columns(flag=pl.col("z") >= best)
    events = evaluate_events(
        find_row_runs(flagged, "label"), find_row_runs(flagged, "flag"), early=step, late=step
    )
    return (
        figures.f1 or 0.0, figures.pr_auc or 0.0, events.recall or 0.0, events.precision or 0.0
    )  # fmt: skip


def count_found_by_kind(
    rows: pl.DataFrame, anomalies: pl.DataFrame, *, step: timedelta
) -> dict[str, str]:
    """Return, by kind, how many of its events were found."""
    times = anomalies.select(
        "series", pl.col("time").dt.replace_time_zone(None), flag=pl.lit(value=True)
    )
    times = times.unique(["series", "time"])
    joined = rows.join(times, on=["series", "time"], how="left").with_columns(
        pl.col("flag").fill_null(value=False)
    )
    by_kind = {}
    for kind in sorted({name for _, name in PUT}):
        of_kind = joined.with_columns(label=(pl.col("kind") == kind).fill_null(value=False))
        events = evaluate_events(
            find_row_runs(of_kind, "label"), find_row_runs(of_kind, "flag"), early=step, late=step
        )
        by_kind[kind] = f"{events.found} of {events.events} found"
    return by_kind


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
