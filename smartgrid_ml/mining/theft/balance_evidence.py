"""The second witness: does the energy that a node misses move with what a meter would hide?"""

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from smartgrid_ml.mining.theft.meter_days import HOURS, MeterDays

Doubles = NDArray[np.float64]

NEAREST_FIRST = ("transformer_id", "feeder_id", "substation_id")
"""The fewer meters below a node, the more its balance says about each."""

LEAST_HOURS = 24 * 4
"""Fewer hours in common than four days' say nothing about two series."""

BALANCE_EVIDENCE = ("follows_counted", "follows_gap", "excess", "fit")


@dataclass(frozen=True, slots=True)
class NodeHours:
    """Unexplained energy by node, local day and local hour: (n_nodes, n_days, 24), NaN: unknown.

    ``band_kwh``: how far a calm day's unexplained energy strays from zero, (n_nodes,).
    """

    node_ids: tuple[str, ...]
    unexplained_kwh: Doubles
    band_kwh: Doubles


def build_node_hours(
    hours: pl.DataFrame, *, first: date, last: date, timezone: ZoneInfo
) -> NodeHours:
    """From the rows of `with_losses`; nodes whose losses are known, by node_id."""
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
    """The position of the nearest balanced node above each meter that has one.

    ``places``: rows of `MeterPlaces`.
    """
    position = {node: number for number, node in enumerate(node_ids)}
    nearest: dict[str, int] = {}
    for meter, *above in places.select("meter_id", *NEAREST_FIRST).iter_rows():
        found = [position[node] for node in above if node in position]
        if found:
            nearest[meter] = found[0]
    return nearest


def sum_to_hours(reported_kwh: NDArray[np.float32]) -> Doubles:
    """Slots of a day summed to hours: (..., n_slots) -> float64, (..., 24)."""
    n_slots = reported_kwh.shape[-1]
    split = reported_kwh.reshape(*reported_kwh.shape[:-1], HOURS, n_slots // HOURS)
    summed: Doubles = split.sum(axis=-1, dtype=np.float64)
    return summed


def estimate_expected_hours(
    meters: MeterDays, *, trusted: NDArray[np.bool_], judged: slice, moves: Doubles
) -> Doubles:
    """What each meter would count in each hour of the judged days: (n_meters, n_judged, 24), kWh.

    Its mean in that hour over the trusted days before, times what its peers' days differ from
    theirs: ``moves``, (n_judged,), a logarithm, NaN for unknown. NaN without a past.
    """
    before = trusted[:, : judged.start] & meters.is_whole[:, : judged.start]
    past = np.where(before[:, :, None], sum_to_hours(meters.energy_kwh[:, : judged.start]), 0.0)
    counted = before.sum(axis=1)[:, None]
    profile = np.where(counted > 0, past.sum(axis=1) / np.maximum(counted, 1), np.nan)
    factor = np.exp(np.nan_to_num(moves))
    expected: Doubles = profile[:, None, :] * factor[None, :, None]
    return expected


def measure_balance_evidence(
    reported_kwh: Doubles, *, expected_kwh: Doubles, unexplained_kwh: Doubles, band_kwh: Doubles
) -> Doubles:
    """What the node's balance says of each meter: columns TESTIMONY, (n, 4).

    ``reported_kwh``, ``expected_kwh``, ``unexplained_kwh``: (n, n_days, 24), NaN where unknown;
    ``band_kwh``: (n,). `follows_counted` is the correlation of the unexplained energy with what the
    meter still counts within the same hour of the day, over the days that miss more than the band,
    weighted by how much the hour's unexplained energy varies: a bypass takes the same share of
    everything. `follows_gap` is its correlation
    with expected - told over all hours. `excess` is log(1 + mean unexplained energy of a day /
    band), `fit` minus the size of log((gap + band) / (unexplained + band)): 0 where what the meter
    seems to hide is what the node misses.
    """
    known = ~(np.isnan(reported_kwh) | np.isnan(expected_kwh) | np.isnan(unexplained_kwh))
    told = np.where(known, reported_kwh, np.nan)
    missing = np.where(known, unexplained_kwh, np.nan)
    gap = np.where(known, expected_kwh - reported_kwh, np.nan)
    enough = known.sum(axis=(1, 2)) >= LEAST_HOURS
    days = np.maximum(known.sum(axis=(1, 2)) / HOURS, 1)
    beyond = np.nansum(missing, axis=2) > band_kwh[:, None]
    beyond &= (beyond.sum(axis=1) >= LEAST_HOURS // HOURS)[:, None]
    while_missing = (np.where(beyond[:, :, None], values, np.nan) for values in (told, missing))
    covariance, of_told, of_missing = _compute_moments(*while_missing, axis=1)
    within = covariance / np.sqrt(np.maximum(of_told * of_missing, 1e-12))
    counted = (within * of_missing).sum(axis=1) / np.maximum(of_missing.sum(axis=1), 1e-9)
    covariance, of_gap, of_missing = _compute_moments(gap, missing, axis=(1, 2))
    over_all = covariance / np.sqrt(np.maximum(of_gap * of_missing, 1e-12))
    missing_a_day = np.maximum(np.nansum(missing, axis=(1, 2)) / days, 0)
    gap_a_day = np.maximum(np.nansum(gap, axis=(1, 2)) / days, 0)
    excess = np.log1p(missing_a_day / band_kwh)
    fit = -np.abs(np.log((gap_a_day + band_kwh) / (missing_a_day + band_kwh)))
    said = np.stack([counted, over_all, excess, fit], axis=1)
    return np.where(enough[:, None], said, np.nan)


def _compute_moments(
    a: Doubles, b: Doubles, *, axis: int | tuple[int, ...]
) -> tuple[Doubles, Doubles, Doubles]:
    """Covariance and both variances along axes; 0 where nothing is known. NaN falls on both."""
    known = ~np.isnan(a)
    n = np.maximum(known.sum(axis=axis, keepdims=True), 1)
    a, b = np.where(known, a, 0), np.where(known, b, 0)
    a = np.where(known, a - a.sum(axis=axis, keepdims=True) / n, 0)
    b = np.where(known, b - b.sum(axis=axis, keepdims=True) / n, 0)
    count = n.squeeze(axis)
    return (
        (a * b).sum(axis=axis) / count,
        (a * a).sum(axis=axis) / count,
        (b * b).sum(axis=axis) / count,
    )
