"""A file much larger than the memory that its landing may take."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smartgrid_io.postgres.copy import connect
from smartgrid_io.postgres.warehouse import PostgresWarehouse

LIMIT_MB = 500

PROGRAM = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.postgres.warehouse import PostgresWarehouse
report = land_file(
    Path(sys.argv[1]),
    warehouse=PostgresWarehouse(sys.argv[2]),
    layout=LandingLayout(),
    now=datetime(2026, 3, 1, tzinfo=UTC),
)
status = Path("/proc/self/status").read_text()
peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
print(report.status, report.rows_new, report.rows_repeated, report.rows_refused, peak)
"""
"""The peak is VmHWM: ru_maxrss would be at least that of the process that started this one."""


def write_long(path: Path, *, megabytes: int) -> int:
    """Readings of 2000 meters, quarter-hour by quarter-hour, again and again; returns the rows.

    Each day is there many times, so that the file outgrows the table.
    """
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = 0
    with path.open("w") as file:
        file.write("meter_id,customer_id,reading,timestamp,unit,reading_kind\n")
        while file.tell() < megabytes * 1_000_000:
            for quarter in range(48):
                time = f"{start + timedelta(minutes=15) * quarter:%Y-%m-%dT%H:%M:%SZ}"
                file.writelines(
                    f"MTR-{meter:06},C-{meter:06},{quarter * 0.25 + meter},{time},kWh,register\n"
                    for meter in range(2000)
                )
                rows += 2000
    return rows


def write_wide(path: Path, *, megabytes: int) -> int:
    """Rows of 3000 meters, of which only the first ten have anything to say."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    count = 0
    with path.open("w") as file:
        file.write("timestamp," + ",".join(f"M{meter}" for meter in range(3000)) + "\n")
        while file.tell() < megabytes * 1_000_000:
            time = f"{start + timedelta(minutes=1) * (count % 40_000):%Y-%m-%dT%H:%M:%SZ}"
            file.write(time + ",1.5" * 10 + "," * 2990 + "\n")
            count += 1
    return count * 10


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
@pytest.mark.parametrize("write", [write_long, write_wide])
def test_memory_stays_flat_however_long_the_file(
    warehouse: PostgresWarehouse, tmp_path: Path, write
):
    path = tmp_path / "large.csv"
    rows = write(path, megabytes=200)
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), warehouse.url],
        capture_output=True,
        text=True,
        check=True,
    )
    status, new, repeated, refused, peak_kb = finished.stdout.split()
    assert (status, int(new) + int(repeated), refused) == ("landed", rows, "0")
    assert int(peak_kb) / 1024 < LIMIT_MB, finished.stdout
    with connect(warehouse.url) as connection:
        assert connection.execute("SELECT count(*) FROM meter_readings").fetchone() == (int(new),)
