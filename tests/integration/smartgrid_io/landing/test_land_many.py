"""Many files at once: small ones share a transaction, and each is landed whole or not at all."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from smartgrid_core.contracts.readings import (
    LandedFiles,
    MeterReadings,
    Quarantine,
    TouchedDays,
)
from smartgrid_io.landing.folder import SETTLED, find_candidates
from smartgrid_io.landing.land import GROUP_FILES, SMALL_BYTES, land_files
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.landing.report import LandingReport
from smartgrid_io.postgres.warehouse import PostgresWarehouse
from tests.integration.smartgrid_io.landing.landed import NOW

GRACE = timedelta(minutes=5)


class Clock:
    """Shows the present; of a landing that is tested, always the same."""

    def __init__(self, time: datetime = NOW) -> None:
        self.time = time

    def now(self) -> datetime:
        return self.time


def write_file(folder: Path, name: str, *, meter: str = "a", rows: int = 1) -> Path:
    path = folder / name
    lines = [f"{meter},{n},2026-03-0{n % 9 + 1}T00:00:{n // 9:02}Z" for n in range(rows)]
    path.write_text("\n".join(["meter_id,reading,timestamp", *lines, ""]))
    return path


def land_all(
    paths: list[Path], warehouse: PostgresWarehouse, *, now: datetime = NOW
) -> list[LandingReport]:
    layout = LandingLayout()
    return list(land_files(paths, warehouse=warehouse, layout=layout, clock=Clock(now)))


def offer(folder: Path, warehouse: PostgresWarehouse, *, later: timedelta = GRACE) -> list[str]:
    now = datetime.now(UTC) + later
    found = find_candidates(folder, warehouse=warehouse, now=now, grace=GRACE)
    return [candidate.name for candidate in found]


def test_one_bad_file_of_many_takes_no_other_with_it(warehouse: PostgresWarehouse, tmp_path: Path):
    files = [write_file(tmp_path, f"{n}.csv", meter=f"m{n}") for n in range(GROUP_FILES + 3)]
    files[1].write_text("no table\n")
    files[2] = tmp_path / "gone.csv"
    large = tmp_path / "large.csv"
    large.write_text(files[3].read_text().replace("m3", "large") + "\n" * SMALL_BYTES)
    reports = {each.source: each for each in land_all([*files[:5], large, *files[5:]], warehouse)}
    assert [name for name, each in reports.items() if each.status != "landed"] == [
        "gone.csv",
        "1.csv",
    ]
    assert reports["gone.csv"].message == (
        f"{files[2]} is not a file: name a CSV, gzipped CSV or Parquet file"
    )
    assert warehouse.read(MeterReadings)["meter_id"].n_unique() == GROUP_FILES + 2
    assert warehouse.read(LandedFiles).height == GROUP_FILES + 3
    assert warehouse.read(Quarantine)["source"].to_list() == ["1.csv"]
    assert warehouse.read(TouchedDays).height == GROUP_FILES + 2


def test_files_that_are_killed_together_land_together_the_next_time(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    files = [write_file(tmp_path, f"{n}.csv", meter=f"m{n}") for n in range(2 * GROUP_FILES)]
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from smartgrid_io.landing import attempt\n"
        "from tests.integration.smartgrid_io.landing import test_land_many as many\n"
        "record, done = attempt.LandingAttempt._record_landing, []\n"
        "def wait(self, report):\n"
        "    record(self, report)\n"
        "    done.append(report)\n"
        "    if len(done) == many.GROUP_FILES + 10:\n"
        "        print('now', flush=True)\n"
        "        time.sleep(60)\n"
        "attempt.LandingAttempt._record_landing = wait\n"
        "warehouse = many.PostgresWarehouse(sys.argv[1])\n"
        "many.land_all([Path(name) for name in sys.argv[2:]], warehouse)\n"
    )
    command = [sys.executable, "-c", program, warehouse.url, *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"now\n"
        process.kill()
    assert warehouse.read(LandedFiles).height == GROUP_FILES
    statuses = [report.status for report in land_all(files, warehouse)]
    assert statuses == ["already_landed"] * GROUP_FILES + ["landed"] * GROUP_FILES
    assert warehouse.read(MeterReadings).height == 2 * GROUP_FILES


def test_groups_with_the_same_rows_in_opposite_order_both_land(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    groups: list[list[Path]] = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        meters = [f"m{n}" for n in range(GROUP_FILES)][:: 1 - 2 * number]
        groups.append([write_file(folder, f"{m}.csv", meter=m, rows=2 + number) for m in meters])
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda files: land_all(files, warehouse), groups))
    assert {each.status for group in reports for each in group} == {"landed"}
    assert warehouse.read(MeterReadings).height == 3 * GROUP_FILES


def test_a_database_that_fails_leaves_the_files_waiting(
    warehouse: PostgresWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_file(tmp_path, "a.csv")

    def fail(*_: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr("smartgrid_io.landing.attempt.LandingAttempt._record_landing", fail)
        with pytest.raises(psycopg.OperationalError):
            land_all([tmp_path / "a.csv"], warehouse)
    assert offer(tmp_path, warehouse) == ["a.csv"]


def test_content_that_landed_under_another_name_is_offered_no_more(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    first, copy = write_file(tmp_path, "first.csv"), write_file(tmp_path, "copy.csv")
    odd = write_file(tmp_path, os.fsdecode(b"caf\xe9.csv"), meter="odd")
    later = datetime.now(UTC) + timedelta(seconds=1)
    reports = land_all([first, copy, odd], warehouse, now=later)
    assert [(each.status, each.landed_as) for each in reports] == [
        ("landed", None),
        ("already_landed", "first.csv"),
        ("landed", None),
    ]
    assert offer(tmp_path, warehouse) == []
    os.utime(copy, (later.timestamp() + 60,) * 2)
    assert offer(tmp_path, warehouse) == ["copy.csv"]


def test_a_closed_file_is_offered_at_once_and_one_that_is_written_waits(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    folder = tmp_path / "landing"
    folder.mkdir()
    write_file(folder, "closed.csv")
    write_file(tmp_path, "elsewhere.csv").rename(folder / "renamed.csv")
    with (folder / "open.csv").open("w") as open_file:
        open_file.write("meter_id,reading,timestamp\n")
        open_file.flush()
        assert offer(folder, warehouse, later=timedelta(0)) == []
        assert offer(folder, warehouse, later=SETTLED) == ["closed.csv", "renamed.csv"]
        assert offer(folder, warehouse) == ["closed.csv", "open.csv", "renamed.csv"]
    assert offer(folder, warehouse, later=SETTLED) == ["closed.csv", "open.csv", "renamed.csv"]


def test_what_is_no_file_stops_no_other(warehouse: PostgresWarehouse, tmp_path: Path):
    write_file(tmp_path, "good.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    (tmp_path / "nowhere.csv").symlink_to(tmp_path / "gone.csv")
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    assert offer(tmp_path, warehouse) == ["good.csv"]
    reports = land_all(sorted(tmp_path.iterdir()), warehouse)
    assert {each.source: each.status for each in reports} == {
        "device.csv": "refused",
        "folder.csv": "refused",
        "good.csv": "landed",
        "loop.csv": "refused",
        "nowhere.csv": "refused",
        "pipe.csv": "refused",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable for root")
def test_an_unreadable_file_stops_no_other(warehouse: PostgresWarehouse, tmp_path: Path):
    secret, good = write_file(tmp_path, "a.csv"), write_file(tmp_path, "b.csv", meter="b")
    secret.chmod(0)
    reports = land_all([secret, good], warehouse)
    assert [(each.source, each.status) for each in reports] == [
        ("a.csv", "refused"),
        ("b.csv", "landed"),
    ]
    assert "Permission denied): mend that" in (reports[0].message or "")
