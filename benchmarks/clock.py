"""Clock of a machine: start, file to features, heal times, idle load and memory, in one run.

`python benchmarks/clock.py [--days 30] [--home FOLDER]` makes a machine with the demo grid's
readings and measures it against its parts, in the same run: a bare start of Python, a bare import
of the graph, and a bare restart of PostgreSQL after SIGKILL. Ratios hold on any machine, seconds
on an idle one. Prints a line per figure with its goal, and fails if one is missed by more than
--slack. `--home` keeps the machine for a second run.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from measuring.machine import HEALTH, BenchMachine, choose_ports

from demo.files import write_demo
from smartgrid_cli.commands.demo_state import DemoPlan
from smartgrid_cli.machine.home import Home
from smartgrid_io.postgres.embedded import EmbeddedPostgres

END = date(2026, 3, 1)
METER = "M0100"
IDLE_S = 60.0
SETTLE_S = 40.0
PORTS = (*("POSTGRES", "MLFLOW", "DAGSTER", "MODEL_SERVER_REST", "MODEL_SERVER_GRPC", "DATA_DOCS"),)
GOALS = {
    "cold start, s": 12.0,
    "file to feeder_load, s": 15.0,
    "file to load_features, s": 25.0,
    "refresh of one day, processor s": 15.0,
    "idle load, % of a core": 4.0,
    "idle memory, MiB": 1126.0,
    "heal postgres, s": 8.0,
}
HEAL_GOAL_S = 6.0
"""For every process but PostgreSQL."""


@dataclass
class Figures:
    """What was measured, printed as it comes.

    Attributes:
        slack: By what factor a goal may be missed.
    """

    slack: float
    missed: int = 0

    def tell(self, name: str, value: float, *, against: str = "") -> None:
        """Print a figure, its goal if it has one, and what it is to be held against."""
        goal = GOALS.get(name, HEAL_GOAL_S if name.startswith("heal ") else None)
        if goal is not None and value > goal * self.slack:
            self.missed += 1
        wanted = "" if goal is None else f"goal {goal:g}"
        print(f"{name:<34} {value:9.2f}   {wanted:<12} {against}", flush=True)


def measure_program(code: str) -> float:
    """Return the shortest wall time of three runs of a Python program, s."""
    times = []
    for _ in range(3):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
        times.append(time.monotonic() - begun)
    return min(times)


def measure_postgres(folder: Path) -> float:
    """Return how long a bare PostgreSQL is away after SIGKILL, s."""
    with EmbeddedPostgres(folder) as server:
        pid = server.pid
        assert pid is not None
        begun = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        while server.is_running:
            time.sleep(0.01)
        server.start()
        return time.monotonic() - begun


@contextmanager
def open_machine(home: Home, days: int) -> Iterator[BenchMachine]:
    """Give a machine whose landing folder holds the demo grid's readings."""
    plan = DemoPlan(end=END, days=days, seed=7)
    ports = dict(zip(PORTS, choose_ports(len(PORTS)), strict=True))
    environment = plan.environment | {f"SMARTGRID_PORT_{k}": str(v) for k, v in ports.items()}
    machine = BenchMachine(home, environment)
    landing = home.root / "landing"
    if not list(landing.iterdir()):
        write_demo(landing, end=END, days=days, aside=home.root / "demo")
    try:
        yield machine
    finally:
        machine.stop()


def find_newest_event(machine: BenchMachine) -> int:
    """Return the number of the newest event of Dagster's log."""
    with machine.connect("dagster") as connection:
        found = connection.execute("SELECT coalesce(max(id), 0) FROM event_logs").fetchone()
        assert found is not None
        return int(str(found[0]))


def list_made_days(machine: BenchMachine, asset: str, *, after: int) -> set[str]:
    """Return the days of the asset that were made after an event."""
    with machine.connect("dagster") as connection:
        rows = connection.execute(
            "SELECT partition FROM event_logs WHERE id > %s AND asset_key = %s"
            " AND dagster_event_type = 'ASSET_MATERIALIZATION'",
            [after, f'["{asset}"]'],
        ).fetchall()
    return {str(row[0]) for row in rows}


def has_days(machine: BenchMachine, asset: str, wanted: set[str], *, after: int) -> bool:
    """Return whether these days of the asset were made after an event."""
    return wanted <= list_made_days(machine, asset, after=after)


def wait_until_quiet(machine: BenchMachine) -> None:
    """Wait until no run has been queued or under way for a while."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < SETTLE_S:
        with machine.connect("dagster") as connection:
            found = connection.execute(
                "SELECT count(*) FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
            ).fetchone()
        if found is None or found[0] != 0:
            quiet_since = time.monotonic()
        time.sleep(1.0)


def fill_days(machine: BenchMachine, days: int) -> None:
    """Wait until what lies in the landing folder is in the features."""
    last = str(END - timedelta(days=1))
    machine.wait(
        lambda: last in list_made_days(machine, "load_features", after=0), seconds=60.0 * days
    )
    wait_until_quiet(machine)


def drop_corrections(machine: BenchMachine, days: Sequence[date]) -> int:
    """Drop a file that corrects a meter's readings of these days; return how many rows it has."""
    rows: list[str] = []
    with machine.connect() as connection:
        for day in days:
            first = datetime(day.year, day.month, day.day, tzinfo=UTC)
            found = connection.execute(
                "SELECT meter_id, customer_id, reading + 0.001, event_time FROM meter_readings"
                " WHERE meter_id = %s AND event_time > %s AND event_time <= %s ORDER BY event_time",
                [METER, first, first + timedelta(days=1)],
            ).fetchall()
            rows += [
                f"{meter},{customer},{reading},{at:%Y-%m-%dT%H:%M:%SZ},kWh,register"
                for meter, customer, reading, at in found
            ]
    landing = machine.home.root / "landing"
    scratch = landing / ".corrections.part"
    header = "meter_id,customer_id,reading,timestamp,unit,reading_kind"
    scratch.write_text("\n".join([header, *rows]) + "\n")
    scratch.replace(landing / f"corrections-{time.time():.0f}.csv")
    return len(rows)


def measure_file(machine: BenchMachine, figures: Figures, *, reference: float) -> None:
    """Measure from a dropped file to its days in the tables; `reference`: a bare import, s."""
    days = [END - timedelta(days=back) for back in (9, 6, 3)]
    wanted = {str(day) for day in days}
    newest = find_newest_event(machine)
    rows = drop_corrections(machine, days)
    begun = time.monotonic()
    for asset in ("feeder_load", "load_features"):
        machine.wait(partial(has_days, machine, asset, wanted, after=newest), seconds=600)
        took = time.monotonic() - begun
        against = f"{took / reference:.1f} bare imports; {rows} rows of {len(days)} days"
        figures.tell(f"file to {asset}, s", took, against=against)
    wait_until_quiet(machine)


def measure_refresh(machine: BenchMachine, figures: Figures, *, reference: float) -> None:
    """Measure the processor time of one day's refresh by the hourly job."""
    from smartgrid_cli.dagster_api.client import DagsterClient

    day = END - timedelta(days=2)
    before, begun = machine.measure_cpu(), time.monotonic()
    with DagsterClient(machine.read_addresses()["dagster"]) as client:
        run = client.launch("refresh_days", days=(day, day), tags={})
        machine.wait(lambda: client.list_runs(ids=[run])[0].has_ended, seconds=300)
        if client.list_runs(ids=[run])[0].status != "SUCCESS":
            raise RuntimeError(client.explain_failure(run))
    took = time.monotonic() - begun
    used = machine.measure_cpu() - before
    against = f"{used / reference:.1f} bare imports; {took:.1f} s on the clock"
    figures.tell("refresh of one day, processor s", used, against=against)
    wait_until_quiet(machine)


def measure_idle(machine: BenchMachine, figures: Figures) -> None:
    """Measure what a machine takes that has nothing to do."""
    before = machine.measure_cpu()
    time.sleep(IDLE_S)
    load = (machine.measure_cpu() - before) / IDLE_S * 100
    figures.tell("idle load, % of a core", load)
    memory = machine.measure_memory()
    largest = sorted(memory.items(), key=lambda item: -item[1])
    against = ", ".join(f"{name} {megabytes:.0f}" for name, megabytes in largest)
    figures.tell("idle memory, MiB", sum(memory.values()), against=against)


def measure_heals(machine: BenchMachine, figures: Figures, *, bare: float, start: float) -> None:
    """Kill each process once; `bare`: a bare restart of PostgreSQL, `start`: a cold start, s."""
    for name in ("postgres", *HEALTH, "dagster_code", "dagster_daemon", "warm_image"):
        took = machine.measure_heal(name)
        against = f"{took / bare:.1f} bare restarts" if name == "postgres" else ""
        figures.tell(f"heal {name}, s", took, against=against)
        time.sleep(2.0)
    begun = time.monotonic()
    machine.kill_supervisor()
    machine.start()
    took = time.monotonic() - begun
    figures.tell("heal supervisor, s", took, against=f"{took / start:.1f} cold starts")


def main() -> int:
    """The exit code: 1 if a goal was missed by more than the slack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--days", type=int, default=30, help="days of readings, 20 at least")
    parser.add_argument("--home", type=Path, help="keep the machine in this folder")
    parser.add_argument(
        "--slack", type=float, default=1.0, help="factor by which goals may be missed"
    )
    options = parser.parse_args()
    figures = Figures(options.slack)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o711)
        process = measure_program("pass")
        graph = measure_program("import smartgrid_assets.definitions")
        bare = measure_postgres(Path(scratch) / "bare")
        figures.tell("bare start of Python, s", process)
        figures.tell("bare import of the graph, s", graph, against=f"{graph / process:.0f} starts")
        figures.tell("bare restart of PostgreSQL, s", bare)
        home = Home(options.home or Path(scratch) / "home").make()
        with open_machine(home, options.days) as machine:
            machine.start()
            fill_days(machine, options.days)
            machine.stop()
            start = machine.start()
            figures.tell("cold start, s", start, against=f"{start / graph:.1f} bare imports")
            wait_until_quiet(machine)
            measure_idle(machine, figures)
            measure_file(machine, figures, reference=graph)
            measure_refresh(machine, figures, reference=graph)
            measure_heals(machine, figures, bare=bare, start=start)
    print("all goals are met" if not figures.missed else f"{figures.missed} goals were missed")
    return min(figures.missed, 1)


if __name__ == "__main__":
    sys.exit(main())
