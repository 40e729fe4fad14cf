"""Writes the demo's files as a head-end would deliver them; `write_demo` is the way in."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from demo.faults import Bools, FaultOverlay, FaultPlan
from demo.grid import SUBSTATION, Floats, Flow, Grid, PowerFlow
from demo.planning import plan_faults
from demo.planted_sensor_faults import compute_phase_currents, distort_flow, list_phase_sensors
from demo.profiles import (
    STEP,
    draw_autoregressive,
    generate_normal_power,
    seed_generator,
    split_months,
)
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.time import DAY, Window, midnight

Progress = Callable[[str, int, int], None]
"""Called with what was done, how many steps are done, and how many there are."""

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
NOMINAL_HZ = 50.0
FREQUENCY_SIGMA_HZ = 0.02
FREQUENCY_MEMORY_MINUTES = 5.0
"""Ornstein-Uhlenbeck: the primary control of a large synchronous area pulls back in minutes."""
BUSBAR_PU = 1.02
BUSBAR_SIGMA_PU = 0.005
BUSBAR_MEMORY_MINUTES = 180.0
"""What the rest of the network and the tap changer do to the 20 kV busbar, per unit."""


@dataclass(frozen=True)
class DemoManifest:
    """What `write_demo` wrote. `late_files` and `planted_faults` lie outside the landing folder.

    Attributes:
        window: The days that were written, UTC.
        seed: Seed of all random numbers.
        first_files: Files in the landing folder.
        late_files: Files that are landed after the others.
        planted_faults: The ground truth, rows of `PlantedFaults`.
        feeders: Number of feeders.
        transformers: Number of transformers.
        meters: Number of meters.
        sensors: Number of sensors, phase sensors included.
        meter_readings: Rows of the meter files.
        late_readings: Rows of the late files.
        sensor_readings: Rows of the sensor files.
    """

    window: Window
    seed: int
    first_files: tuple[Path, ...]
    late_files: tuple[Path, ...]
    planted_faults: Path
    feeders: int
    transformers: int
    meters: int
    sensors: int
    meter_readings: int
    late_readings: int
    sensor_readings: int


def write_demo(
    folder: Path,
    *,
    end: date,
    days: int = 60,
    seed: int = 7,
    aside: Path | None = None,
    closing_reading: bool = False,
    progress: Progress | None = None,
) -> DemoManifest:
    """Write the `days` UTC days before midnight of `end` into the landing folder.

    The same arguments give the same bytes. Every file is complete before it has its name. Files:
    `grid_topology.csv`, `meters-YYYY-MM.csv.gz` (meter_id, customer_id, reading, timestamp, unit,
    reading_kind) and `sensors-YYYY-MM.parquet` (sensor_id, sensor_type, value, latitude,
    longitude, timestamp).

    Args:
        folder: The landing folder; made if absent.
        end: The UTC day at whose start the readings end.
        days: Number of UTC days, 7 at least.
        seed: Seed of all random numbers.
        aside: Takes `late-meters.csv`, which `release_late_files` lands, and
            `planted_faults.parquet`; the folder `demo` beside the landing folder for None.
        closing_reading: Whether the registers are also read at `end` itself, which closes the last
            quarter-hour.
        progress: Called with what was done, how many steps are done, and how many there are.

    Returns:
        What was written, and where.

    Raises:
        ValueError: For less than 7 days.
    """
    grid = Grid.load()
    window = Window(midnight(end) - days * DAY, midnight(end))
    aside = aside or folder.parent / "demo"
    tell = progress or (lambda _what, _done, _all: None)
    parts = sum(1 for _ in split_months(window))
    for place in (folder, aside):
        place.mkdir(parents=True, exist_ok=True)
    topology = folder / "grid_topology.csv"
    with _open_hidden_file(topology) as target:
        _build_topology(grid).write_csv(target)
    plan = plan_faults(grid, window=window, seed=seed)
    overlay = FaultOverlay(grid, plan)
    first: list[Path] = [topology]
    late: list[pl.DataFrame] = []
    meter_rows = sensor_rows = 0
    tell("planned the faults", 1, parts + 1)
    for rows in _simulate_parts(grid, plan, overlay, window=window, seed=seed):
        name, in_time = f"{rows.part.start:%Y-%m}", rows.in_time
        if closing_reading and rows.part.end == window.end:
            closing = _build_meter_rows(grid, [window.end], overlay.read_closing())
            in_time = pl.concat([in_time, closing])
        meters_file = folder / f"meters-{name}.csv.gz"
        sensors_file = folder / f"sensors-{name}.parquet"
        with _open_hidden_file(meters_file) as target:
            _write_csv_gz(in_time, target)
        with _open_hidden_file(sensors_file) as target:
            rows.sensors.write_parquet(target, compression="zstd")
        first += [meters_file, sensors_file]
        late.append(rows.late)
        meter_rows += len(in_time)
        sensor_rows += len(rows.sensors)
        tell(f"wrote {name}", len(late) + 1, parts + 1)
    late_rows = pl.concat(late)
    late_file, faults_file = aside / "late-meters.csv", aside / "planted_faults.parquet"
    with _open_hidden_file(late_file) as target:
        late_rows.write_csv(target, float_precision=3)
    with _open_hidden_file(faults_file) as target:
        overlay.build_truth().write_parquet(target)
    return DemoManifest(
        window=window,
        seed=seed,
        first_files=tuple(first),
        late_files=(late_file,),
        planted_faults=faults_file,
        feeders=grid.feeders.height,
        transformers=grid.transformers.height,
        meters=grid.meters.height,
        sensors=grid.list_places().height + list_phase_sensors(grid).height,
        meter_readings=meter_rows,
        late_readings=late_rows.height,
        sensor_readings=sensor_rows,
    )


@dataclass(frozen=True)
class _PartRows:
    """The readings of one calendar month within the window.

    Attributes:
        part: The part of the window, UTC.
        in_time: Meter readings that come in time.
        late: Meter readings that come late.
        sensors: Sensor readings.
    """

    part: Window
    in_time: pl.DataFrame
    late: pl.DataFrame
    sensors: pl.DataFrame


def _simulate_parts(
    grid: Grid, plan: FaultPlan, overlay: FaultOverlay, *, window: Window, seed: int
) -> Iterator[_PartRows]:
    """Yield the readings of the window with the planned faults, one calendar month at a time.

    Args:
        grid: The demo grid.
        plan: The faults.
        overlay: Lays the same plan over the power; keeps state from part to part.
        window: The days of the demo, UTC.
        seed: Seed of all random numbers.
    """
    power_flow = PowerFlow(grid)
    for part, active, reactive in generate_normal_power(grid, window=window, seed=seed):
        # What flows, and what the registers count of it, (n_meters, n_steps).
        active_kw, reactive_kvar = overlay.add_overloads(part, active, reactive)
        registers = overlay.count_registers(part, active_kw)
        in_time, late = _split_meter_frames(grid, overlay, part=part, registers=registers)
        # What the sensors measure of it, (n_places, n_steps).
        swing = _draw_monthly_noise(part, seed=seed, purpose="busbar", memory=BUSBAR_MEMORY_MINUTES)
        flow = power_flow.solve(
            active_kw, reactive_kvar, busbar_pu=BUSBAR_PU + BUSBAR_SIGMA_PU * swing
        )
        measured, silent = overlay.measure(part, flow)
        measured = distort_flow(plan, measured, part=part)
        wander = _draw_monthly_noise(
            part, seed=seed, purpose="frequency", memory=FREQUENCY_MEMORY_MINUTES
        )
        sensors = _build_sensor_rows(
            grid,
            measured,
            silent,
            phases=compute_phase_currents(plan, measured, part=part, seed=seed),
            part=part,
            hertz=NOMINAL_HZ + FREQUENCY_SIGMA_HZ * wander,
        )
        yield _PartRows(part, in_time, late, sensors)


def release_late_files(manifest: DemoManifest, *, folder: Path) -> tuple[Path, ...]:
    """Copy the late files into the landing folder; returns where the copies lie."""
    landed: list[Path] = []
    for file in manifest.late_files:
        with _open_hidden_file(folder / file.name) as target:
            target.write_bytes(file.read_bytes())
        landed.append(folder / file.name)
    return tuple(landed)


@contextmanager
def _open_hidden_file(file: Path) -> Iterator[Path]:
    """Yield a hidden file to write to, which takes the name `file` once it is complete."""
    hidden = file.with_name(f".{file.name}.part")
    try:
        yield hidden
        hidden.replace(file)
    finally:
        hidden.unlink(missing_ok=True)


def _write_csv_gz(frame: pl.DataFrame, target: Path) -> None:
    """Write without file name and time in the header, so that the same rows give the same bytes."""
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        for number, piece in enumerate(frame.iter_slices(100_000)):
            text = piece.write_csv(include_header=number == 0, float_precision=3)
            packed.write(text.encode())


def _draw_monthly_noise(part: Window, *, seed: int, purpose: str, memory: float) -> Floats:
    """Return unit-variance noise over the part, drawn for its whole month, (n_steps,).

    Args:
        part: The part of a month that is returned, UTC.
        seed: Seed of all random numbers.
        purpose: Names the series; each has its own random numbers.
        memory: How long a deviation lasts, minutes.
    """
    month = next(split_months(part))
    steps = int((month.end - month.start) / STEP)
    minutes = STEP.total_seconds() / 60
    noise = draw_autoregressive(
        seed_generator(seed, purpose=purpose, month=month.start),
        series=1,
        steps=steps,
        memory_steps=memory / minutes,
    )[0]
    first = int((part.start - month.start) / STEP)
    return np.asarray(noise[first : first + int((part.end - part.start) / STEP)])


def _split_meter_frames(
    grid: Grid, overlay: FaultOverlay, *, part: Window, registers: Floats
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the readings that come in time, and those that come late; by time and meter.

    Args:
        grid: The demo grid.
        overlay: Knows which readings are missing, late or sent twice.
        part: The part of the window, UTC.
        registers: float64 (n_meters, n_steps), counters at the start of every step, kWh.
    """
    gap, late = (overlay.find_readings(part, kind=kind) for kind in ("gap", "late_readings"))
    copies = np.where(overlay.find_readings(part, kind="duplicate_readings"), 2, 1)
    times = [part.start + STEP * step for step in range(registers.shape[1])]
    rows = _build_meter_rows(grid, times, registers)
    in_time = np.repeat(np.arange(len(rows)), (copies * ~(gap | late)).T.ravel())
    return rows[in_time], rows.filter(late.T.ravel())


def _build_meter_rows(grid: Grid, times: list[datetime], registers: Floats) -> pl.DataFrame:
    """Return one row per time and meter in the long layout; registers: kWh, (n_meters, n_times)."""
    stamps = pl.Series("timestamp", [time.strftime(TIME_FORMAT) for time in times])
    meters = grid.meters.select("meter_id", "customer_id")
    every = pl.DataFrame({"timestamp": stamps}).join(
        meters, how="cross", maintain_order="left_right"
    )
    return every.select(
        "meter_id",
        "customer_id",
        pl.Series("reading", registers.T.ravel()),
        "timestamp",
        unit=pl.lit("kWh"),
        reading_kind=pl.lit("register"),
    )


def _build_topology(grid: Grid) -> pl.DataFrame:
    """Return the rows of `GridTopology`: the grid's tree with the phase sensors in it."""
    tree = grid.build_topology()
    phases = list_phase_sensors(grid).select(
        "latitude",
        "longitude",
        "name",
        node_id="sensor_id",
        parent_id="node_id",
        node_kind=pl.lit("sensor"),
    )
    return GridTopology.validate(pl.concat([tree, phases], how="diagonal").select(tree.columns))


def _build_sensor_rows(
    grid: Grid,
    flow: Flow,
    silent: Bools,
    *,
    phases: dict[str, Floats],
    part: Window,
    hertz: Floats,
) -> pl.DataFrame:
    """Return one row per time, sensor and quantity in the long layout, rounded as a display would.

    Args:
        grid: The demo grid.
        flow: What the sensors measure.
        silent: bool (n_places, n_steps), where a sensor sends nothing.
        phases: Current of each phase sensor, float64 (n_steps,), A.
        part: The part of the window, UTC.
        hertz: float64 (n_steps,), frequency at the substation, Hz.
    """
    places = pl.concat(
        frame.select("sensor_id", "node_id", "latitude", "longitude")
        for frame in (grid.list_places(), list_phase_sensors(grid))
    )
    steps = len(hertz)
    series = [(f"S-{SUBSTATION}", "frequency")]
    values, sends = [np.round(hertz, 4)], [np.ones(steps, dtype=bool)]
    for number, node in enumerate(flow.node_ids):
        for quantity, value, digits in (
            ("voltage", flow.voltage_v, 2),
            ("current", flow.current_a, 3),
            ("power", flow.power_kw, 3),
        ):
            series.append((f"S-{node}", quantity))
            values.append(np.round(value[number], digits))
            sends.append(~silent[number])
    for sensor, current in phases.items():
        series.append((sensor, "current"))
        values.append(np.round(current, 3))
        sends.append(np.ones(steps, dtype=bool))
    names = pl.DataFrame(series, schema=["sensor_id", "sensor_type"], orient="row").join(
        places, on="sensor_id", maintain_order="left"
    )
    times = pl.DataFrame(
        {"timestamp": [part.start + STEP * step for step in range(steps)]},
        schema={"timestamp": pl.Datetime("us", "UTC")},
    )
    rows = times.join(names, how="cross", maintain_order="left_right").select(
        "sensor_id",
        "sensor_type",
        pl.Series("value", np.array(values).T.ravel()),
        "latitude",
        "longitude",
        "timestamp",
    )
    return rows.filter(np.array(sends).T.ravel())
