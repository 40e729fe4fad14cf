"""The planted faults: where they lie, what they do to power, registers and sensors, the truth."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from demo.grid import Floats, Flow, Grid
from demo.profiles import LOCAL_ZONE, STEP, normal_power
from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.time import DAY, HOUR, Window

Bools = NDArray[np.bool_]

SHORTEST_DAYS = 7
"""A shorter window has no room for every kind."""
DAYS_PER_REPEAT = 30
MOST_REPEATS = 4
"""Each short fault is planted once, and once more for every further month, on other meters."""
MOST_SENSOR_REPEATS = 2
"""Three kinds of sensor faults share seven transformers."""
CAPACITY_KWH = 1_000_000.0
"""A register of six digits rolls over here."""
OVERLOAD_DAYS = 5
OVERLOAD_TARGET = 1.15
"""The best hour of every overloaded evening reaches this multiple of the feeder's rating."""
EVENING = (16, 23)
NIGHT = (22, 5)
"""Local hours."""
THEFT_SHARE = 0.7
SAG_SHARE = 0.2
BACKWARD_KWH = 2.5
UNIT_FACTOR = 1000.0
REGISTER_KINDS = ("household", "commercial", "agricultural")
"""Customers that draw something all day: a fault on them is a fault that can be seen."""


@dataclass(frozen=True)
class Planted:
    """One fault over [start, end). `factor` is what it does; `magnitude` is what the truth says."""

    kind: str
    subject_kind: str
    subject_id: str
    start: datetime
    end: datetime
    factor: float = 0.0
    magnitude: float | None = None
    description: str = ""

    def steps(self, part: Window) -> slice:
        """Its quarter-hours in a part of the window, as positions from the part's start."""
        edges = (max(self.start, part.start), max(min(self.end, part.end), part.start))
        first, last = (int((edge - part.start) / STEP) for edge in edges)
        return slice(min(first, last), last)

    def begins_in(self, part: Window) -> bool:
        """Whether its first instant lies in the part."""
        return part.start <= self.start < part.end


@dataclass(frozen=True)
class Plan:
    """Every fault of a window and the register counts that the meters start from."""

    faults: tuple[Planted, ...]
    start_kwh: Floats

    def of(self, kind: str, *, subject_kind: str = "meter") -> list[Planted]:
        """The faults of one kind on one sort of subject."""
        return [
            fault
            for fault in self.faults
            if fault.kind == kind and fault.subject_kind == subject_kind
        ]


def local_hours(window: Window) -> NDArray[np.int64]:
    """The local hour of day, 0 to 23, of every quarter-hour."""
    hours = int((window.end - window.start) / HOUR)
    local = [(window.start + HOUR * hour).astimezone(LOCAL_ZONE).hour for hour in range(hours)]
    return np.repeat(np.array(local, dtype=np.int64), 4)


def is_evening(window: Window) -> Bools:
    """The quarter-hours in which a planted overload works."""
    hours = local_hours(window)
    return np.asarray((hours >= EVENING[0]) & (hours < EVENING[1]))


def is_night(window: Window) -> Bools:
    """The quarter-hours in which a planted theft works."""
    hours = local_hours(window)
    return np.asarray((hours >= NIGHT[0]) | (hours < NIGHT[1]))


def plan_faults(grid: Grid, *, window: Window, seed: int) -> Plan:
    """Choose subjects and times of every fault kind inside the window.

    Raises ValueError if the window is shorter than SHORTEST_DAYS.
    """
    days = (window.end - window.start) // DAY
    if days < SHORTEST_DAYS:
        raise ValueError(f"the demo needs at least {SHORTEST_DAYS} days, got {days}")
    rng = np.random.default_rng([seed, *b"faults"])
    start_kwh = np.round(rng.uniform(500, 40_000, size=grid.meters.height), 3)
    faults = list(_simple_faults(grid, window=window, rng=rng, repeats=_repeats(days)))
    rollovers = [fault for fault in faults if fault.kind == "register_rollover"]
    survey = _survey(grid, window=window, seed=seed, rollovers=rollovers)
    taken = {fault.subject_id for fault in faults}
    rows = {meter: row for row, meter in enumerate(grid.meters["meter_id"])}
    for fault, before_kwh in zip(rollovers, survey.before_kwh, strict=True):
        start_kwh[rows[fault.subject_id]] = CAPACITY_KWH - before_kwh
    overload = list(_overload(grid, window=window, survey=survey))
    on_feeder = pl.col("feeder_id") == overload[0].subject_id
    taken.update(grid.meters.filter(on_feeder)["meter_id"])
    faults.append(_theft(grid, window=window, night_kwh=survey.night_kwh, taken=taken, days=days))
    faults.extend(overload)
    return Plan(tuple(faults), start_kwh)


def _repeats(days: int) -> int:
    return min(MOST_REPEATS, max(1, days // DAYS_PER_REPEAT))


def _simple_faults(
    grid: Grid, *, window: Window, rng: np.random.Generator, repeats: int
) -> Iterator[Planted]:
    """The faults whose place depends on nothing that the meters measured."""
    meters = grid.meters.filter(pl.col("customer_kind").is_in(REGISTER_KINDS))["meter_id"]
    subjects = iter(rng.permutation(meters.to_numpy()))
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

    def on_meter(
        kind: str, length: timedelta, text: str, *, factor: float = 0.0, told: float | None = None
    ) -> Planted:
        return Planted(kind, "meter", str(next(subjects)), *span(kind, length), factor, told, text)

    for _ in range(repeats):
        yield on_meter("register_reset", STEP, "The counter restarts from zero")
        yield on_meter(
            "register_rollover",
            STEP,
            "The counter passes its six digits and goes on from zero",
            told=CAPACITY_KWH,
        )
        yield on_meter("momentary_zero", STEP, "A single reading is zero")
        yield on_meter(
            "backward_step",
            STEP,
            "The counter falls back and goes on from there",
            factor=BACKWARD_KWH,
            told=BACKWARD_KWH,
        )
        yield on_meter("gap", 5 * HOUR, "No readings for some hours")
        yield on_meter("gap", 30 * HOUR, "No readings for more than a day")
        yield on_meter(
            "stuck_value", 10 * HOUR, "The counter stands still; what was drawn is never counted"
        )
        yield on_meter("duplicate_readings", 4 * HOUR, "Every reading is sent twice", told=16.0)
        yield on_meter("late_readings", 6 * HOUR, "Readings come in a later file", told=24.0)
        yield on_meter("late_readings", 26 * HOUR, "Readings come in a later file", told=104.0)
        yield on_meter(
            "unit_slip",
            3 * HOUR,
            "Wh are sent, the unit still says kWh",
            factor=UNIT_FACTOR,
            told=UNIT_FACTOR,
        )
    for _ in range(min(repeats, MOST_SENSOR_REPEATS)):
        for kind, length, factor, text in (
            ("voltage_sag", 3 * STEP, SAG_SHARE, "Voltage sags, the loads draw more current"),
            ("stuck_value", 8 * HOUR, 0.0, "The power reading does not move"),
            ("gap", 3 * HOUR, 0.0, "The sensor is silent"),
        ):
            sensor = f"S-{next(transformers)}"
            yield Planted(kind, "sensor", sensor, *span(kind, length), factor, None, text)


@dataclass(frozen=True)
class _Survey:
    """What the window looks like before any fault.

    before_kwh: energy of each rollover's meter up to the rollover. night_kwh: energy of every
    meter in the nights. drawn_kw, fed_kw: (n_feeders, n_hours) over the last OVERLOAD_DAYS.
    """

    before_kwh: list[float]
    night_kwh: Floats
    last: Window
    drawn_kw: Floats
    fed_kw: Floats


def _survey(grid: Grid, *, window: Window, seed: int, rollovers: list[Planted]) -> _Survey:
    """Walk through the fault-free window once."""
    last = Window(max(window.start + DAY, window.end - OVERLOAD_DAYS * DAY), window.end)
    rows = {meter: row for row, meter in enumerate(grid.meters["meter_id"])}
    before, night = [0.0] * len(rollovers), np.zeros(grid.meters.height)
    is_pv = grid.meters["customer_kind"].to_numpy() == "pv"
    feeder = grid.meters["feeder_id"].to_numpy()[None, :]
    member = grid.feeders["feeder_id"].to_numpy()[:, None] == feeder
    drawn: list[Floats] = []
    fed: list[Floats] = []
    for part, active_kw, _ in normal_power(grid, window=window, seed=seed):
        energy = active_kw * 0.25
        night += energy[:, is_night(part)].sum(axis=1)
        for number, fault in enumerate(rollovers):
            until = int((min(max(fault.start, part.start), part.end) - part.start) / STEP)
            before[number] += float(energy[rows[fault.subject_id], :until].sum())
        tail = (
            active_kw[:, int((max(last.start, part.start) - part.start) / STEP) :]
            if (part.end > last.start)
            else active_kw[:, :0]
        )
        hourly = tail.reshape(len(tail), -1, 4).mean(axis=2)
        drawn.append((member & ~is_pv) @ hourly)
        fed.append((member & is_pv) @ hourly)
    return _Survey(before, night, last, np.concatenate(drawn, 1), np.concatenate(fed, 1))


def _theft(grid: Grid, *, window: Window, night_kwh: Floats, taken: set[str], days: int) -> Planted:
    """The household, none of `taken`, that draws most at night bypasses its meter from then on."""
    candidates = [
        (energy, meter)
        for energy, meter, kind in zip(
            night_kwh, grid.meters["meter_id"], grid.meters["customer_kind"], strict=True
        )
        if kind == "household" and meter not in taken
    ]
    start = window.start + DAY * (days // 3)
    return Planted(
        "theft",
        "meter",
        max(candidates)[1],
        start,
        window.end,
        THEFT_SHARE,
        THEFT_SHARE,
        f"From {NIGHT[0]}:00 to {NIGHT[1]}:00 local time most of the load bypasses the meter",
    )


def _overload(grid: Grid, *, window: Window, survey: _Survey) -> Iterator[Planted]:
    """One row per evening of the last days: the feeder that needs the smallest rise."""
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
        yield Planted(
            "feeder_overload",
            "feeder",
            str(grid.feeders["feeder_id"][chosen]),
            start,
            start + (EVENING[1] - EVENING[0]) * HOUR,
            factor,
            factor,
            f"All loads of the feeder rise from {EVENING[0]}:00 to {EVENING[1]}:00 local time",
        )


class Overlay:
    """Lays a plan over the parts of a window, in their order; keeps what carries over."""

    def __init__(self, grid: Grid, plan: Plan) -> None:
        self._grid, self._plan = grid, plan
        self._row = {meter: row for row, meter in enumerate(grid.meters["meter_id"])}
        self._counted_kwh = plan.start_kwh.copy()
        self._offset_kwh = np.zeros_like(plan.start_kwh)
        self._held_kw: dict[str, float] = {}
        self._told: dict[Planted, float] = {}

    def load(self, part: Window, active_kw: Floats, reactive_kvar: Floats) -> tuple[Floats, Floats]:
        """The power that really flows: overloads included."""
        active_kw, reactive_kvar = active_kw.copy(), reactive_kvar.copy()
        feeder = self._grid.meters["feeder_id"].to_numpy()
        is_load = self._grid.meters["customer_kind"].to_numpy() != "pv"
        for fault in self._plan.of("feeder_overload", subject_kind="feeder"):
            rows, steps = is_load & (feeder == fault.subject_id), fault.steps(part)
            active_kw[rows, steps] *= fault.factor
            reactive_kvar[rows, steps] *= fault.factor
        return active_kw, reactive_kvar

    def registers(self, part: Window, active_kw: Floats) -> Floats:
        """What the counters show at the start of every step, kWh, (n_meters, n_steps)."""
        counted = active_kw * 0.25
        for fault in self._plan.of("theft"):
            working = np.zeros(counted.shape[1], dtype=bool)
            working[fault.steps(part)] = True
            counted[self._row[fault.subject_id], working & is_night(part)] *= 1 - fault.factor
        for fault in self._plan.of("stuck_value"):
            row, steps = self._row[fault.subject_id], fault.steps(part)
            lost = float(counted[row, steps].sum())
            self._told[fault] = self._told.get(fault, 0.0) + lost
            counted[row, steps] = 0.0
        total = np.cumsum(counted, axis=1)
        shown = self._counted_kwh[:, None] + total - counted
        self._counted_kwh = self._counted_kwh + total[:, -1]
        shown += self._offset_kwh[:, None]
        for kind in ("register_reset", "backward_step"):
            for fault in self._plan.of(kind):
                if fault.begins_in(part):
                    row, step = self._row[fault.subject_id], fault.steps(part).start
                    lost = float(shown[row, step]) if kind == "register_reset" else fault.factor
                    shown[row, step:] -= lost
                    self._offset_kwh[row] -= lost
                    self._told[fault] = lost
        shown = np.round(shown, 3) % CAPACITY_KWH
        for fault in self._plan.of("unit_slip"):
            shown[self._row[fault.subject_id], fault.steps(part)] *= fault.factor
        for fault in self._plan.of("momentary_zero"):
            shown[self._row[fault.subject_id], fault.steps(part)] = 0.0
        return np.round(shown, 3)

    def closing(self) -> Floats:
        """What the counters show after the last step so far, kWh, (n_meters, 1)."""
        shown = np.round(self._counted_kwh + self._offset_kwh, 3) % CAPACITY_KWH
        return np.round(shown, 3)[:, None]

    def readings(self, part: Window, *, kind: str) -> Bools:
        """Which meter readings a `gap`, `late_readings` or `duplicate_readings` concerns."""
        touched = np.zeros((len(self._row), int((part.end - part.start) / STEP)), dtype=bool)
        for fault in self._plan.of(kind):
            touched[self._row[fault.subject_id], fault.steps(part)] = True
        return touched

    def measured(self, part: Window, flow: Flow) -> tuple[Flow, Bools]:
        """What the sensors say, and which places are silent, (n_places, n_steps)."""
        row = {f"S-{node}": number for number, node in enumerate(flow.node_ids)}
        voltage, current, power = (
            flow.voltage_v.copy(),
            flow.current_a.copy(),
            flow.power_kw.copy(),
        )
        silent = np.zeros(power.shape, dtype=bool)
        for fault in self._plan.of("voltage_sag", subject_kind="sensor"):
            at = (row[fault.subject_id], fault.steps(part))
            if fault.begins_in(part):
                self._told[fault] = float(voltage[at][0] * fault.factor)
            voltage[at] *= 1 - fault.factor
            current[at] /= 1 - fault.factor
        for fault in self._plan.of("stuck_value", subject_kind="sensor"):
            at = (row[fault.subject_id], fault.steps(part))
            if fault.begins_in(part):
                self._held_kw[fault.subject_id] = float(power[at][0])
            power[at] = self._held_kw.get(fault.subject_id, 0.0)
        for fault in self._plan.of("gap", subject_kind="sensor"):
            silent[row[fault.subject_id], fault.steps(part)] = True
        return replace(flow, voltage_v=voltage, current_a=current, power_kw=power), silent

    def truth(self) -> dy.DataFrame[PlantedFaults]:
        """The ground truth, once every part has been laid over."""
        ordered = sorted(self._plan.faults, key=lambda fault: (fault.start, fault.subject_id))
        frame = pl.DataFrame(
            {
                "fault_id": [f"fault-{number:03d}" for number in range(1, len(ordered) + 1)],
                "kind": [fault.kind for fault in ordered],
                "subject_kind": [fault.subject_kind for fault in ordered],
                "subject_id": [fault.subject_id for fault in ordered],
                "start_time": [fault.start for fault in ordered],
                "end_time": [fault.end for fault in ordered],
                "magnitude": [self._told.get(fault, fault.magnitude) for fault in ordered],
                "description": [fault.description for fault in ordered],
            },
            schema_overrides={"magnitude": pl.Float64},
        )
        return PlantedFaults.validate(frame, cast=True)
