"""Episodes: strange stretches that lie close together are one anomaly, over midnight too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from smartgrid_core.time import HOUR, MICROSECOND

PRECEDENCE = (
    "phase_imbalance",
    "out_of_band",
    "missing",
    "flatline",
    "drift",
    "level_shift",
    "spike",
)
"""What an episode is called that shows several kinds: the cause before what it brings about."""

HOUR_US = HOUR / MICROSECOND
"""Microseconds of an hour."""

ANOMALY = pl.Schema(
    {
        "series": pl.String(),
        "start_time": pl.Datetime("us", "UTC"),
        "end_time": pl.Datetime("us", "UTC"),
        "time": pl.Datetime("us", "UTC"),
        "value": pl.Float64(),
        "lower": pl.Float64(),
        "upper": pl.Float64(),
        "score": pl.Float64(),
        "kind": pl.String(),
        "reason": pl.String(),
    }
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The worst moment of a stretch, or of one kind within an episode; NaN is unknown.

    Attributes:
        score: log10(1 + days until the series is expected to be as strange again).
        time_us: When it was, microseconds since 1970-01-01T00:00Z.
        value: The reading, or where the median of hours or of a day lay; unit of the series.
        lower: Lower edge of what was expected at that time.
        upper: Upper edge of what was expected at that time.
        imbalance_pct: Of a phase, how far it is from the mean of its phases, % of the mean.
    """

    score: float
    time_us: float
    value: float
    lower: float
    upper: float
    imbalance_pct: float = float("nan")


@dataclass(frozen=True, slots=True)
class Stretch:
    """One strange stretch of one series, [start_us, end_us).

    Attributes:
        kind: One of ANOMALY_KINDS.
        start_us: Its first instant, microseconds since 1970-01-01T00:00Z.
        end_us: The instant behind its last step.
        worst: Its worst moment.
    """

    kind: str
    start_us: float
    end_us: float
    worst: Evidence


@dataclass(frozen=True, slots=True)
class Episode:
    """An anomaly of one series, open or closed, [start_us, end_us).

    Attributes:
        start_us: Its first instant, microseconds since 1970-01-01T00:00Z.
        end_us: The instant behind its last strange step so far.
        worst: By kind that it shows, the worst moment of that kind.
        hours: By kind, how long its stretches of that kind lasted together.
    """

    start_us: float
    end_us: float
    worst: Mapping[str, Evidence]
    hours: Mapping[str, float]

    @property
    def kind(self) -> str:
        """What the episode is called: the first kind of PRECEDENCE that it shows."""
        return next(kind for kind in PRECEDENCE if kind in self.worst)

    @classmethod
    def of(cls, stretch: Stretch) -> "Episode":
        """Return the episode that begins with this stretch."""
        return cls(stretch.start_us, stretch.end_us, {}, {}).extend(stretch)

    def extend(self, stretch: Stretch) -> "Episode":
        """Return the episode with one more stretch in it."""
        kind, worst = stretch.kind, self.worst.get(stretch.kind)
        is_worst = worst is None or not worst.score >= stretch.worst.score
        hours = (stretch.end_us - stretch.start_us) / HOUR_US + self.hours.get(kind, 0.0)
        return Episode(
            start_us=self.start_us,
            end_us=max(self.end_us, stretch.end_us),
            worst={**self.worst, kind: stretch.worst} if is_worst else self.worst,
            hours={**self.hours, kind: hours},
        )


def gather_episodes(
    open_episode: Episode | None, stretches: Sequence[Stretch], *, gap_us: float
) -> tuple[list[Episode], Episode | None]:
    """Return the episodes that a day's stretches make, and the one that stays open.

    Stretches no further apart than `gap_us` microseconds are one episode. An open episode that
    nothing continues is not among the first and stays open: whoever knows the time closes it.
    """
    touched: list[Episode] = []
    current = open_episode
    for stretch in sorted(stretches, key=lambda each: (each.start_us, each.kind)):
        if current is not None and stretch.start_us <= current.end_us + gap_us:
            current = current.extend(stretch)
            # The last of the list is the one that was extended; yesterday's is not in it yet.
            touched[-1:] = [current]
        else:
            current = Episode.of(stretch)
            touched.append(current)
    return touched, current


def merge_day_parts(parts: pl.DataFrame) -> pl.DataFrame:
    """Return one row per anomaly, by series and start: its last day knows all of it.

    ``parts``: columns of ANOMALY and `day`, one row per anomaly and day.
    """
    return (
        parts.sort("series", "start_time", "day")
        .unique(["series", "start_time"], keep="last", maintain_order=True)
        .select(*ANOMALY.names())
    )
