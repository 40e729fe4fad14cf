"""One meter's register made sound: which readings to believe, and the energy between them.

Plain Python over one short series. Only series with a step that no healthy register makes come
here; all others take the vectorised way of `steps.py`, with the same result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median

LOOK_READINGS = 4
"""Readings that a passing fault may last where growth alone could hide its end; a day's brackets
show as many on each side, so that both days at a midnight see the same evidence."""

SLIP = 1000.0
"""Wh taken for kWh, or kWh for MWh."""

SLIP_TOLERANCE = 0.1
"""A register grows by less than a tenth while its unit slips, and /1000 costs it decimals."""

SMALLEST_SLIPPED_KWH = 20.0
"""Below this count a factor of 1000 may also be a reset or a busy hour."""

NEAR_ZERO = 1e-3
"""A dip to less than this share of the count is a zero, whatever its last decimals say."""

MICROSECONDS_PER_HOUR = 3_600_000_000


@dataclass(slots=True)
class Reading:
    """One register reading: `time` in microseconds since 1970, `kwh` the count.

    `mended` names the fault whose value was corrected here; `lost` names the fault of the readings
    that were dropped between the previous believed reading and this one.
    """

    time: int
    kwh: float
    mended: str | None = None
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The way from one believed reading to the next."""

    start: int
    """Microseconds since 1970."""
    end: int
    """Microseconds since 1970."""
    energy_kwh: float
    """Energy between the two, at least 0."""
    quality: str
    """One of `INTERVAL_QUALITIES`."""


def compute_register_steps(
    times: Sequence[int], counts: Sequence[float], *, capacity_kwh: float, max_kw: float
) -> list[Step]:
    """Return the steps of one register, without holes from the first to the last believed reading.

    The energies sum to the register's difference, plus `capacity_kwh` at a rollover; a reset counts
    what the register shows since it, a lasting backward step nothing.

    Args:
        times: Microseconds since 1970, strictly rising.
        counts: kWh, finite, at least 0; one per time.
        capacity_kwh: The count at which the register rolls over to zero.
        max_kw: No healthy register rises faster.

    Returns:
        Steps in order.

    >>> hour = 3_600_000_000
    >>> steps = compute_register_steps([0, hour], [10.0, 10.5], capacity_kwh=1e6, max_kw=630.0)
    >>> [(step.energy_kwh, step.quality) for step in steps]
    [(0.5, 'measured')]
    """
    readings = [Reading(time, kwh) for time, kwh in zip(times, counts, strict=True)]
    readings = _drop_false_zeros(readings, max_kw=max_kw)
    _mend_unit_slips(readings, capacity_kwh=capacity_kwh)
    return _Chain(readings, capacity_kwh=capacity_kwh, max_kw=max_kw).compute_steps()


def _measure_hours(earlier: Reading, later: Reading) -> float:
    """Return the hours from one reading to the other."""
    return (later.time - earlier.time) / MICROSECONDS_PER_HOUR


def _drop_false_zeros(readings: list[Reading], *, max_kw: float) -> list[Reading]:
    """Return the readings without false zeros, after which the count goes on; a reset's stay."""
    kept: list[Reading] = []
    zeros: list[Reading] = []
    for reading in readings:
        if reading.kwh == 0:
            zeros.append(reading)
            continue
        if zeros:
            if kept and reading.kwh >= kept[-1].kwh:
                reading.lost = "momentary_zero"
            elif kept or reading.kwh <= max_kw * _measure_hours(zeros[-1], reading):
                kept.extend(zeros)
            zeros = []
        kept.append(reading)
    return kept + zeros


def _mend_unit_slips(readings: list[Reading], *, capacity_kwh: float) -> None:
    """Bring readings that are 1000 times too large or too small back to scale. In place."""
    levels = _count_levels(readings)
    normal = _find_normal_level(readings, levels, capacity_kwh=capacity_kwh)
    if normal is None:
        return
    for reading, level in zip(readings, levels, strict=True):
        if level != normal:
            reading.kwh *= SLIP ** (normal - level)
            reading.mended = "unit_slip"
    _hold_between_neighbours(readings)


def _count_levels(readings: list[Reading]) -> list[int]:
    """Return how many factors of 1000 each reading stands above the first one."""
    low, high = SLIP * (1 - SLIP_TOLERANCE), SLIP * (1 + SLIP_TOLERANCE)
    level = 0
    levels = [0]
    for before, after in pairwise(readings):
        if max(before.kwh, after.kwh) >= SMALLEST_SLIPPED_KWH and min(before.kwh, after.kwh) > 0:
            if low <= after.kwh / before.kwh <= high:
                level += 1
            elif low <= before.kwh / after.kwh <= high:
                level -= 1
        levels.append(level)
    return levels[: len(readings)]


def _find_normal_level(
    readings: list[Reading], levels: list[int], *, capacity_kwh: float
) -> int | None:
    """Return which level is the true one; None if nothing slipped or nothing can be told.

    Two edges frame the slip. With one edge only, it runs out of sight: a count beyond the
    register's capacity gives it away, else the two sides' mean power, which must differ
    like the counts do; of the two, the one nearer 1 kW (in orders of magnitude) is a customer's.
    """
    distinct = sorted(set(levels))
    if len(distinct) != 2:
        return None
    if levels[0] == levels[-1]:
        return levels[0]
    low, high = distinct
    if any(
        r.kwh > capacity_kwh for r, level in zip(readings, levels, strict=True) if level == high
    ):
        return low
    low_kw, high_kw = (
        _compute_mean_kw(readings, levels, low),
        _compute_mean_kw(readings, levels, high),
    )
    if low_kw <= 0 or high_kw / low_kw < SLIP**0.5:
        return None
    return low if low_kw * high_kw > 1 else high


def _compute_mean_kw(readings: list[Reading], levels: list[int], level: int) -> float:
    """Return the mean power while the register stood at `level`, in that level's own unit."""
    energy = hours = 0.0
    for (before, after), (at, then) in zip(pairwise(readings), pairwise(levels), strict=True):
        if at == then == level and after.kwh >= before.kwh:
            energy += after.kwh - before.kwh
            hours += _measure_hours(before, after)
    return energy / hours if hours else 0.0


def _hold_between_neighbours(readings: list[Reading]) -> None:
    """Keep mended counts rising between the sound ones, in place: /1000 rounded them."""
    after: list[float] = []
    bound = inf
    for reading in reversed(readings):
        if reading.mended is None:
            bound = reading.kwh
        after.append(bound)
    floor = 0.0
    for reading, ceiling in zip(readings, reversed(after), strict=True):
        if reading.mended is not None and floor <= ceiling:
            reading.kwh = min(max(reading.kwh, floor), ceiling)
        floor = reading.kwh


class _Chain:
    """The believed readings, found from left to right with a short look ahead and back."""

    def __init__(self, readings: list[Reading], *, capacity_kwh: float, max_kw: float) -> None:
        self._readings = readings
        self._capacity_kwh = capacity_kwh
        self._max_kw = max_kw
        sound = [
            (after.kwh - before.kwh) / _measure_hours(before, after)
            for before, after in pairwise(readings)
            if self._follows(before, after)
        ]
        self._peak_kw = max(sound, default=0.0)
        self._usual_kw = median([kw for kw in sound if kw > 0] or [0.0])
        self._believed = readings[:1]
        self._steps: list[Step] = []

    def compute_steps(self) -> list[Step]:
        """Return the steps between believed readings."""
        i = 1
        while i < len(self._readings):
            reading, last = self._readings[i], self._believed[-1]
            if self._follows(last, reading):
                quality = reading.lost or reading.mended or last.mended or "measured"
                self._add_step(reading, reading.kwh - last.kwh, quality)
                i += 1
                continue
            back = self._return(i)
            passing = back - i if back is not None else inf
            overshoot = self._count_overshoot(reading)
            if back is not None and passing <= overshoot:
                self._readings[back].lost = self._name_of(self._readings[i:back], last)
                i = back
            elif overshoot < inf:
                above = last.kwh - reading.kwh
                usual = self._usual_kw * _measure_hours(last, reading)
                reading.lost = "spike" if above > LOOK_READINGS * usual else "backward_step"
                del self._believed[-int(overshoot) :]
                del self._steps[-int(overshoot) :]
            else:
                self._add_step(reading, *self._judge_lasting(last, reading))
                i += 1
        return self._steps

    def _follows(self, earlier: Reading, later: Reading) -> bool:
        """Return whether a healthy register could have gone from one to the other."""
        return 0 <= later.kwh - earlier.kwh <= self._max_kw * _measure_hours(earlier, later)

    def _add_step(self, reading: Reading, energy_kwh: float, quality: str) -> None:
        self._steps.append(Step(self._believed[-1].time, reading.time, energy_kwh, quality))
        self._believed.append(reading)

    def _return(self, i: int) -> int | None:
        """Return the place after `i` where the count is back at its old level; None if nowhere."""
        last, strange = self._believed[-1], self._readings[i]
        for j in range(i + 1, len(self._readings)):
            reading, before = self._readings[j], self._readings[j - 1]
            if not self._follows(last, reading):
                continue
            if strange.kwh > last.kwh:
                if reading.kwh < strange.kwh:
                    return j
            elif j - i <= LOOK_READINGS or not self._follows(before, reading):
                return j
        return None

    def _count_overshoot(self, reading: Reading) -> float:
        """Return how many believed readings stood too high; infinite if dropping does not help."""
        if reading.kwh >= self._believed[-1].kwh:
            return inf
        for count in range(1, min(LOOK_READINGS, len(self._believed) - 1) + 1):
            if self._follows(self._believed[-1 - count], reading):
                return count
        return inf

    def _name_of(self, strange: list[Reading], last: Reading) -> str:
        if all(reading.kwh <= NEAR_ZERO * last.kwh for reading in strange):
            return "momentary_zero"
        return "spike" if strange[0].kwh > last.kwh else "backward_step"

    def _judge_lasting(self, last: Reading, reading: Reading) -> tuple[float, str]:
        """Return energy and quality of a step to a new count that lasts."""
        hours = _measure_hours(last, reading)
        if reading.kwh > last.kwh:
            return 0.0, "spike"
        wrapped = self._capacity_kwh - last.kwh + reading.kwh
        if 0 <= wrapped <= self._max_kw * hours:
            return wrapped, "rollover"
        if reading.kwh <= min(self._max_kw * hours, last.kwh / 2):
            return min(reading.kwh, self._peak_kw * hours), "reset"
        return 0.0, "backward_step"
