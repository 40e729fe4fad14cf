"""Spells: strange stretches that lie close together are one anomaly, over midnight too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from smartgrid_core.contracts.anomalies import ANOMALY_KINDS
from smartgrid_ml.mining.anomalies.expected_range import Bools, Floats
from smartgrid_ml.mining.anomalies.state import EVIDENCE, SPELL_FIGURES

PRECEDENCE = (
    "phase_imbalance",
    "out_of_band",
    "missing",
    "flatline",
    "drift",
    "level_shift",
    "spike",
)
"""What a spell is called that shows several: the cause before what it brings about."""

MICROSECOND = timedelta(microseconds=1)

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
class Stretch:
    """One strange stretch of one series, [start, end) in µs since 1970, and its worst moment."""

    kind: str
    start: float
    end: float
    score: float
    time: float
    value: float
    lower: float
    upper: float
    aside: float = float("nan")
    """Of a phase: how far it is from the mean of its phases, %."""


def runs(strange: Bools, clear: Bools) -> list[tuple[int, int]]:
    """[first, last + 1) of every stretch of `strange` that is `clear` at least once."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], strange, [False]]).astype(np.int8)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(first, end) for first, end in pairs if clear[first:end].any()]


def gather_episodes(
    open_spell: Floats, stretches: Sequence[Stretch], *, gap_us: float
) -> tuple[list[Floats], Floats]:
    """The spells that a day's stretches make, and the one among them that stays open.

    ``open_spell``: (SPELL_FIGURES,), NaN for none. Stretches no further apart than the gap are one
    spell. An open spell that nothing continues is not among the answer and stays open: whoever
    knows the time closes it.
    """
    touched: list[Floats] = []
    current = open_spell.copy()
    is_touched = False
    for stretch in sorted(stretches, key=lambda one: (one.start, one.kind)):
        if not (np.isfinite(current[0]) and stretch.start <= current[1] + gap_us):
            if is_touched:
                touched.append(current)
            current = np.full(SPELL_FIGURES, np.nan)
            current[0], current[1] = stretch.start, stretch.end
        is_touched = True
        current[1] = max(current[1], stretch.end)
        _add(current, stretch)
    if is_touched:
        touched.append(current)
    return touched, current


def _add(spell: Floats, stretch: Stretch) -> None:
    at = 2 + EVIDENCE * ANOMALY_KINDS.index(stretch.kind)
    hours = (stretch.end - stretch.start) / 3.6e9 + float(np.nan_to_num(spell[at + 6]))
    if not spell[at] >= stretch.score:
        worst = (stretch.score, stretch.time, stretch.value, stretch.lower, stretch.upper)
        spell[at : at + 6] = (*worst, stretch.aside)
    spell[at + 6] = hours


def kind_of(spell: Floats) -> str:
    """What an open or closed spell is called."""
    return next(kind for kind in PRECEDENCE if has(spell, kind))


def has(spell: Floats, kind: str) -> bool:
    """Whether a spell, open or closed, shows the kind."""
    return bool(np.isfinite(spell[2 + EVIDENCE * ANOMALY_KINDS.index(kind)]))


def to_anomaly_row(
    series: str, spell: Floats, *, unit: str, limits: str | None
) -> tuple[object, ...]:
    """One row of ANOMALY, without the day; `limits` says in words what a band is."""
    kind = kind_of(spell)
    at = 2 + EVIDENCE * ANOMALY_KINDS.index(kind)
    score, time, value, lower, upper, aside, hours = spell[at : at + EVIDENCE].tolist()
    start, end = (_instant(edge) for edge in spell[:2])
    at_time = _instant(time)
    reason = describe_anomaly(
        kind,
        {
            "value": value,
            "lower": lower,
            "upper": upper,
            "score": score,
            "aside": aside,
            "hours": hours,
        },
        start=start,
        end=end,
        time=at_time,
        unit=unit,
        limits=limits,
    )
    figures = (_or_none(value), _or_none(lower), _or_none(upper), score)
    return (series, start, end, at_time, *figures, kind, reason)


def _instant(micros: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + MICROSECOND * int(micros)


def _or_none(figure: float) -> float | None:
    return figure if np.isfinite(figure) else None


def describe_anomaly(
    kind: str,
    figures: Mapping[str, float],
    *,
    start: datetime,
    end: datetime,
    time: datetime,
    unit: str,
    limits: str | None,
) -> str:
    """A sentence for people: what was seen, what was expected, how rare it is."""
    value, expected = format_figure(figures["value"], unit), _format_range(figures, unit)
    lasted, worst = format_duration(end - start), f"{time:%Y-%m-%d %H:%MZ}"
    rare = f"so strange a stretch comes about once in {_format_days(figures['score'])}"
    if kind == "spike":
        told = f"{value} at {worst}, expected was {expected}; {rare}"
    elif kind == "level_shift":
        told = f"about {value} for {lasted}, expected was {expected}; {rare}"
    elif kind == "flatline":
        told = f"every reading of {lasted} is {value}, expected was {expected}"
    elif kind == "drift":
        told = (
            f"creeping away since {start:%Y-%m-%d}: {value} at {worst}, one reading alone may be "
            f"{expected}; {rare}"
        )
    elif kind == "missing":
        told = f"no reading for {lasted}, expected was {expected}"
    elif kind == "out_of_band":
        outside = format_duration(timedelta(hours=figures["hours"]))
        told = f"{value} at {worst}, {limits or 'allowed'} is {expected}; outside for {outside}"
    else:
        off = f"{abs(figures['aside']):.3g} % {'above' if figures['aside'] > 0 else 'below'}"
        told = f"{value}, {off} the mean of its phases, for {lasted}; usual is {expected}; {rare}"
    return told


def format_figure(figure: float, unit: str) -> str:
    """A figure with four digits that count, and its unit."""
    if not np.isfinite(figure):
        return "nothing"
    text = f"{figure:.4g}" if abs(figure) < 10_000 else f"{figure:,.0f}"
    return f"{text} {unit}".strip()


def _format_range(figures: Mapping[str, float], unit: str) -> str:
    lower, upper = figures["lower"], figures["upper"]
    if np.isfinite(lower) and np.isfinite(upper):
        return f"{format_figure(lower, '')} to {format_figure(upper, unit)}"
    if np.isfinite(upper):
        return f"at most {format_figure(upper, unit)}"
    if np.isfinite(lower):
        return f"at least {format_figure(lower, unit)}"
    return "not known yet"


def _format_days(score: float) -> str:
    days = 10**score
    return f"{days:,.0f} days" if days < 10_000 else "more than 10,000 days"


def format_duration(span: timedelta) -> str:
    """`45 minutes`, `3.5 hours`, `4 days`."""
    hours = span / timedelta(hours=1)
    if hours < 1.5:
        return f"{round(hours * 60)} minutes"
    if hours < 48:
        return f"{hours:.3g} hours"
    return f"{hours / 24:.3g} days"


def merge_day_parts(parts: pl.DataFrame) -> pl.DataFrame:
    """One row per anomaly out of what each day said of it: the last day knows all of it.

    ``parts``: columns of ANOMALY and `day`. Ordered by series and start.
    """
    return (
        parts.sort("series", "start_time", "day")
        .unique(["series", "start_time"], keep="last", maintain_order=True)
        .select(*ANOMALY.names())
    )
