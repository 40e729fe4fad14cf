"""Every meter of a batch with the figures that speak for or against theft."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from smartgrid_core.arrays import F64, I64, Bool
from smartgrid_ml.mining.theft.attacks import is_night
from smartgrid_ml.mining.theft.balance_evidence import (
    BALANCE_EVIDENCE,
    BalancedGrid,
    estimate_expected_hours,
    measure_balance_evidence,
    sum_to_hours,
)
from smartgrid_ml.mining.theft.calibration_cases import average_day_odds
from smartgrid_ml.mining.theft.day_model import DayScores, TheftModel
from smartgrid_ml.mining.theft.meter_days import HOURS, MeterDays
from smartgrid_ml.mining.theft.meter_probability import ProbabilityModel

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
"""The share at night is below this part of the share by day where only the nights are low."""
EVEN = 0.5
"""Hours vary less than this part of what they used to where a meter counts too evenly."""
MORE_ZERO_HOURS = 0.15
"""So much more of a day without any energy than before is nothing for hours."""

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
"""Columns of `build_suspects`."""


@dataclass(frozen=True, slots=True)
class _JudgedHours:
    """Energies of the judged days by meter, day and hour, (n, n_judged, 24); NaN is unknown."""

    reported_kwh: F64
    expected_kwh: F64
    missing_kwh: F64
    """Unexplained energy of the meter's node."""

    def keep_from(self, first: I64) -> "_JudgedHours":
        """Return the same from a judged day on, the first at least and the last at most.

        NaN before; ``first``: position among the judged days, (n,).
        """
        n_judged = self.reported_kwh.shape[1]
        is_later = np.arange(n_judged)[None, :] >= np.clip(first, 0, n_judged - 1)[:, None]
        return _JudgedHours(
            *(
                np.where(is_later[:, :, None], values, np.nan)
                for values in (self.reported_kwh, self.expected_kwh, self.missing_kwh)
            )
        )

    @property
    def gap_kwh(self) -> F64:
        """Expected less reported energy, (n, n_judged, 24)."""
        return np.where(np.isnan(self.reported_kwh), np.nan, self.expected_kwh - self.reported_kwh)

    def share_counted(self, hours: Bool) -> F64:
        """Return reported over expected energy of some hours of the day, (24,), by meter, (n,)."""
        return _compute_share(self.reported_kwh[..., hours], self.expected_kwh[..., hours])


def build_suspects(
    meters: MeterDays,
    *,
    model: TheftModel,
    probability_model: ProbabilityModel | None,
    judged: slice,
    grid: BalancedGrid,
) -> pl.DataFrame:
    """Return one row of SUSPECT_SCHEMA per meter of the batch, in its order.

    `gap_kwh_day` is how much less the meter counts a day than its past and its peers suggest,
    `missing_kwh_day` what its node misses, both over the judged days from `suspected_since` on (all
    of them without one). `night_share` and `day_share` are what it counts against what is expected.

    Args:
        meters: The batch, with the judged days and those before them.
        model: Scores the days.
        probability_model: Turns scores and balances into `probability`; None leaves it null.
        judged: Positions of the judged days.
        grid: The balances of the judged days.
    """
    scores = model.score(meters)
    score, days_judged = average_day_odds(scores.log_odds[:, judged])
    at_node = grid.match_meters(meters.meter_ids)
    band = _take_of_nodes(grid.nodes.band_kwh, at_node)
    hours = _JudgedHours(
        reported_kwh=sum_to_hours(meters.energy_kwh[:, judged]),
        expected_kwh=estimate_expected_hours(
            meters,
            trusted=scores.trusted,
            judged=judged,
            peer_moves=model.conditions.select_total_moves(judged),
        ),
        missing_kwh=_take_of_nodes(grid.nodes.unexplained_kwh, at_node),
    )
    balance_evidence = measure_balance_evidence(
        hours.reported_kwh,
        expected_kwh=hours.expected_kwh,
        unexplained_kwh=hours.missing_kwh,
        band_kwh=np.nan_to_num(band, nan=1.0),
    )
    if probability_model is None:
        probability = np.full(len(score), np.nan)
    else:
        probability = probability_model.estimate(score, balance_evidence)
    since = find_first_suspicious_day(scores)
    suspicious = hours.keep_from(np.where(since < 0, 0, since - judged.start))
    return pl.DataFrame(
        {
            "meter_id": list(meters.meter_ids),
            "node_id": [grid.nodes.node_ids[at] if at >= 0 else None for at in at_node],
            "probability": probability,
            "theft_score": score,
            "days_judged": days_judged,
            "suspected_since": [meters.days[day] if day >= 0 else None for day in since],
            "follows_counted": balance_evidence[:, BALANCE_EVIDENCE.index("follows_counted")],
            "follows_gap": balance_evidence[:, BALANCE_EVIDENCE.index("follows_gap")],
            "band_kwh": band,
            **_describe_hours(suspicious, past_kwh=_mask_past(meters, scores, judged=judged)),
        },
        schema=SUSPECT_SCHEMA,
        nan_to_null=True,
    )


def _describe_hours(suspicious: _JudgedHours, *, past_kwh: F64) -> dict[str, F64 | list[str]]:
    """Return the columns of SUSPECT_SCHEMA that the suspicious days alone give, (n,) each.

    ``past_kwh``: the trusted days before, (n, n_before, 24); NaN is missing.
    """
    night = is_night(HOURS)
    night_share, day_share = suspicious.share_counted(night), suspicious.share_counted(~night)
    return {
        "gap_kwh_day": _average_day(suspicious.gap_kwh),
        "missing_kwh_day": _average_day(suspicious.missing_kwh),
        "night_share": night_share,
        "day_share": day_share,
        "pattern": _name_patterns(
            suspicious.reported_kwh,
            past_kwh=past_kwh,
            night_share=night_share,
            day_share=day_share,
        ),
    }


def compute_daily_gap(meter: MeterDays, *, model: TheftModel) -> pl.DataFrame:
    """Return how much less one meter counts than its past suggests: columns day, gap_kwh.

    Against the mean of the trusted days before the suspicion, times what its peers' days moved;
    null where the day is not known.
    """
    scores = model.score(meter)
    since = int(find_first_suspicious_day(scores)[0])
    clean = scores.trusted[0] & meter.is_whole[0]
    clean[since if since > 0 else len(clean) :] = False
    reported = sum_to_hours(meter.energy_kwh)[0].sum(axis=1)
    usual = reported[clean].mean() if clean.any() else np.nan
    expected = usual * np.exp(np.nan_to_num(model.conditions.select_total_moves()))
    return pl.DataFrame({"day": meter.days, "gap_kwh": expected - reported}, nan_to_null=True)


def find_first_suspicious_day(scores: DayScores) -> I64:
    """Return the position of the day from which on a meter is suspected, (n_meters,); -1 for none.

    It is the first suspicious day from which on at least half of the judged ones are suspicious,
    and LEAST_SUSPICIOUS_DAYS of them.
    """
    judged = ~np.isnan(scores.log_odds)
    suspicious = judged & ~scores.trusted
    # days from each day on, (n_meters, n_days)
    n_judged, n_suspicious = (
        np.cumsum(flags[:, ::-1], axis=1)[:, ::-1] for flags in (judged, suspicious)
    )
    begins = suspicious & (2 * n_suspicious >= n_judged) & (n_suspicious >= LEAST_SUSPICIOUS_DAYS)
    first: I64 = np.where(begins.any(axis=1), begins.argmax(axis=1), -1)
    return first


def _take_of_nodes(values: F64, at_node: I64) -> F64:
    """Return each meter's node's values, (n_nodes, ...) to (n_meters, ...); NaN without a node.

    ``at_node``: position of the node, (n_meters,), -1 for none.
    """
    taken = np.full((len(at_node), *values.shape[1:]), np.nan)
    has_node = at_node >= 0
    taken[has_node] = values[at_node[has_node]]
    return taken


def _mask_past(meters: MeterDays, scores: DayScores, *, judged: slice) -> F64:
    """Return the trusted days before the judged ones, (n_meters, n_before, 24), kWh; else NaN."""
    before = scores.trusted[:, : judged.start] & meters.is_whole[:, : judged.start]
    return np.where(before[:, :, None], sum_to_hours(meters.energy_kwh[:, : judged.start]), np.nan)


def _average_day(hours_kwh: F64) -> F64:
    """Return the mean energy of a whole day, (n, n_days, 24) to (n,); NaN where none is known."""
    known = (~np.isnan(hours_kwh)).sum(axis=(1, 2))
    total = np.nansum(hours_kwh, axis=(1, 2))
    return np.where(known > 0, total / np.maximum(known, 1) * HOURS, np.nan)


def _compute_share(reported_kwh: F64, expected_kwh: F64) -> F64:
    """Return reported over expected energy where both are known, (n, n_days, n_hours) to (n,)."""
    known = ~(np.isnan(reported_kwh) | np.isnan(expected_kwh))
    counted = np.where(known, reported_kwh, 0).sum(axis=(1, 2))
    usual = np.where(known, expected_kwh, 0).sum(axis=(1, 2))
    return np.where(usual > 0, counted / np.maximum(usual, 1e-9), np.nan)


def _name_patterns(
    reported_kwh: F64, *, past_kwh: F64, night_share: F64, day_share: F64
) -> list[str]:
    """Return one of PATTERNS per meter, (n,).

    Args:
        reported_kwh: The suspicious days, (n, n_judged, 24); NaN is missing.
        past_kwh: The trusted days before, (n, n_before, 24); NaN is missing.
        night_share: Reported over expected energy at night, (n,).
        day_share: The same by day, (n,).
    """
    zero, past_zero = (
        _average_known_days(_compute_zero_share(hours)) for hours in (reported_kwh, past_kwh)
    )
    variation, past_variation = (
        _average_known_days(_compute_variation(hours)) for hours in (reported_kwh, past_kwh)
    )
    is_low_at_night = night_share < LOW
    choices = (
        zero - past_zero > MORE_ZERO_HOURS,
        variation / np.maximum(past_variation, 1e-3) < EVEN,
        is_low_at_night & (night_share < NIGHT_AGAINST_DAY * day_share),
        is_low_at_night & (day_share < LOW),
    )
    names = ("nothing_for_hours", "too_even", "low_at_night", "low_all_day")
    return [str(name) for name in np.select(choices, names, default="unlike_its_past")]


def _compute_zero_share(hours_kwh: F64) -> F64:
    """Return the share of hours without energy, (n, n_days, 24) to (n, n_days)."""
    known = ~np.isnan(hours_kwh).any(axis=2)
    return np.where(known, (hours_kwh <= 0).mean(axis=2), np.nan)


def _compute_variation(hours_kwh: F64) -> F64:
    """Return standard deviation over mean of the hours, (n, n_days, 24) to (n, n_days)."""
    mean = hours_kwh.mean(axis=2)
    return np.where(mean > 0, hours_kwh.std(axis=2) / np.maximum(mean, 1e-9), np.nan)


def _average_known_days(days: F64) -> F64:
    """Return the mean over days that are not NaN, (n, n_days) to (n,); NaN for none."""
    known = ~np.isnan(days)
    total = np.where(known, days, 0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)
