"""The planted faults: what they do to power, registers and sensors, and the ground truth."""

from dataclasses import dataclass, replace
from datetime import datetime

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from demo.grid import Floats, Flow, Grid
from demo.profiles import LOCAL_ZONE, STEP
from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.time import HOUR, Window

Bools = NDArray[np.bool_]

CAPACITY_KWH = 1_000_000.0
"""A register of six digits rolls over here."""
EVENING = (16, 23)
NIGHT = (22, 5)
"""Local hours."""


@dataclass(frozen=True)
class PlantedFault:
    """One fault of one subject over [start, end).

    Attributes:
        kind: Kind of `PlantedFaults`, such as theft or voltage_sag.
        subject_kind: meter, sensor or feeder.
        subject_id: What the fault is on.
        start: First instant of the fault, UTC.
        end: First instant after it, UTC.
        factor: What the fault does to the values; its meaning depends on the kind.
        magnitude: What the ground truth states; None if only `FaultOverlay` can compute it.
        description: The fault in one sentence.
    """

    kind: str
    subject_kind: str
    subject_id: str
    start: datetime
    end: datetime
    factor: float = 0.0
    magnitude: float | None = None
    description: str = ""

    def find_steps(self, part: Window) -> slice:
        """Return the fault's quarter-hours within a part, as positions from the part's start."""
        edges = (max(self.start, part.start), max(min(self.end, part.end), part.start))
        first, last = (int((edge - part.start) / STEP) for edge in edges)
        return slice(min(first, last), last)

    def begins_in(self, part: Window) -> bool:
        """Return whether the fault's first instant lies in the part."""
        return part.start <= self.start < part.end


@dataclass(frozen=True)
class FaultPlan:
    """Every fault of a window and the counts from which the meters' registers start.

    Attributes:
        faults: The faults in the order in which they were planned.
        start_kwh: float64 (n_meters,), counter at the start of the window, kWh.
    """

    faults: tuple[PlantedFault, ...]
    start_kwh: Floats

    def of(self, kind: str, *, subject_kind: str = "meter") -> list[PlantedFault]:
        """Return the faults of one kind on one sort of subject."""
        return [
            fault
            for fault in self.faults
            if fault.kind == kind and fault.subject_kind == subject_kind
        ]


def compute_local_hours(window: Window) -> NDArray[np.int64]:
    """Return the local hour of day, 0 to 23, of every quarter-hour, (n_steps,)."""
    hours = int((window.end - window.start) / HOUR)
    local = [(window.start + HOUR * hour).astimezone(LOCAL_ZONE).hour for hour in range(hours)]
    return np.repeat(np.array(local, dtype=np.int64), 4)


def is_evening(window: Window) -> Bools:
    """Return the quarter-hours in which a planted overload works, (n_steps,)."""
    hours = compute_local_hours(window)
    return np.asarray((hours >= EVENING[0]) & (hours < EVENING[1]))


def is_night(window: Window) -> Bools:
    """Return the quarter-hours in which a planted theft works, (n_steps,)."""
    hours = compute_local_hours(window)
    return np.asarray((hours >= NIGHT[0]) | (hours < NIGHT[1]))


class FaultOverlay:
    """Lays a plan over the parts of a window in their order; keeps state from part to part."""

    def __init__(self, grid: Grid, plan: FaultPlan) -> None:
        self._grid, self._plan = grid, plan
        self._row = {meter: row for row, meter in enumerate(grid.meters["meter_id"])}
        self._counted_kwh = plan.start_kwh.copy()
        self._offset_kwh = np.zeros_like(plan.start_kwh)
        self._held_kw: dict[str, float] = {}
        self._magnitudes: dict[PlantedFault, float] = {}

    def add_overloads(
        self, part: Window, active_kw: Floats, reactive_kvar: Floats
    ) -> tuple[Floats, Floats]:
        """Return active and reactive power with the overloads, each (n_meters, n_steps)."""
        active_kw, reactive_kvar = active_kw.copy(), reactive_kvar.copy()
        feeder = self._grid.meters["feeder_id"].to_numpy()
        is_load = self._grid.meters["customer_kind"].to_numpy() != "pv"
        for fault in self._plan.of("feeder_overload", subject_kind="feeder"):
            rows, steps = is_load & (feeder == fault.subject_id), fault.find_steps(part)
            active_kw[rows, steps] *= fault.factor
            reactive_kvar[rows, steps] *= fault.factor
        return active_kw, reactive_kvar

    def count_registers(self, part: Window, active_kw: Floats) -> Floats:
        """Return what the counters show at the start of every step, kWh, (n_meters, n_steps)."""
        counted = active_kw * 0.25
        for fault in self._plan.of("theft"):
            working = np.zeros(counted.shape[1], dtype=bool)
            working[fault.find_steps(part)] = True
            counted[self._row[fault.subject_id], working & is_night(part)] *= 1 - fault.factor
        for fault in self._plan.of("stuck_value"):
            row, steps = self._row[fault.subject_id], fault.find_steps(part)
            lost = float(counted[row, steps].sum())
            self._magnitudes[fault] = self._magnitudes.get(fault, 0.0) + lost
            counted[row, steps] = 0.0
        total = np.cumsum(counted, axis=1)
        shown = self._counted_kwh[:, None] + total - counted
        self._counted_kwh = self._counted_kwh + total[:, -1]
        shown += self._offset_kwh[:, None]
        for kind in ("register_reset", "backward_step"):
            for fault in self._plan.of(kind):
                if fault.begins_in(part):
                    row, step = self._row[fault.subject_id], fault.find_steps(part).start
                    lost = float(shown[row, step]) if kind == "register_reset" else fault.factor
                    shown[row, step:] -= lost
                    self._offset_kwh[row] -= lost
                    self._magnitudes[fault] = lost
        shown = np.round(shown, 3) % CAPACITY_KWH
        for fault in self._plan.of("unit_slip"):
            shown[self._row[fault.subject_id], fault.find_steps(part)] *= fault.factor
        for fault in self._plan.of("momentary_zero"):
            shown[self._row[fault.subject_id], fault.find_steps(part)] = 0.0
        return np.round(shown, 3)

    def read_closing(self) -> Floats:
        """Return what the counters show after the last step so far, kWh, (n_meters, 1)."""
        shown = np.round(self._counted_kwh + self._offset_kwh, 3) % CAPACITY_KWH
        return np.round(shown, 3)[:, None]

    def find_readings(self, part: Window, *, kind: str) -> Bools:
        """Return the readings that a gap, late or duplicate fault concerns, (n_meters, n_steps)."""
        touched = np.zeros((len(self._row), int((part.end - part.start) / STEP)), dtype=bool)
        for fault in self._plan.of(kind):
            touched[self._row[fault.subject_id], fault.find_steps(part)] = True
        return touched

    def measure(self, part: Window, flow: Flow) -> tuple[Flow, Bools]:
        """Return what the sensors measure, and which places are silent, (n_places, n_steps)."""
        flow = self._apply_joints(part, flow)
        row = {f"S-{node}": number for number, node in enumerate(flow.node_ids)}
        voltage, current, power = (
            flow.voltage_v.copy(),
            flow.current_a.copy(),
            flow.power_kw.copy(),
        )
        silent = np.zeros(power.shape, dtype=bool)
        for fault in self._plan.of("voltage_sag", subject_kind="sensor"):
            at = (row[fault.subject_id], fault.find_steps(part))
            if fault.begins_in(part):
                self._magnitudes[fault] = float(voltage[at][0] * fault.factor)
            voltage[at] *= 1 - fault.factor
            current[at] /= 1 - fault.factor
        for fault in self._plan.of("stuck_value", subject_kind="sensor"):
            at = (row[fault.subject_id], fault.find_steps(part))
            if fault.begins_in(part):
                self._held_kw[fault.subject_id] = float(power[at][0])
            power[at] = self._held_kw.get(fault.subject_id, 0.0)
        for fault in self._plan.of("gap", subject_kind="sensor"):
            silent[row[fault.subject_id], fault.find_steps(part)] = True
        return replace(flow, voltage_v=voltage, current_a=current, power_kw=power), silent

    def _apply_joints(self, part: Window, flow: Flow) -> Flow:
        """Return the flow with the weak joints: voltage falls to `factor` of nominal on average.

        The loads keep their power, so their current rises.
        """
        voltage, current = flow.voltage_v.copy(), flow.current_a.copy()
        nominal = dict(self._grid.list_places().select("node_id", "nominal_voltage_v").iter_rows())
        for fault in self._plan.of("weak_joint", subject_kind="sensor"):
            node = fault.subject_id.removeprefix("S-")
            row, steps = flow.node_ids.index(node), fault.find_steps(part)
            if steps.start < steps.stop:
                lost = float(flow.voltage_v[row].mean() - fault.factor * nominal[node] / 3**0.5)
                self._magnitudes.setdefault(fault, lost)
                current[row, steps] *= voltage[row, steps] / (voltage[row, steps] - lost)
                voltage[row, steps] -= lost
        return replace(flow, voltage_v=voltage, current_a=current)

    def build_truth(self) -> dy.DataFrame[PlantedFaults]:
        """Return the ground truth, ordered by start; complete after the last part."""
        ordered = sorted(self._plan.faults, key=lambda fault: (fault.start, fault.subject_id))
        frame = pl.DataFrame(
            {
                "fault_id": [f"fault-{number:03d}" for number in range(1, len(ordered) + 1)],
                "kind": [fault.kind for fault in ordered],
                "subject_kind": [fault.subject_kind for fault in ordered],
                "subject_id": [fault.subject_id for fault in ordered],
                "start_time": [fault.start for fault in ordered],
                "end_time": [fault.end for fault in ordered],
                "magnitude": [self._magnitudes.get(fault, fault.magnitude) for fault in ordered],
                "description": [fault.description for fault in ordered],
            },
            schema_overrides={"magnitude": pl.Float64},
        )
        return PlantedFaults.validate(frame, cast=True)
