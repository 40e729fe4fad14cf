"""Peak memory of `refresh_days` over many meters and days, against its readings, in one run.

`python benchmarks/refresh_memory.py [--meters 2000] [--days 10]` lands quarter-hourly registers
into an embedded PostgreSQL, then runs the job over the ranges of days that the sensor
`late_readings` would ask for, each in a process of its own, as the machine does. Prints the most
memory that one of them held, also per reading, and fails above --most gigabytes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from sensors.late_readings import compute_longest_range
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.settings import Settings
from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.postgres.embedded import EmbeddedPostgres
from smartgrid_io.postgres.schema import upgrade_tables
from smartgrid_io.postgres.warehouse import PostgresWarehouse

FIRST = date(2026, 1, 1)
METERS_PER_FEEDER = 100

RUN = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import dagster as dg
from smartgrid_assets.definitions import build_project

def read(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

job = build_project().get_repository_def().get_job(sys.argv[1])
before = read("VmRSS")
tags = {} if len(sys.argv) < 4 else {
    "dagster/asset_partition_range_start": sys.argv[2],
    "dagster/asset_partition_range_end": sys.argv[3],
}
with dg.DagsterInstance.ephemeral() as instance:
    done = job.execute_in_process(instance=instance, tags=tags)
assert done.success
print(json.dumps({"before": before, "peak": read("VmHWM")}))
"""


def build_topology(meters: int) -> pl.DataFrame:
    """Return a tree with a feeder and a transformer for every hundred meters."""
    feeders = range(-(-meters // METERS_PER_FEEDER))
    nodes: list[tuple[str, str, str | None]] = [("SUB", "substation", None)]
    nodes += [(f"FEED-{n}", "feeder", "SUB") for n in feeders]
    nodes += [(f"TRAFO-{n}", "transformer", f"FEED-{n}") for n in feeders]
    nodes += [(f"MTR-{n:06}", "meter", f"TRAFO-{n // METERS_PER_FEEDER}") for n in range(meters)]
    empty = GridTopology.create_empty()
    frame = pl.DataFrame(nodes, ["node_id", "node_kind", "parent_id"], orient="row")
    frame = frame.with_columns(name="node_id", latitude=50.0, longitude=8.0)
    missing = [pl.lit(None).alias(name) for name in empty.columns if name not in frame.columns]
    return GridTopology.validate(frame.with_columns(missing).select(empty.columns), cast=True)


def write_readings(file: Path, meters: int, days: int) -> int:
    """Write quarter-hourly registers, instant by instant; return how many."""
    rows = meters * days * 96
    row = pl.int_range(rows, eager=True).to_frame("row")
    row.select(
        meter_id=pl.format("MTR-{}", (pl.col("row") % meters).cast(pl.String).str.zfill(6)),
        customer_id=pl.format("C-{}", (pl.col("row") % meters).cast(pl.String).str.zfill(6)),
        reading=((pl.col("row") // meters) * 0.137 + pl.col("row") % meters).round(3),
        timestamp=pl.lit(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC))
        + pl.duration(minutes=15) * (pl.col("row") // meters),
    ).write_csv(file, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    return rows


def run_job(job: str, environment: dict[str, str], *days: date) -> dict[str, int]:
    """Run a job in a process of its own; return what it held before and at most, bytes."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, job, *map(str, days)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    figures: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> int:
    """The exit code: 1 above the bound."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--meters", type=int, default=2_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--most", type=float, default=3.0, help="gigabytes")
    options = parser.parse_args()
    last = FIRST + timedelta(days=options.days - 1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        root = Path(scratch)
        root.chmod(0o711)
        with EmbeddedPostgres(root / "home", fsync=False) as server:
            upgrade_tables(server.url)
            warehouse = PostgresWarehouse(server.url)
            warehouse.replace(GridTopology, build_topology(options.meters))
            file = root / "readings.csv"
            rows = write_readings(file, options.meters, options.days)
            report = land_file(
                file,
                warehouse=warehouse,
                layout=LandingLayout(),
                now=datetime(2027, 1, 1, tzinfo=UTC),
            )
            if report.status != "landed":
                raise RuntimeError(report.message)
            environment = {
                **os.environ,
                "SMARTGRID_HOME": str(root / "home"),
                "SMARTGRID_DATABASE_URL": server.url,
                "SMARTGRID_FIRST_DAY": str(FIRST),
                "SMARTGRID_LAST_DAY": str(last),
            }
            run_job("read_topology", environment)
            longest = compute_longest_range({"meter": options.meters}, settings=Settings()).days
            spans = [
                (first, min(first + timedelta(days=longest - 1), last))
                for first in (FIRST + timedelta(days=n) for n in range(0, options.days, longest))
            ]
            held = [run_job("refresh_days", environment, *span) for span in spans]
    peak = max(each["peak"] for each in held)
    used = max(each["peak"] - each["before"] for each in held)
    in_run = options.meters * 96 * min(longest, options.days)
    print(f"{rows:,} readings of {options.meters:,} meters in {options.days} days")
    print(f"{len(spans)} runs of at most {longest} days; peak {peak / 1e9:.2f} GB")
    print(f"{used / in_run:.0f} bytes per reading beyond what a process holds before")
    return int(peak / 1e9 > options.most)


if __name__ == "__main__":
    sys.exit(main())
