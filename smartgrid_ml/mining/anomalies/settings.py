"""What stays the same from day to day while series are judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from smartgrid_core.time import DAY, MICROSECOND
from smartgrid_ml.mining.anomalies.nan_arrays import Floats, Ints

SLOT_MINUTES = 15
"""Profiles are this fine at most; shorter steps share one."""

SHIFT_HOURS = 6
"""A shift within a day is looked for in medians of so many hours."""

GAP = timedelta(hours=3)
"""Stretches that lie closer together are one anomaly."""

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSettings:
    """How series are judged, whatever series they are. Raises ValueError for an impossible step.

    Attributes:
        step: Time from one reading to the next: whole minutes that divide a day.
        timezone: IANA name of the zone that makes local hours and kinds of day.
        country: ISO 3166 code whose public holidays count as Sundays; None for no holidays.
        history_days: Days of the profile.
        warm_up_days: Days that must be known before values are judged.
        threshold: Score from which on a stretch is an anomaly.
        habits: Whether what came on four occasions is a habit and no anomaly.
    """

    step: timedelta
    timezone: str
    country: str | None
    history_days: int
    warm_up_days: int
    threshold: float
    habits: bool

    def __post_init__(self) -> None:
        if self.step <= timedelta(0) or DAY % self.step or self.step % MINUTE:
            raise ValueError(
                f"step {self.step} does not divide a day into whole minutes; resample to 1h or the"
                " like"
            )

    @property
    def minutes(self) -> int:
        """Length of a step, minutes."""
        return self.step // MINUTE

    @property
    def per_day(self) -> int:
        """Steps of a day."""
        return DAY // self.step

    @property
    def per_slot(self) -> int:
        """Steps that share one slot of the profile."""
        if SLOT_MINUTES % self.minutes:
            return 1
        return max(1, SLOT_MINUTES // self.minutes)

    @property
    def slots(self) -> int:
        """Slots of a day: steps, or quarter-hours where steps are shorter."""
        return self.per_day // self.per_slot

    @property
    def short(self) -> int:
        """Slots of a shift that is found within hours."""
        return max(3, SHIFT_HOURS * self.slots // 24)

    @property
    def long(self) -> int:
        """Slots of a shift that is found within a day, or a week of daily values."""
        return max(self.slots, 7)

    @property
    def step_us(self) -> float:
        """Length of a step, microseconds."""
        return self.step / MICROSECOND

    @property
    def gap_us(self) -> float:
        """Stretches no further apart than this are one anomaly, microseconds."""
        return max(GAP / MICROSECOND, 2 * self.step_us)


@dataclass(frozen=True, slots=True)
class RowLimits:
    """The limits of every row, (n_rows,); infinite where a side has none.

    Attributes:
        low: Lowest allowed value, unit of the series.
        high: Highest allowed value.
        over_steps: Steps of the clock span whose mean is held against the limits; 1 for each value.
        names: What a sentence calls the band; None for "allowed".
    """

    low: Floats
    high: Floats
    over_steps: Ints
    names: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class DetectorSetup:
    """The settings and what is known of the rows of every array.

    Rows are the judged series, then the imbalance of each phase, then the context's channels.

    Attributes:
        settings: How the series are judged.
        series: Names of the judged series, in the order of the rows.
        groups: Rows of each peer group; these explain each other's common movement.
        phases: Rows of the phases of each place.
        limits: The limits of all rows.
    """

    settings: DetectorSettings
    series: Sequence[str]
    groups: Sequence[Ints]
    phases: Sequence[Ints]
    limits: RowLimits
    phase_rows: Ints = field(init=False)
    """Rows of all phases, in the order of their imbalances."""

    def __post_init__(self) -> None:
        rows = np.concatenate(self.phases) if self.phases else np.empty(0, dtype=np.int64)
        object.__setattr__(self, "phase_rows", rows)

    @property
    def judged(self) -> int:
        """Number of judged series."""
        return len(self.series)

    @property
    def first_context(self) -> int:
        """The first row of context."""
        return self.judged + len(self.phase_rows)
