"""The sentence that says why an anomaly is one: what was measured, what was expected, how rare."""

from datetime import datetime, timedelta

import numpy as np

from smartgrid_core.time import EPOCH, HOUR, MICROSECOND
from smartgrid_ml.mining.anomalies.episodes import Episode, Evidence


def describe_anomaly(episode: Episode, *, unit: str, limit_name: str | None) -> str:
    """Return a sentence for people about an episode.

    ``unit``: of the series, "" for none. ``limit_name``: what the allowed band is called, such as
    "the rating"; None for "allowed".
    """
    kind, start = episode.kind, to_instant(episode.start_us)
    worst = episode.worst[kind]
    value, expected = format_figure(worst.value, unit), _format_range(worst, unit)
    time = f"{to_instant(worst.time_us):%Y-%m-%d %H:%MZ}"
    lasted = format_duration(to_instant(episode.end_us) - start)
    rare = f"so strange a stretch comes about once in {_format_days(worst.score)}"
    match kind:
        case "spike":
            sentence = f"{value} at {time}, expected was {expected}; {rare}"
        case "level_shift":
            sentence = f"about {value} for {lasted}, expected was {expected}; {rare}"
        case "flatline":
            sentence = f"every reading of {lasted} is {value}, expected was {expected}"
        case "drift":
            sentence = (
                f"creeping away since {start:%Y-%m-%d}: {value} at {time}, one reading alone may be"
                f" {expected}; {rare}"
            )
        case "missing":
            sentence = f"no reading for {lasted}, expected was {expected}"
        case "out_of_band":
            band = f"{limit_name or 'allowed'} is {expected}"
            outside = format_duration(timedelta(hours=episode.hours[kind]))
            sentence = f"{value} at {time}, {band}; outside for {outside}"
        case _:
            side = "above" if worst.imbalance_pct > 0 else "below"
            away = f"{abs(worst.imbalance_pct):.3g} % {side} the mean of its phases"
            sentence = f"{value}, {away}, for {lasted}; usual is {expected}; {rare}"
    return sentence


def to_instant(time_us: float) -> datetime:
    """Return the UTC instant of so many microseconds since 1970-01-01T00:00Z."""
    return EPOCH + MICROSECOND * int(time_us)


def format_figure(figure: float, unit: str) -> str:
    """Return a figure with four digits that count, and its unit; NaN is "nothing".

    >>> format_figure(123.456, "kW"), format_figure(12345.6, "V"), format_figure(0.5, "")
    ('123.5 kW', '12,346 V', '0.5')
    """
    if not np.isfinite(figure):
        return "nothing"
    text = f"{figure:.4g}" if abs(figure) < 10_000 else f"{figure:,.0f}"
    return f"{text} {unit}".strip()


def format_duration(span: timedelta) -> str:
    """Return a span in the unit that people would use.

    >>> [format_duration(timedelta(hours=hours)) for hours in (0.75, 3.5, 96)]
    ['45 minutes', '3.5 hours', '4 days']
    """
    hours = span / HOUR
    if hours < 1.5:
        return f"{round(hours * 60)} minutes"
    if hours < 48:
        return f"{hours:.3g} hours"
    return f"{hours / 24:.3g} days"


def _format_range(evidence: Evidence, unit: str) -> str:
    lower, upper = evidence.lower, evidence.upper
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
