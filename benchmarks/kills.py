"""SIGKILLs at random while readings are landed: nothing lost, nothing doubled, equal tables.

`python benchmarks/kills.py [--kills 100] [--days 20] [--seed 1]` lands the demo grid's readings
(20 days are 300,000) twice, each file dropped into the landing folder of a machine of its own: once
undisturbed, once while processes are killed at random, the supervisor and runs among them. In the
end the readings are compared as sets with the files, and the digests of all tables with each
other. Prints what was killed how often and how long it took to be whole again; fails if anything
differs.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl
import psutil
from measuring.machine import BenchMachine, choose_ports

from demo.files import write_demo
from smartgrid_cli.commands.demo_state import DemoPlan
from smartgrid_cli.machine.home import Home

END = date(2026, 3, 1)
PORTS = ("POSTGRES", "MLFLOW", "DAGSTER", "MODEL_SERVER_REST", "MODEL_SERVER_GRPC", "DATA_DOCS")
TARGETS = (
    *("run", "run", "run", "postgres", "postgres", "dagster_daemon", "dagster_code"),
    *("warm_image", "dagster", "mlflow", "model_server", "supervisor"),
)
"""What is killed; what is named more often is killed more often."""
PAUSE_S = (0.5, 4.0)
"""Between two kills."""
QUIET_S = 45.0
"""No run, no new file: longer than the slowest look of Dagster's daemon."""
PATIENCE_S = 1800.0


def write_files(folder: Path, days: int) -> list[Path]:
    """Write the demo's readings, the meters' by day: many small deliveries instead of a few."""
    write_demo(folder / "first", end=END, days=days, aside=folder)
    files = [folder / "first" / "grid_topology.csv"]
    for month in sorted((folder / "first").glob("meters-*.csv.gz")):
        rows = pl.read_csv(month, schema_overrides={"timestamp": pl.String})
        parts = rows.with_columns(day=pl.col("timestamp").str.slice(0, 10))
        for (day,), part in parts.group_by("day", maintain_order=True):
            files.append(folder / f"meters-{day}.csv")
            part.drop("day").write_csv(files[-1])
    return [*files, *sorted((folder / "first").glob("sensors-*.parquet"))]


def read_wanted(files: list[Path]) -> pl.DataFrame:
    """Return the keys and values of the meter readings that the files hold."""
    frames = [pl.read_csv(file) for file in files if file.name.startswith("meters-")]
    return (
        pl.concat(frames)
        .select("meter_id", "timestamp", pl.col("reading").cast(pl.Float64))
        .unique(["meter_id", "timestamp"], keep="last", maintain_order=True)
        .sort("meter_id", "timestamp")
    )


def read_stored(machine: BenchMachine) -> pl.DataFrame:
    """Return the same of the warehouse."""
    with machine.connect() as connection:
        rows = connection.execute("SELECT meter_id, event_time, reading FROM meter_readings")
        stored = pl.DataFrame(
            rows.fetchall(),
            {
                "meter_id": pl.String,
                "event_time": pl.Datetime("us", "UTC"),
                "reading": pl.Float64,
            },
            orient="row",
        )
    return stored.select(
        "meter_id",
        pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("timestamp"),
        "reading",
    ).sort("meter_id", "timestamp")


def drop_file(file: Path, machine: BenchMachine) -> None:
    """Copy a file into the landing folder, whole or not at all."""
    landing = machine.home.root / "landing"
    scratch = landing / f".{file.name}.part"
    scratch.write_bytes(file.read_bytes())
    scratch.replace(landing / file.name)


def wait_until_whole(machine: BenchMachine, files: list[Path]) -> float:
    """Wait until all files are landed and nothing happens any more; return the seconds."""
    begun = time.monotonic()
    quiet_since = None
    wanted = {file.name for file in files}
    while time.monotonic() - begun < PATIENCE_S:
        if not machine.answers():
            quiet_since = None
            time.sleep(0.2)
            continue
        with machine.connect() as connection:
            landed = {str(row[0]) for row in connection.execute("SELECT source FROM landed_files")}
        with machine.connect("dagster") as connection:
            open_runs = connection.execute(
                "SELECT count(*) FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
            ).fetchone()
        if not wanted <= landed or open_runs != (0,):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > QUIET_S:
            return quiet_since - begun
        time.sleep(0.5)
    raise TimeoutError(f"not whole after {PATIENCE_S:.0f} s; see {machine.home.logs}")


def find_run_process(machine: BenchMachine) -> int | None:
    """Return a process that executes a run, None if there is none."""
    services = {machine.find_pid(note.stem) for note in machine.home.run.glob("*.json")}
    try:
        image = psutil.Process(machine.find_pid("warm_image"))
        runs = [child.pid for child in image.children() if child.pid not in services]
    except psutil.Error:
        return None
    return runs[0] if runs else None


def kill_one(machine: BenchMachine, choice: random.Random) -> str:
    """Kill something; return what it was, "nothing" if it was not there."""
    target = choice.choice(TARGETS)
    if target == "supervisor":
        machine.kill_supervisor()
        machine.start()
        return target
    pid = find_run_process(machine) if target == "run" else machine.find_pid(target)
    try:
        if not pid:
            return "nothing"
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return "nothing"
    return target


def digest_tables(machine: BenchMachine, out: Path) -> dict[str, object]:
    """Return the digest of every table, by the product's own command."""
    subprocess.run(
        [sys.executable, "-c", "from smartgrid_cli.main import run; run()", "digest", "--out", out],
        env={**os.environ, **machine.environment, "SMARTGRID_HOME": str(machine.home.root)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    tables: dict[str, object] = json.loads(out.read_text())["tables"]
    return tables


@contextmanager
def open_machine(folder: Path, days: int) -> Iterator[BenchMachine]:
    """Give a machine that runs."""
    ports = dict(zip(PORTS, choose_ports(len(PORTS)), strict=True))
    plan = DemoPlan(end=END, days=days, seed=7)
    environment = plan.environment | {f"SMARTGRID_PORT_{k}": str(v) for k, v in ports.items()}
    machine = BenchMachine(Home(folder).make(), environment)
    machine.start()
    try:
        yield machine
    finally:
        machine.stop()


def main() -> int:
    """The exit code: 1 if a row is missing, double or different."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="how many SIGKILLs")
    parser.add_argument("--days", type=int, default=20, help="days of readings, 15,000 a day")
    parser.add_argument("--seed", type=int, default=1, help="of what is killed when")
    options = parser.parse_args()
    choice = random.Random(options.seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        root = Path(scratch)
        root.chmod(0o711)
        files = write_files(root / "files", options.days)
        wanted = read_wanted(files)
        with open_machine(root / "undisturbed", options.days) as machine:
            for file in files:
                drop_file(file, machine)
            took = wait_until_whole(machine, files)
            print(f"undisturbed: {wanted.height} readings whole after {took:.0f} s", flush=True)
            reference = digest_tables(machine, root / "undisturbed.json")
            refused = wanted.join(read_stored(machine), on=wanted.columns, how="anti")
        killed: Counter[str] = Counter()
        with open_machine(root / "killed", options.days) as machine:
            left = list(files)
            while killed.total() - killed["nothing"] < options.kills:
                if left:
                    drop_file(left.pop(0), machine)
                else:
                    drop_file(choice.choice(files), machine)
                killed[kill_one(machine, choice)] += 1
                time.sleep(choice.uniform(*PAUSE_S))
            for file in left:
                drop_file(file, machine)
            healed = wait_until_whole(machine, files)
            del killed["nothing"]
            print(f"killed: {dict(killed.most_common())}; whole {healed:.0f} s after the last")
            stored = read_stored(machine)
            found = digest_tables(machine, root / "killed.json")
    wanted = wanted.join(refused, on=wanted.columns, how="anti")
    lost = wanted.join(stored, on=wanted.columns, how="anti")
    more = stored.join(wanted, on=wanted.columns, how="anti")
    unequal = sorted(
        name for name in reference.keys() | found.keys() if reference.get(name) != found.get(name)
    )
    print(f"{lost.height} of {wanted.height} readings lost, {more.height} that nobody sent")
    print(f"{len(reference)} tables, unequal: {', '.join(unequal) or 'none'}")
    return int(bool(lost.height or more.height or unequal))


if __name__ == "__main__":
    sys.exit(main())
