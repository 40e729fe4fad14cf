"""Faults that only an expected range shows: spikes, shifted and drifting sensors, uneven phases.

Also the phase sensors on which a phase imbalance can be seen.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl

from demo.faults import FaultPlan, PlantedFault
from demo.grid import Floats, Flow, Grid
from demo.profiles import STEP, draw_autoregressive, seed_generator, split_months
from smartgrid_core.time import DAY, Window

PHASES = ("L1", "L2", "L3")
PHASE_TRANSFORMERS = ("F2-T1", "F5-T1")
"""Transformers of which each phase's current is measured by a sensor of its own."""
USUAL_UNEVENNESS = ((0.07, -0.02, -0.05), (-0.04, 0.06, -0.02))
"""What each phase carries more or less than the mean of the three: homes hang on one phase."""
UNEVENNESS_SIGMA = 0.05
UNEVENNESS_MEMORY_MINUTES = 90.0
"""Appliances of one phase come and go within an hour or two."""

LEAST_DAYS = 45
"""Shorter windows have no room for a normal time before and after."""
KNOWN_DAYS = 24
"""What is normal must be known before something can be out of place."""
QUIET_DAYS = 6
"""The last days belong to the overload."""
REPEATED_FROM_DAYS = 60
FULL_SCALE = 3.0
"""A converter that fails says its full scale: so many times the feeder's rating."""
SHIFT_SHARE = -0.025
"""One step of a tap changer, or the wrong ratio of a voltage transformer."""
DRIFT_SHARE = 0.03
UNEVEN_SHARE = 0.5
SHIFT_LENGTH, DRIFT_LENGTH, UNEVEN_LENGTH = 4 * DAY, 14 * DAY, 3 * DAY


def plan_sensor_faults(
    grid: Grid, *, window: Window, seed: int, planted: Iterable[PlantedFault]
) -> Iterator[PlantedFault]:
    """Yield one fault on each of some sensors that no other fault concerns; none in short windows.

    Args:
        grid: The demo grid.
        window: The days of the demo, UTC.
        seed: Seed of all random numbers.
        planted: The faults that are planted already.
    """
    days = (window.end - window.start) // DAY
    if days < LEAST_DAYS:
        return
    rng = np.random.default_rng([seed, *b"sensor faults"])
    taken = {fault.subject_id for fault in planted}
    heads = iter(rng.permutation([f for f in grid.feeders["feeder_id"] if f not in taken]))
    others = iter(
        rng.permutation([t for t in grid.transformers["transformer_id"] if f"S-{t}" not in taken])
    )
    ratings = dict(grid.feeders.select("feeder_id", "rating_kw").iter_rows())
    first, last = KNOWN_DAYS * DAY, days * DAY - QUIET_DAYS * DAY

    def fault(kind: str, place: str, length: timedelta, factor: float, text: str) -> PlantedFault:
        free = max(int((last - first - length) / STEP), 1)
        start = window.start + first + STEP * int(rng.integers(0, free))
        return PlantedFault(
            kind, "sensor", f"S-{place}", start, start + length, factor, factor, text
        )

    shift = "The voltage reading is 2.5 % too low"
    yield fault("drift", next(heads), DRIFT_LENGTH, DRIFT_SHARE, "The voltage reading creeps up")
    yield fault("level_shift", next(heads), SHIFT_LENGTH, SHIFT_SHARE, shift)
    often = days >= REPEATED_FROM_DAYS
    for head in (next(heads), *([next(heads)] if often else [])):
        full_kw = FULL_SCALE * ratings[head]
        yield fault("spike", head, STEP, full_kw, "One power reading is the sensor's full scale")
    for transformer in PHASE_TRANSFORMERS if often else PHASE_TRANSFORMERS[:1]:
        place = f"{transformer}-{PHASES[int(rng.integers(0, 3))]}"
        text = "The phase carries half as much again, the other two less"
        yield fault("phase_imbalance", place, UNEVEN_LENGTH, UNEVEN_SHARE, text)
    free = next(others, None)
    if often and free is not None:
        yield fault("level_shift", free, SHIFT_LENGTH, SHIFT_SHARE, shift)


def distort_flow(plan: FaultPlan, flow: Flow, *, part: Window) -> Flow:
    """Return what the sensors measure with spikes, level shifts and drifts laid over."""
    row = {f"S-{node}": number for number, node in enumerate(flow.node_ids)}
    voltage, power = flow.voltage_v.copy(), flow.power_kw.copy()
    for fault in plan.of("spike", subject_kind="sensor"):
        power[row[fault.subject_id], fault.find_steps(part)] = fault.factor
    for fault in plan.of("level_shift", subject_kind="sensor"):
        voltage[row[fault.subject_id], fault.find_steps(part)] *= 1 + fault.factor
    for fault in plan.of("drift", subject_kind="sensor"):
        steps = fault.find_steps(part)
        since = (part.start - fault.start) / STEP + np.arange(steps.start, steps.stop)
        done = since / ((fault.end - fault.start) / STEP)
        voltage[row[fault.subject_id], steps] *= 1 + fault.factor * done
    return replace(flow, voltage_v=voltage, power_kw=power)


def list_phase_sensors(grid: Grid) -> pl.DataFrame:
    """Return a row per phase sensor: sensor_id, node_id, name, latitude, longitude."""
    places = grid.list_places().select("node_id", "name", "latitude", "longitude")
    phases = pl.DataFrame({"phase": PHASES})
    return (
        places.filter(pl.col("node_id").is_in(PHASE_TRANSFORMERS))
        .join(phases, how="cross", maintain_order="left_right")
        .select(
            pl.format("S-{}-{}", "node_id", "phase").alias("sensor_id"),
            "node_id",
            pl.format("Sensor of phase {} at {}", "phase", "name").alias("name"),
            "latitude",
            "longitude",
        )
    )


def compute_phase_currents(
    plan: FaultPlan, flow: Flow, *, part: Window, seed: int
) -> dict[str, Floats]:
    """Return the current of each phase sensor, float64 (n_steps,), A, by sensor.

    Args:
        plan: Knows where a phase imbalance is planted.
        flow: What the transformers carry; their current is the mean of three phases.
        part: The part of the window, UTC.
        seed: Seed of all random numbers.
    """
    imbalances = {f.subject_id: f for f in plan.of("phase_imbalance", subject_kind="sensor")}
    month = next(split_months(part))
    steps = int((month.end - month.start) / STEP)
    first = int((part.start - month.start) / STEP)
    currents: dict[str, Floats] = {}
    for transformer, usual in zip(PHASE_TRANSFORMERS, USUAL_UNEVENNESS, strict=True):
        mean = flow.current_a[flow.node_ids.index(transformer)]
        noise = draw_autoregressive(
            seed_generator(seed, purpose=f"phases of {transformer}", month=month.start),
            series=len(PHASES),
            steps=steps,
            memory_steps=UNEVENNESS_MEMORY_MINUTES / (STEP / timedelta(minutes=1)),
        )[:, first : first + len(mean)]
        shares = np.array(usual)[:, None] + UNEVENNESS_SIGMA * (noise - noise.mean(axis=0))
        for row, phase in enumerate(PHASES):
            fault = imbalances.get(f"S-{transformer}-{phase}")
            if fault is not None:
                shares[:, fault.find_steps(part)] -= fault.factor / 2
                shares[row, fault.find_steps(part)] += 1.5 * fault.factor
        for row, phase in enumerate(PHASES):
            currents[f"S-{transformer}-{phase}"] = np.maximum(mean * (1 + shares[row]), 0.0)
    return currents
