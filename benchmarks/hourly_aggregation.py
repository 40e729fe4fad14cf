"""Hourly aggregation of 17 million readings against the same query in bare Polars.

Run `python benchmarks/hourly_aggregation.py`. Each side runs in processes of its own, in turns,
over the same Parquet file of synthetic readings; the fastest turn of each counts. Prints the ratio
of wall times and the peak memory of each side.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

ROWS = 17_300_000
SENSORS = 360
TURNS = 5
MOST_TIMES_BARE = 1.5
MOST_MEMORY_GB = 1.5


@dataclass(frozen=True)
class Result:
    """What the benchmark measured; times in s, memory in GB, the whole process at its peak."""

    rows: int
    hours: int
    bare_s: float
    ours_s: float
    bare_peak_gb: float
    ours_peak_gb: float

    @property
    def ratio(self) -> float:
        """Our wall time in multiples of bare Polars'."""
        return self.ours_s / self.bare_s


def write_readings(file: Path, *, rows: int) -> None:
    """Minute readings of all sensors in the columns of `SensorData`, in order of time."""
    import pyarrow.parquet as pq

    rng = np.random.default_rng(7)
    sensors = pl.DataFrame(
        {
            "sensor_id": [f"S-{number:04d}" for number in range(SENSORS)],
            "sensor_type": [("voltage", "current", "power")[n % 3] for n in range(SENSORS)],
        }
    )
    day = timedelta(days=1)
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    writer = None
    while rows > 0:
        minutes = pl.datetime_range(begin, begin + day, "1m", closed="left", eager=True)
        frame = (
            minutes.alias("event_time")
            .to_frame()
            .join(sensors, how="cross", maintain_order="left_right")
        )
        frame = frame.head(rows)
        frame = frame.with_columns(value=pl.Series(rng.normal(230, 5, frame.height)))
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)
        rows -= frame.height
        begin += day
    assert writer is not None, "a benchmark needs rows"
    writer.close()


def aggregate_bare(readings: pl.LazyFrame) -> pl.LazyFrame:
    """The query as one would type it."""
    value = pl.col("value")
    return (
        readings.group_by(
            "sensor_id", "sensor_type", hour_bucket=pl.col("event_time").dt.truncate("1h")
        )
        .agg(
            avg_value=value.mean(),
            min_value=value.min(),
            max_value=value.max(),
            stddev_value=value.std(),
            count=value.count(),
        )
        .with_columns(expected_count=pl.lit(60))
    )


def aggregate_product(readings: pl.LazyFrame) -> pl.LazyFrame:
    """The product's function, as the asset calls it."""
    from smartgrid_core.aggregates.hourly import aggregate_sensor_hours

    return aggregate_sensor_hours(readings, sensor_interval_minutes=1)


def measure_here(side: str, file: Path) -> dict[str, float]:
    """Run one side in this process: its wall time, its rows and the process's peak memory."""
    query = {"bare": aggregate_bare, "ours": aggregate_product}[side]
    query(pl.scan_parquet(file).head(1)).collect(engine="streaming")
    begin = time.perf_counter()
    answer = query(pl.scan_parquet(file)).collect(engine="streaming")
    seconds = time.perf_counter() - begin
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"seconds": seconds, "hours": answer.height, "peak_gb": peak / 1e9}


def measure(side: str, file: Path) -> dict[str, float]:
    """Run one side in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--side", side, "--file", str(file)],
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def run_benchmark(*, rows: int = ROWS, turns: int = TURNS) -> Result:
    """Both sides in turns over one file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "readings.parquet"
        write_readings(file, rows=rows)
        measured: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
        for _ in range(turns):
            for side, answers in measured.items():
                answers.append(measure(side, file))
    seconds = {side: min(a["seconds"] for a in answers) for side, answers in measured.items()}
    peak = {side: max(a["peak_gb"] for a in answers) for side, answers in measured.items()}
    hours = {int(a["hours"]) for answers in measured.values() for a in answers}
    assert len(hours) == 1, f"both sides must give the same rows, got {hours}"
    return Result(rows, hours.pop(), seconds["bare"], seconds["ours"], peak["bare"], peak["ours"])


def main() -> int:
    """Print the figures; 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--side", choices=["bare", "ours"])
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure_here(arguments.side, arguments.file)))
        return 0
    result = run_benchmark(rows=arguments.rows, turns=arguments.turns)
    print(json.dumps({**asdict(result), "ratio": round(result.ratio, 3)}, indent=2))
    within = result.ratio <= MOST_TIMES_BARE and result.ours_peak_gb <= MOST_MEMORY_GB
    print(
        f"{result.rows:,} readings to {result.hours:,} hours: "
        f"{result.ratio:.2f} times bare Polars (at most {MOST_TIMES_BARE}), "
        f"peak {result.ours_peak_gb:.2f} GB (at most {MOST_MEMORY_GB}): "
        f"{'kept' if within else 'BROKEN'}"
    )
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
