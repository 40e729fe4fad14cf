"""Energy-balance evidence: does the energy that a node misses move with what a meter would hide?"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from smartgrid_core.arrays import F32, F64, I64, Bool
from smartgrid_ml.mining.theft.meter_days import HOURS, MeterDays

NEAREST_FIRST = ("transformer_id", "feeder_id", "substation_id")
"""The fewer meters below a node, the more its balance says about each."""

LEAST_HOURS = 24 * 4
"""With fewer hours in common than four days' a correlation of two series means nothing."""

BALANCE_EVIDENCE = ("follows_counted", "follows_gap", "excess", "fit")
"""Columns of `measure_balance_evidence`."""


@dataclass(frozen=True, slots=True)
class NodeHours:
    """Unexplained energy of balanced nodes by local day and local hour."""

    node_ids: tuple[str, ...]
    """In alphabetical order, (n_nodes,)."""
    unexplained_kwh: F64
    """(n_nodes, n_days, 24); NaN where the balance is not known."""
    band_kwh: F64
    """How far the unexplained energy of a calm day strays from zero, (n_nodes,)."""


@dataclass(frozen=True, slots=True)
class BalancedGrid:
    """The balances of the judged days, and the node against which each meter is held."""

    nodes: NodeHours
    node_of: dict[str, int]
    """The position in `nodes` of the nearest balanced node, by meter_id, for meters that have one.
    """

    def match_meters(self, meter_ids: Iterable[str]) -> I64:
        """Return the position of each meter's node, (n_meters,); -1 for a meter without one."""
        return np.array([self.node_of.get(meter, -1) for meter in meter_ids], dtype=np.int64)


def build_node_hours(
    hours: pl.DataFrame, *, first: date, last: date, timezone: ZoneInfo
) -> NodeHours:
    """Return the unexplained energy of every node whose technical losses are known.

    Args:
        hours: One row per node and hour, as `add_technical_losses` returns them.
        first: The first local day.
        last: The last local day, included.
        timezone: Decides which local day and hour an hour belongs to; the two hours that autumn
            repeats are averaged.
    """
    n_days = (last - first).days + 1
    local = pl.col("hour_start").dt.convert_time_zone(timezone.key)
    rows = (
        hours.filter(pl.col("unexplained_kwh").is_not_null())
        .with_columns(
            at_day=(local.dt.date() - pl.lit(first)).dt.total_days().cast(pl.Int32),
            at_hour=local.dt.hour(),
        )
        .filter(pl.col("at_day").is_between(0, n_days - 1))
        .group_by("node_id", "at_day", "at_hour")
        .agg(pl.col("unexplained_kwh", "band_kwh").mean())
    )
    node_ids = rows["node_id"].unique().sort()
    unexplained = np.full((len(node_ids), n_days, HOURS), np.nan)
    position = node_ids.search_sorted(rows["node_id"]).to_numpy()
    unexplained[position, rows["at_day"].to_numpy(), rows["at_hour"].to_numpy()] = rows[
        "unexplained_kwh"
    ]
    band = np.full(len(node_ids), np.nan)
    band[position] = rows["band_kwh"]
    return NodeHours(tuple(node_ids.to_list()), unexplained, band)


def find_nearest_nodes(places: pl.DataFrame, *, node_ids: tuple[str, ...]) -> dict[str, int]:
    """Return the position in `node_ids` of the nearest node above each meter that has one.

    ``places``: rows of `MeterPlaces`; ``node_ids``: the nodes with a balance.
    """
    position = {node: number for number, node in enumerate(node_ids)}
    nearest: dict[str, int] = {}
    for meter, *above in places.select("meter_id", *NEAREST_FIRST).iter_rows():
        balanced = [position[node] for node in above if node in position]
        if balanced:
            nearest[meter] = balanced[0]
    return nearest


def sum_to_hours(energy_kwh: F32) -> F64:
    """Return slots of a day summed to hours: (..., n_slots) to float64 (..., 24), kWh.

    >>> sum_to_hours(np.full(48, 0.5, dtype=np.float32))[:3]
    array([1., 1., 1.])
    """
    n_slots = energy_kwh.shape[-1]
    by_hour = energy_kwh.reshape(*energy_kwh.shape[:-1], HOURS, n_slots // HOURS)
    summed: F64 = by_hour.sum(axis=-1, dtype=np.float64)
    return summed


def estimate_expected_hours(
    meters: MeterDays, *, trusted: Bool, judged: slice, peer_moves: F64
) -> F64:
    """Return what each meter should count in each hour of the judged days, kWh.

    It is the meter's mean in that hour over the trusted days before, times the factor by which the
    days of its peers differ from theirs.

    Args:
        meters: The meters, with the judged days and those before them.
        trusted: Which days count as a clean past, (n_meters, n_days).
        judged: Positions of the judged days.
        peer_moves: How far the judged days of peers lie from what is usual, a natural logarithm,
            (n_judged,); NaN counts as no move.

    Returns:
        float64 (n_meters, n_judged, 24); NaN for a meter without a past.
    """
    before = trusted[:, : judged.start] & meters.is_whole[:, : judged.start]
    past = np.where(before[:, :, None], sum_to_hours(meters.energy_kwh[:, : judged.start]), 0.0)
    days = before.sum(axis=1)[:, None]
    # mean day of each meter, (n_meters, 24)
    profile = np.where(days > 0, past.sum(axis=1) / np.maximum(days, 1), np.nan)
    factor = np.exp(np.nan_to_num(peer_moves))
    expected: F64 = profile[:, None, :] * factor[None, :, None]
    return expected


def measure_balance_evidence(
    reported_kwh: F64, *, expected_kwh: F64, unexplained_kwh: F64, band_kwh: F64
) -> F64:
    """Return how the balance of its node speaks for or against each meter.

    Args:
        reported_kwh: What the meter counted, (n, n_days, 24), kWh; NaN is missing.
        expected_kwh: What it should count, of the same shape; NaN is unknown.
        unexplained_kwh: What its node misses, of the same shape; NaN is unknown.
        band_kwh: How much unexplained energy of a day is usual at the node, (n,).

    Returns:
        Columns BALANCE_EVIDENCE, (n, 4); NaN for fewer than LEAST_HOURS hours in common.
        `follows_counted`: correlation of the unexplained energy with what the meter still counts
        within the same hour of the day, over days that miss more than the band; hours weigh by the
        variance of their unexplained energy. A bypass takes the same share of everything.
        `follows_gap`: correlation of the unexplained energy with expected - reported, over all
        hours. `excess`: log(1 + mean unexplained energy of a day / band). `fit`: minus the size of
        log((gap + band) / (unexplained + band)), 0 where the meter hides what the node misses.
    """
    known = ~(np.isnan(reported_kwh) | np.isnan(expected_kwh) | np.isnan(unexplained_kwh))
    hours = known.sum(axis=(1, 2))
    reported = np.where(known, reported_kwh, np.nan)
    missing = np.where(known, unexplained_kwh, np.nan)
    gap = np.where(known, expected_kwh - reported_kwh, np.nan)

    follows_counted = _correlate_on_missing_days(reported, missing, band_kwh=band_kwh)
    follows_gap = _compute_moments(gap, missing, axis=(1, 2)).correlation

    # mean of a whole day, (n,)
    days = np.maximum(hours / HOURS, 1)
    missing_a_day = np.maximum(np.nansum(missing, axis=(1, 2)) / days, 0)
    gap_a_day = np.maximum(np.nansum(gap, axis=(1, 2)) / days, 0)
    excess = np.log1p(missing_a_day / band_kwh)
    fit = -np.abs(np.log((gap_a_day + band_kwh) / (missing_a_day + band_kwh)))

    columns = np.stack([follows_counted, follows_gap, excess, fit], axis=1)
    return np.where((hours >= LEAST_HOURS)[:, None], columns, np.nan)


def _correlate_on_missing_days(reported_kwh: F64, missing_kwh: F64, *, band_kwh: F64) -> F64:
    """Return the correlation hour by hour over days that miss more than the band, (n,).

    Both energies are (n, n_days, 24), NaN at the same places; ``band_kwh``: (n,). 0 where fewer
    days than LEAST_HOURS miss more.
    """
    beyond = np.nansum(missing_kwh, axis=2) > band_kwh[:, None]
    beyond &= (beyond.sum(axis=1) >= LEAST_HOURS // HOURS)[:, None]
    # one correlation per hour of the day, (n, 24)
    by_hour = _compute_moments(
        np.where(beyond[:, :, None], reported_kwh, np.nan),
        np.where(beyond[:, :, None], missing_kwh, np.nan),
        axis=1,
    )
    weight = by_hour.second_variance
    weighted = (by_hour.correlation * weight).sum(axis=1)
    mean: F64 = weighted / np.maximum(weight.sum(axis=1), 1e-9)
    return mean


@dataclass(frozen=True, slots=True)
class _Moments:
    """Second moments of two arrays along axes; 0 where nothing is known."""

    covariance: F64
    first_variance: F64
    second_variance: F64

    @property
    def correlation(self) -> F64:
        """0 where nothing varies."""
        size = np.sqrt(np.maximum(self.first_variance * self.second_variance, 1e-12))
        correlation: F64 = self.covariance / size
        return correlation


def _compute_moments(first: F64, second: F64, *, axis: int | tuple[int, ...]) -> _Moments:
    """Return the moments along `axis`; both arrays are NaN at the same places."""
    known = ~np.isnan(first)
    n = np.maximum(known.sum(axis=axis, keepdims=True), 1)
    first, second = np.where(known, first, 0), np.where(known, second, 0)
    first = np.where(known, first - first.sum(axis=axis, keepdims=True) / n, 0)
    second = np.where(known, second - second.sum(axis=axis, keepdims=True) / n, 0)
    count = n.squeeze(axis)
    return _Moments(
        (first * second).sum(axis=axis) / count,
        (first * first).sum(axis=axis) / count,
        (second * second).sum(axis=axis) / count,
    )
