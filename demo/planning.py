"""Chooses where the planted faults of a window lie: which meter, which sensor, which hours."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from demo.faults import (
    CAPACITY_KWH,
    EVENING,
    NIGHT,
    FaultPlan,
    PlantedFault,
    is_evening,
    is_night,
)
from demo.grid import Floats, Grid
from demo.planted_rule import plan_weak_joint
from demo.planted_sensor_faults import plan_sensor_faults
from demo.profiles import LOCAL_ZONE, STEP, generate_normal_power
from smartgrid_core.time import DAY, HOUR, Window

SHORTEST_DAYS = 7
"""A shorter window has no room for every kind."""
DAYS_PER_REPEAT = 30
MOST_REPEATS = 4
"""Each short fault is planted once, and once more for every further month, on other meters."""
MOST_SENSOR_REPEATS = 2
"""Three kinds of sensor faults share seven transformers."""
OVERLOAD_DAYS = 5
OVERLOAD_TARGET = 1.15
"""The best hour of every overloaded evening reaches this multiple of the feeder's rating."""
THEFT_SHARE = 0.7
SAG_SHARE = 0.2
BACKWARD_KWH = 8.0
"""Hours of a household's energy; a shop can draw it in one, and then it might be a spike before."""
UNIT_FACTOR = 1000.0
REGISTER_KINDS = ("household", "commercial", "agricultural")
"""Customers that draw something all day: a fault on them is a fault that can be seen."""


@dataclass(frozen=True)
class _Template:
    """A fault whose subject and time are still to be chosen.

    Attributes:
        kind: Kind of `PlantedFaults`.
        length: How long the fault lasts.
        description: The fault in one sentence.
        factor: What the fault does to the values.
        magnitude: What the ground truth states; None if only `FaultOverlay` can compute it.
    """

    kind: str
    length: timedelta
    description: str
    factor: float = 0.0
    magnitude: float | None = None

    def place(
        self, subject_kind: str, subject_id: str, start: datetime, end: datetime
    ) -> PlantedFault:
        """Return the fault on a subject over [start, end).

        Args:
            subject_kind: meter or sensor.
            subject_id: What the fault is on.
            start: First instant of the fault, UTC.
            end: First instant after it, UTC.
        """
        return PlantedFault(
            *(self.kind, subject_kind, subject_id, start, end),
            *(self.factor, self.magnitude, self.description),
        )


METER_FAULTS = (
    _Template("register_reset", STEP, "The counter restarts from zero"),
    _Template(
        "register_rollover",
        STEP,
        "The counter passes its six digits and goes on from zero",
        magnitude=CAPACITY_KWH,
    ),
    _Template("momentary_zero", STEP, "A single reading is zero"),
    _Template(
        "backward_step",
        STEP,
        "The counter falls back and goes on from there",
        factor=BACKWARD_KWH,
        magnitude=BACKWARD_KWH,
    ),
    _Template("gap", 5 * HOUR, "No readings for some hours"),
    _Template("gap", 30 * HOUR, "No readings for more than a day"),
    _Template(
        "stuck_value", 10 * HOUR, "The counter stands still; what was drawn is never counted"
    ),
    _Template("duplicate_readings", 4 * HOUR, "Every reading is sent twice", magnitude=16.0),
    _Template("late_readings", 6 * HOUR, "Readings come in a later file", magnitude=24.0),
    _Template("late_readings", 26 * HOUR, "Readings come in a later file", magnitude=104.0),
    _Template(
        "unit_slip",
        3 * HOUR,
        "Wh are sent, the unit still says kWh",
        factor=UNIT_FACTOR,
        magnitude=UNIT_FACTOR,
    ),
)
"""Planted in this order, each on a meter of its own."""

SENSOR_FAULTS = (
    _Template(
        "voltage_sag", 3 * STEP, "Voltage sags, the loads draw more current", factor=SAG_SHARE
    ),
    _Template("stuck_value", 8 * HOUR, "The power reading does not move"),
    _Template("gap", 3 * HOUR, "The sensor is silent"),
)
"""Planted in this order, each on a transformer's sensor of its own."""


def plan_faults(grid: Grid, *, window: Window, seed: int) -> FaultPlan:
    """Return a plan with subjects and times of every fault kind inside the window.

    Raises ValueError if the window is shorter than SHORTEST_DAYS.
    """
    days = (window.end - window.start) // DAY
    if days < SHORTEST_DAYS:
        raise ValueError(f"the demo needs at least {SHORTEST_DAYS} days, got {days}")
    rng = np.random.default_rng([seed, *b"faults"])
    start_kwh = np.round(rng.uniform(500, 40_000, size=grid.meters.height), 3)
    faults = list(_plan_simple_faults(grid, window=window, rng=rng, repeats=_count_repeats(days)))
    rollovers = [fault for fault in faults if fault.kind == "register_rollover"]
    survey = _survey_window(grid, window=window, seed=seed, rollovers=rollovers)
    taken = {fault.subject_id for fault in faults}
    rows = {meter: row for row, meter in enumerate(grid.meters["meter_id"])}
    for fault, before_kwh in zip(rollovers, survey.before_kwh, strict=True):
        start_kwh[rows[fault.subject_id]] = CAPACITY_KWH - before_kwh
    overload = list(_plan_overloads(grid, window=window, survey=survey))
    on_feeder = pl.col("feeder_id") == overload[0].subject_id
    taken.update(grid.meters.filter(on_feeder)["meter_id"])
    faults.append(
        _plan_theft(grid, window=window, night_kwh=survey.night_kwh, taken=taken, days=days)
    )
    faults.extend(overload)
    faults.extend(plan_sensor_faults(grid, window=window, seed=seed, planted=tuple(faults)))
    faults.extend(plan_weak_joint(grid, window=window, hourly_kw=survey.hourly_kw, others=faults))
    return FaultPlan(tuple(faults), start_kwh)


def _count_repeats(days: int) -> int:
    return min(MOST_REPEATS, max(1, days // DAYS_PER_REPEAT))


def _plan_simple_faults(
    grid: Grid, *, window: Window, rng: np.random.Generator, repeats: int
) -> Iterator[PlantedFault]:
    """Yield the faults whose place depends on nothing that the meters measured.

    Args:
        grid: The demo grid.
        window: The days of the demo, UTC.
        rng: Chooses subjects and times.
        repeats: How often each kind of meter fault is planted.
    """
    kinds = dict(grid.meters.select("meter_id", "customer_kind").iter_rows())
    subjects = [
        str(meter)
        for meter in rng.permutation(grid.meters["meter_id"].to_numpy())
        if kinds[meter] in REGISTER_KINDS
    ]
    transformers = iter(rng.permutation(grid.transformers["transformer_id"].to_numpy()))
    days = (window.end - window.start) // DAY

    def span(kind: str, length: timedelta) -> tuple[datetime, datetime]:
        """Somewhere after the first and before the last day.

        A rollover comes before the overload, which would hasten it.
        """
        last = OVERLOAD_DAYS if kind == "register_rollover" else 1
        free = int((days - 1 - last) * DAY / STEP) - int(length / STEP)
        start = window.start + DAY + STEP * int(rng.integers(0, max(free, 1)))
        return start, start + length

    for _ in range(repeats):
        for fault in METER_FAULTS:
            takes_any = fault.kind != "backward_step"
            meter = next(name for name in subjects if takes_any or kinds[name] == "household")
            subjects.remove(meter)
            yield fault.place("meter", meter, *span(fault.kind, fault.length))
    for _ in range(min(repeats, MOST_SENSOR_REPEATS)):
        for fault in SENSOR_FAULTS:
            sensor = f"S-{next(transformers)}"
            yield fault.place("sensor", sensor, *span(fault.kind, fault.length))


@dataclass(frozen=True)
class _Survey:
    """What the window looks like before any fault.

    Attributes:
        before_kwh: Energy of each rollover's meter up to the rollover, kWh.
        night_kwh: float64 (n_meters,), energy of every meter in the nights, kWh.
        last: The last OVERLOAD_DAYS of the window, UTC.
        drawn_kw: float64 (n_feeders, n_hours) over `last`, consumption, kW.
        fed_kw: float64 (n_feeders, n_hours) over `last`, feed-in, kW.
        hourly_kw: float64 (n_feeders, n_hours) over the window, net load, kW.
    """

    before_kwh: list[float]
    night_kwh: Floats
    last: Window
    drawn_kw: Floats
    fed_kw: Floats
    hourly_kw: Floats


def _survey_window(
    grid: Grid, *, window: Window, seed: int, rollovers: list[PlantedFault]
) -> _Survey:
    """Return the survey of the window without faults; generates its power once.

    Args:
        grid: The demo grid.
        window: The days of the demo, UTC.
        seed: Seed of all random numbers.
        rollovers: The faults at whose start a register passes its six digits.
    """
    last = Window(max(window.start + DAY, window.end - OVERLOAD_DAYS * DAY), window.end)
    rows = {meter: row for row, meter in enumerate(grid.meters["meter_id"])}
    before, night = [0.0] * len(rollovers), np.zeros(grid.meters.height)
    is_pv = grid.meters["customer_kind"].to_numpy() == "pv"
    feeder = grid.meters["feeder_id"].to_numpy()[None, :]
    member = grid.feeders["feeder_id"].to_numpy()[:, None] == feeder
    drawn: list[Floats] = []
    fed: list[Floats] = []
    net: list[Floats] = []
    for part, active_kw, _ in generate_normal_power(grid, window=window, seed=seed):
        energy = active_kw * 0.25
        night += energy[:, is_night(part)].sum(axis=1)
        for number, fault in enumerate(rollovers):
            until = int((min(max(fault.start, part.start), part.end) - part.start) / STEP)
            before[number] += float(energy[rows[fault.subject_id], :until].sum())
        whole = active_kw.reshape(len(active_kw), -1, 4).mean(axis=2)
        net.append((member & ~is_pv) @ whole - (member & is_pv) @ whole)
        tail = (
            active_kw[:, int((max(last.start, part.start) - part.start) / STEP) :]
            if (part.end > last.start)
            else active_kw[:, :0]
        )
        hourly = tail.reshape(len(tail), -1, 4).mean(axis=2)
        drawn.append((member & ~is_pv) @ hourly)
        fed.append((member & is_pv) @ hourly)
    return _Survey(before, night, last, *(np.concatenate(each, 1) for each in (drawn, fed, net)))


def _plan_theft(
    grid: Grid, *, window: Window, night_kwh: Floats, taken: set[str], days: int
) -> PlantedFault:
    """Return the theft of the household that draws most at night, from a third of the window on.

    Args:
        grid: The demo grid.
        window: The days of the demo, UTC.
        night_kwh: float64 (n_meters,), energy of every meter in the nights, kWh.
        taken: Meters that have a fault or lie behind the overload.
        days: Number of days of the window.
    """
    candidates = [
        (energy, meter)
        for energy, meter, kind in zip(
            night_kwh, grid.meters["meter_id"], grid.meters["customer_kind"], strict=True
        )
        if kind == "household" and meter not in taken
    ]
    start = window.start + DAY * (days // 3)
    return PlantedFault(
        "theft",
        "meter",
        max(candidates)[1],
        start,
        window.end,
        THEFT_SHARE,
        THEFT_SHARE,
        f"From {NIGHT[0]}:00 to {NIGHT[1]}:00 local time most of the load bypasses the meter",
    )


def _plan_overloads(grid: Grid, *, window: Window, survey: _Survey) -> Iterator[PlantedFault]:
    """Yield one overload per evening of the last days, on the feeder with the least margin."""
    evening = is_evening(survey.last)[::4]
    day = np.arange(survey.drawn_kw.shape[1]) // 24
    ratings = grid.feeders["rating_kw"].to_numpy()
    needed = (OVERLOAD_TARGET * ratings[:, None] + survey.fed_kw) / np.maximum(
        survey.drawn_kw, 1e-6
    )
    best = np.array(
        [needed[:, evening & (day == number)].min(axis=1) for number in range(day[-1] + 1)]
    ).max(axis=0)
    chosen = int(best.argmin())
    factor = round(float(best[chosen]) + 0.001, 3)
    hours = [survey.last.start + HOUR * int(hour) for hour in np.flatnonzero(evening)]
    for first in sorted({hour.astimezone(LOCAL_ZONE).date() for hour in hours}):
        start = datetime(first.year, first.month, first.day, EVENING[0], tzinfo=LOCAL_ZONE)
        start = start.astimezone(window.start.tzinfo)
        yield PlantedFault(
            "feeder_overload",
            "feeder",
            str(grid.feeders["feeder_id"][chosen]),
            start,
            start + (EVENING[1] - EVENING[0]) * HOUR,
            factor,
            factor,
            f"All loads of the feeder rise from {EVENING[0]}:00 to {EVENING[1]}:00 local time",
        )
