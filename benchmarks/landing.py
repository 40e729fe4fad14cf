"""Landing a clean file against a bare COPY to a temporary table plus one upsert, in one run.

`python benchmarks/landing.py [--rows 1000000] [--rounds 3]` starts an embedded PostgreSQL, writes a
file of meter readings and loads it both ways into empty keyed tables of the same shape, in turn.
The reference gets the finished table's columns as a CSV file that needs no checking.

`python benchmarks/landing.py --gigabytes 10` lands one file of that size instead, in a process of
its own, and says how fast it went and how much memory it took at most. The readings of two days
are in it again and again, so that the file needs room (below TMPDIR) and the table does not.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import psutil
from measuring import peak_bytes

from smartgrid_core.contracts.readings import MeterReadings
from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.postgres.copy import connect
from smartgrid_io.postgres.embedded import EmbeddedPostgres
from smartgrid_io.postgres.loading import list_days
from smartgrid_io.postgres.schema import ensure_months
from smartgrid_io.postgres.warehouse import PostgresWarehouse

START = datetime(2025, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
METERS = 500
TARGET = 0.6
MOST_MB = 500
"""What a landing may take, whatever the file's size."""
ROWS_IN_ROUND = METERS * 192
"""Two days of all meters: longer than a block, so that a block holds no reading twice."""

UPSERT = """
INSERT INTO meter_readings AS t SELECT * FROM incoming
ON CONFLICT (meter_id, reading_kind, event_time) DO UPDATE
SET reading = excluded.reading, event_id = excluded.event_id, ingested_at = excluded.ingested_at,
    customer_id = excluded.customer_id, unit = excluded.unit
WHERE t.reading IS DISTINCT FROM excluded.reading
"""


def make_readings(rows: int) -> pl.DataFrame:
    """Quarter-hourly registers of 500 meters, as a head-end writes them: instant by instant."""
    row = pl.int_range(rows, eager=True).to_frame("row")
    return row.select(
        meter_id=pl.format("MTR-{}", (pl.col("row") % METERS).cast(pl.String).str.zfill(6)),
        customer_id=pl.format("C-{}", (pl.col("row") % METERS).cast(pl.String).str.zfill(6)),
        reading=((pl.col("row") // METERS) * 0.137 + pl.col("row") % METERS).round(3),
        timestamp=pl.lit(START) + pl.duration(minutes=15) * (pl.col("row") // METERS),
    )


def write_files(folder: Path, rows: int) -> tuple[Path, Path, pl.DataFrame]:
    """The file to land, and the same readings as the table's own columns."""
    frame = make_readings(rows)
    raw, finished = folder / "readings.csv", folder / "finished.csv"
    frame.write_csv(raw, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    table = frame.select(
        pl.format("0123456789ab-{}", pl.int_range(1, pl.len() + 1)).alias("event_id"),
        "meter_id",
        "customer_id",
        "reading",
        pl.lit("kWh").alias("unit"),
        pl.lit("register").alias("reading_kind"),
        pl.col("timestamp").alias("event_time"),
        pl.lit(NOW).alias("ingested_at"),
    )
    table.write_csv(finished, include_header=False, datetime_format="%Y-%m-%d %H:%M:%S%.6f+00")
    return raw, finished, table


def load_bare(warehouse: PostgresWarehouse, finished: Path) -> None:
    """COPY into a temporary table, then one upsert."""
    with connect(warehouse.url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE incoming (LIKE meter_readings) ON COMMIT DROP")
        with (
            finished.open("rb") as file,
            cursor.copy("COPY incoming FROM STDIN (FORMAT csv)") as copy,
        ):
            while chunk := file.read(1 << 20):
                copy.write(chunk)
        cursor.execute(UPSERT)


@contextmanager
def open_empty_warehouse(
    server: EmbeddedPostgres, table: pl.DataFrame
) -> Iterator[PostgresWarehouse]:
    """A warehouse with the months that the readings need and no rows."""
    warehouse = PostgresWarehouse(server.ensure_database("landing"))
    warehouse.upgrade()
    ensure_months(warehouse.url, MeterReadings, list_days(MeterReadings, table))
    yield warehouse
    server.drop_database("landing")


def measure_rate_share(rows: int, rounds: int) -> float:
    """The median ratio of speeds, landing to bare; prints every round."""
    ratios = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        raw, finished, table = write_files(folder, rows)
        with EmbeddedPostgres(folder / "server") as server:
            for number in range(1, rounds + 1):
                with open_empty_warehouse(server, table) as warehouse:
                    began = time.perf_counter()
                    load_bare(warehouse, finished)
                    bare_s = time.perf_counter() - began
                with open_empty_warehouse(server, table) as warehouse:
                    began = time.perf_counter()
                    report = land_file(
                        raw, warehouse=warehouse, layout=LandingLayout(), now=NOW + timedelta(1)
                    )
                    landing_s = time.perf_counter() - began
                    assert report.rows_new == rows, report
                ratios.append(bare_s / landing_s)
                print(
                    f"round {number}: bare {bare_s:.2f} s ({rows / bare_s:,.0f} rows/s), landing "
                    f"{landing_s:.2f} s ({rows / landing_s:,.0f} rows/s), ratio {ratios[-1]:.2f}"
                )
    return statistics.median(ratios)


def write_large(path: Path, *, gigabytes: float) -> int:
    """The same two days of readings until the file is large enough; returns its rows."""
    text = make_readings(ROWS_IN_ROUND).write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ")
    header, _, body = text.encode().partition(b"\n")
    rounds = max(int(gigabytes * 1e9 / len(body)), 1)
    with path.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(rounds):
            file.write(body)
    return rounds * ROWS_IN_ROUND


def land_alone(path: Path, url: str) -> tuple[int, int, float]:
    """Land the file; return new rows, repeated rows, and this process's peak memory, MB."""
    began, twentieths = time.perf_counter(), 0

    def progress(_: str, done: int, size: int) -> None:
        nonlocal twentieths
        if done * 20 // size > twentieths:
            twentieths = done * 20 // size
            passed = time.perf_counter() - began
            held_mb = peak_bytes() / 1e6
            print(f"  {done / 1e9:.1f} of {size / 1e9:.1f} GB, {passed:.0f} s, {held_mb:.0f} MB")

    report = land_file(
        path,
        warehouse=PostgresWarehouse(url),
        layout=LandingLayout(),
        now=NOW,
        progress=progress,
    )
    assert (report.status, report.rows_refused) == ("landed", 0), report
    return report.rows_new, report.rows_repeated, peak_bytes() / 1e6


def measure_peak_memory(gigabytes: float) -> float:
    """Land one large file; prints its figures and returns the peak memory in MB."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = folder / "large.csv"
        rows = write_large(path, gigabytes=gigabytes)
        print(f"{path.stat().st_size / 1e9:.1f} GB, {rows:,} rows", flush=True)
        with EmbeddedPostgres(folder / "server") as server:
            warehouse = PostgresWarehouse(server.ensure_database("landing"))
            warehouse.upgrade()
            began = time.perf_counter()
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                new, repeated, peak = alone.submit(land_alone, path, warehouse.url).result()
            passed = time.perf_counter() - began
    assert (new, new + repeated) == (ROWS_IN_ROUND, rows), (new, repeated, rows)
    print(
        f"landed {rows:,} rows ({new:,} new) in {passed:.0f} s ({rows / passed:,.0f} rows/s), "
        f"peak memory {peak:.0f} MB (target < {MOST_MB})"
    )
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gigabytes", type=float, help="land one file of this size instead")
    arguments = parser.parse_args()
    if arguments.gigabytes:
        raise SystemExit(0 if measure_peak_memory(arguments.gigabytes) < MOST_MB else 1)
    ratio = measure_rate_share(arguments.rows, arguments.rounds)
    peak_mb = psutil.Process().memory_info().rss / 1e6
    print(f"ratio {ratio:.2f} (target >= {TARGET}), resident memory {peak_mb:.0f} MB")
    raise SystemExit(0 if ratio >= TARGET else 1)


if __name__ == "__main__":
    main()
