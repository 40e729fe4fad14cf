"""Every meter of a batch with what its days, its node and its habits say of it, in figures."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from smartgrid_ml.mining.theft.attacks import is_night
from smartgrid_ml.mining.theft.balance_evidence import (
    NodeHours,
    estimate_expected_hours,
    measure_balance_evidence,
    sum_to_hours,
)
from smartgrid_ml.mining.theft.day_model import DayScores, TheftModel
from smartgrid_ml.mining.theft.meter_days import HOURS, MeterDays
from smartgrid_ml.mining.theft.meter_probability import ProbabilityModel, average_day_odds

Doubles = NDArray[np.float64]

PATTERNS = (
    "low_at_night",
    "low_all_day",
    "nothing_for_hours",
    "too_even",
    "unlike_its_past",
)
"""What the suspicious days look like."""

LEAST_SUSPICIOUS_DAYS = 3
"""One or two strange days are a holiday."""

LOW = 0.85
"""A meter counts low below this share of what its past suggests."""
NIGHT_AGAINST_DAY = 0.75
EVEN = 0.5
MORE_ZERO_HOURS = 0.15

SUSPECT_SCHEMA = pl.Schema(
    {
        "meter_id": pl.String(),
        "node_id": pl.String(),
        "probability": pl.Float64(),
        "theft_score": pl.Float64(),
        "days_judged": pl.Int64(),
        "suspected_since": pl.Date(),
        "follows_counted": pl.Float64(),
        "follows_gap": pl.Float64(),
        "gap_kwh_day": pl.Float64(),
        "missing_kwh_day": pl.Float64(),
        "band_kwh": pl.Float64(),
        "night_share": pl.Float64(),
        "day_share": pl.Float64(),
        "pattern": pl.String(),
    }
)
"""Columns of `suspects`."""


@dataclass(frozen=True, slots=True)
class BalancedGrid:
    """The balances of the judged days, and the node to which each meter is held."""

    nodes: NodeHours
    node_of: dict[str, int]


def build_suspects(
    meters: MeterDays,
    *,
    model: TheftModel,
    suspicion: ProbabilityModel | None,
    judged: slice,
    grid: BalancedGrid,
) -> pl.DataFrame:
    """One row of SUSPECTS per meter of the batch, in its order.

    `gap_kwh_day` is how much less the meter counts a day than its past and its peers suggest,
    `missing_kwh_day` what its node misses, both over the judged days from
    `find_first_suspicious_day` on (all
    of them without one). `night_share` and `day_share` are what it counts against what is expected.
    """
    scores = model.score(meters)
    score, days = average_day_odds(scores.log_odds[:, judged])
    told = sum_to_hours(meters.energy_kwh[:, judged])
    expected = estimate_expected_hours(
        meters,
        trusted=scores.trusted,
        judged=judged,
        moves=model.around.peers[judged, 0].astype(np.float64),
    )
    at_node = np.array([grid.node_of.get(meter, -1) for meter in meters.meter_ids])
    has_node = at_node >= 0
    missing = np.full(told.shape, np.nan)
    missing[has_node] = grid.nodes.unexplained_kwh[at_node[has_node]]
    band = np.full(len(told), np.nan)
    band[has_node] = grid.nodes.band_kwh[at_node[has_node]]
    said = measure_balance_evidence(
        told, expected_kwh=expected, unexplained_kwh=missing, band_kwh=np.nan_to_num(band, nan=1.0)
    )
    since = find_first_suspicious_day(scores)
    first = np.clip(np.where(since < 0, judged.start, since) - judged.start, 0, told.shape[1] - 1)
    of_interest = np.arange(told.shape[1])[None, :] >= first[:, None]
    told_then, expected_then, missing_then = (
        np.where(of_interest[:, :, None], values, np.nan) for values in (told, expected, missing)
    )
    night = is_night(HOURS)
    shares = [_compute_share(told_then[..., of], expected_then[..., of]) for of in (night, ~night)]
    if suspicion is None:
        probability = np.full(len(score), np.nan)
    else:
        probability = suspicion.probability(score, said)
    gap = _average_day(np.where(np.isnan(told_then), np.nan, expected_then - told_then))
    return pl.DataFrame(
        {
            "meter_id": list(meters.meter_ids),
            "node_id": [grid.nodes.node_ids[at] if at >= 0 else None for at in at_node],
            "probability": probability,
            "theft_score": score,
            "days_judged": days,
            "suspected_since": [meters.days[day] if day >= 0 else None for day in since],
            "follows_counted": said[:, 0],
            "follows_gap": said[:, 1],
            "gap_kwh_day": gap,
            "missing_kwh_day": _average_day(missing_then),
            "band_kwh": band,
            "night_share": shares[0],
            "day_share": shares[1],
            "pattern": _name_patterns(meters, scores, judged=judged, told=told_then, shares=shares),
        },
        schema=SUSPECT_SCHEMA,
        nan_to_null=True,
    )


def compute_daily_gap(meter: MeterDays, *, model: TheftModel) -> pl.DataFrame:
    """How much less one meter counts than its past and its peers suggest: columns day, gap_kwh.

    Against the mean of the trusted days before the suspicion; null where the day is not known.
    """
    scores = model.score(meter)
    since = int(find_first_suspicious_day(scores)[0])
    clean = scores.trusted[0] & meter.is_whole[0]
    clean[since if since > 0 else len(clean) :] = False
    told = sum_to_hours(meter.energy_kwh)[0].sum(axis=1)
    usual = told[clean].mean() if clean.any() else np.nan
    expected = usual * np.exp(np.nan_to_num(model.around.peers[:, 0].astype(np.float64)))
    return pl.DataFrame({"day": meter.days, "gap_kwh": expected - told}, nan_to_null=True)


def find_first_suspicious_day(scores: DayScores) -> NDArray[np.int64]:
    """The first suspicious day from which on at least half of the judged ones are; -1 for none."""
    judged = ~np.isnan(scores.log_odds)
    suspicious = judged & ~scores.trusted
    left, bad = (np.cumsum(of[:, ::-1], axis=1)[:, ::-1] for of in (judged, suspicious))
    begins = suspicious & (2 * bad >= left) & (bad >= LEAST_SUSPICIOUS_DAYS)
    first: NDArray[np.int64] = np.where(begins.any(axis=1), begins.argmax(axis=1), -1)
    return first


def _average_day(hours: Doubles) -> Doubles:
    """Mean energy of a whole day, (n, n_days, 24) -> (n,); NaN where nothing is known."""
    known = (~np.isnan(hours)).sum(axis=(1, 2))
    total = np.nansum(hours, axis=(1, 2))
    return np.where(known > 0, total / np.maximum(known, 1) * HOURS, np.nan)


def _compute_share(told: Doubles, expected: Doubles) -> Doubles:
    known = ~(np.isnan(told) | np.isnan(expected))
    counted = np.where(known, told, 0).sum(axis=(1, 2))
    usual = np.where(known, expected, 0).sum(axis=(1, 2))
    return np.where(usual > 0, counted / np.maximum(usual, 1e-9), np.nan)


def _name_patterns(
    meters: MeterDays, scores: DayScores, *, judged: slice, told: Doubles, shares: list[Doubles]
) -> list[str]:
    before = scores.trusted[:, : judged.start] & meters.is_whole[:, : judged.start]
    past = np.where(before[:, :, None], sum_to_hours(meters.energy_kwh[:, : judged.start]), np.nan)
    zero = _average_known_days(_compute_zero_share(told)) - _average_known_days(
        _compute_zero_share(past)
    )
    even = _average_known_days(_compute_variation(told)) / np.maximum(
        _average_known_days(_compute_variation(past)), 1e-3
    )
    night, day = shares
    choices = (
        zero > MORE_ZERO_HOURS,
        even < EVEN,
        (night < LOW) & (night < NIGHT_AGAINST_DAY * day),
        (night < LOW) & (day < LOW),
    )
    names = ("nothing_for_hours", "too_even", "low_at_night", "low_all_day")
    return [str(name) for name in np.select(choices, names, default="unlike_its_past")]


def _compute_zero_share(hours: Doubles) -> Doubles:
    known = ~np.isnan(hours).any(axis=2)
    return np.where(known, (hours <= 0).mean(axis=2), np.nan)


def _compute_variation(hours: Doubles) -> Doubles:
    mean = hours.mean(axis=2)
    return np.where(mean > 0, hours.std(axis=2) / np.maximum(mean, 1e-9), np.nan)


def _average_known_days(days: Doubles) -> Doubles:
    known = ~np.isnan(days)
    total = np.where(known, days, 0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)
