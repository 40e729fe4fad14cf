"""The balance of what has a sensor at its head: what enters, what meters count, what is lost."""

from dataclasses import dataclass

import dataframely as dy
import numpy as np
import polars as pl

from smartgrid_core.aggregates.feeder import FEED_IN_KINDS
from smartgrid_core.arrays import F64
from smartgrid_core.contracts.inspections import EnergyBalance, HeadEnergy
from smartgrid_core.topology import ABOVE_A_METER

CALM_SHARE = 1 / 3
"""Losses are first fitted on the third of the days that miss least: theft only adds, and it may
have gone on for most of the days."""

LEAST_CALM_DAYS = 4
"""Fewer whole days than that say nothing about losses."""

SIGMAS = 4.0
"""Half the width of the band, in robust standard deviations of calm days: one false alarm in
thousands of node-days."""

LEAST_BAND_SHARE = 0.002
LEAST_BAND_KWH = 0.05
"""The band is at least that share of the energy at the head and that much: class 0.2 transformers
and meters measure no better (IEC 61869-2, IEC 62053-22)."""

REWEIGHTINGS = 10
"""Rounds at most until the calm days stay the same."""


def select_watched_nodes(topology: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return each sensor that hangs on a node above meters: sensor_id, node_id, node_kind."""
    nodes = topology.lazy().select("node_id", "node_kind", "parent_id")
    return (
        nodes.filter(pl.col("node_kind") == "sensor")
        .select(sensor_id="node_id", node_id="parent_id")
        .join(nodes.select("node_id", "node_kind"), on="node_id")
        .filter(pl.col("node_kind").is_in(ABOVE_A_METER))
        .sort("sensor_id")
        .collect()
    )


def compute_head_energy(
    aggregates: pl.DataFrame | pl.LazyFrame,
    consumption: pl.DataFrame | pl.LazyFrame,
    *,
    nodes: pl.DataFrame,
    places: pl.DataFrame,
) -> pl.DataFrame:
    """Return rows of `HeadEnergy`, ordered by key, one per node and hour with measured power.

    A meter whose intervals do not cover the hour is not counted among `meters`.

    Args:
        aggregates: Rows of `SensorAggregates`.
        consumption: Rows of `MeterConsumption`.
        nodes: Sensors and the nodes that they watch, as `select_watched_nodes` returns them.
        places: Rows of `MeterPlaces`.
    """
    above = pl.concat(
        [
            places.lazy().select("meter_id", "customer_kind", node_id=f"{kind}_id")
            for kind in ABOVE_A_METER
        ]
    ).join(nodes.lazy().select("node_id").unique(), on="node_id")
    expected = above.group_by("node_id").agg(expected_meters=pl.len().cast(pl.Int32))
    metered = _sum_metered_energy(consumption.lazy(), above=above)
    share = (pl.col("estimated_kwh") / pl.col("gross_kwh")).fill_nan(0).fill_null(0).clip(0, 1)
    return (
        _sum_head_energy(aggregates.lazy(), nodes=nodes.lazy())
        .join(expected, on="node_id")
        .join(metered, on=["node_id", "hour_start"], how="left")
        .with_columns(pl.col("meters").fill_null(0), estimated_share=share)
        .select(HeadEnergy.column_names())
        .sort("node_id", "hour_start")
        .collect()
    )


def _sum_head_energy(aggregates: pl.LazyFrame, *, nodes: pl.LazyFrame) -> pl.LazyFrame:
    """Return node_id, node_kind, hour_start, head_kwh; null where a sensor is not to be trusted.

    ``aggregates``: rows of `SensorAggregates`; ``nodes``: columns sensor_id, node_id, node_kind.
    """
    stood_still = (pl.col("count") > 1) & (pl.col("min_value") == pl.col("max_value"))
    is_known = (pl.col("count") >= pl.col("expected_count")) & ~(
        stood_still & (pl.col("avg_value") != 0)
    )
    power = aggregates.filter(pl.col("sensor_type") == "power").join(nodes, on="sensor_id")
    # A sensor that is silent for an hour has no row in it: a sum without it is no node's power.
    watching = power.group_by("node_id").agg(sensors=pl.col("sensor_id").n_unique())
    return (
        power.join(watching, on="node_id")
        .group_by("node_id", "node_kind", hour_start="hour_bucket")
        .agg(
            head_kwh=pl.when(is_known.all(), pl.len() == pl.col("sensors").first()).then(
                pl.col("avg_value").sum()
            )
        )
    )


def _sum_metered_energy(consumption: pl.LazyFrame, *, above: pl.LazyFrame) -> pl.LazyFrame:
    """Return node_id, hour_start, metered_kwh (net), gross_kwh, estimated_kwh, meters.

    ``consumption``: rows of `MeterConsumption`; ``above``: columns meter_id, customer_kind, node_id
    of every watched node above a meter.
    """
    sign = pl.when(pl.col("customer_kind").is_in(FEED_IN_KINDS)).then(-1.0).otherwise(1.0)
    return (
        consumption.group_by("meter_id", hour_start=pl.col("interval_start").dt.truncate("1h"))
        .agg(
            pl.col("energy_kwh").sum(),
            pl.col("interval_minutes").sum().alias("minutes"),
            estimated_kwh=pl.col("energy_kwh").filter("is_estimated").sum(),
        )
        .filter(pl.col("minutes") >= 60)
        .with_columns(pl.col("energy_kwh", "estimated_kwh") * 60 / pl.col("minutes"))
        .join(above, on="meter_id")
        .group_by("node_id", "hour_start")
        .agg(
            metered_kwh=(pl.col("energy_kwh") * sign).sum(),
            gross_kwh=pl.col("energy_kwh").sum(),
            estimated_kwh=pl.col("estimated_kwh").sum(),
            meters=pl.len().cast(pl.Int32),
        )
    )


@dataclass(frozen=True, slots=True)
class TechnicalLosses:
    """Technical losses of a node: each hour `no_load_kwh` + `per_kwh` * (energy at the head)^2.

    Iron losses do not depend on load, copper losses on the square of the current, which at a steady
    voltage is that of the power.
    """

    no_load_kwh: float
    """Iron losses of an hour."""
    per_kwh: float
    """Copper losses of an hour in which 1 kWh enters, per kWh."""
    band_kwh: float
    """How far the unexplained energy of a calm day strays from zero, beside the share
    LEAST_BAND_SHARE of what enters."""

    def estimate(self, head_kwh: F64) -> F64:
        """Return the losses of each hour, kWh; ``head_kwh``: what enters, (n_hours,)."""
        lost: F64 = self.no_load_kwh + self.per_kwh * head_kwh**2
        return lost


def fit_losses(hours: pl.DataFrame) -> TechnicalLosses | None:
    """Return the losses of one node from its hours: day, head_kwh, metered_kwh, all known.

    Least trimmed squares with reweighting (P. J. Rousseeuw, "Least Median of Squares Regression",
    1984) over whole days: fitted on the CALM_SHARE of days that miss least, then on all days within
    the band, until the same days remain. Coefficients are not negative. None for fewer than
    LEAST_CALM_DAYS calm days.
    """
    from scipy.optimize import nnls

    day, position = np.unique(hours["day"].to_numpy(), return_inverse=True)
    n_calm = int(np.ceil(CALM_SHARE * len(day)))
    if n_calm < LEAST_CALM_DAYS:
        return None
    head = hours["head_kwh"].to_numpy()
    missing = head - hours["metered_kwh"].to_numpy()
    # iron and copper, (n_hours, 2), and what scales each to about 1, (2,)
    causes = np.stack([np.ones_like(head), head**2], axis=1)
    size = np.maximum(np.abs(causes).max(axis=0), 1e-9)
    hours_known = np.bincount(position)

    def sum_by_day(hourly: F64) -> F64:
        return np.bincount(position, weights=hourly) / hours_known * 24

    is_calm = np.zeros(len(day), dtype=bool)
    is_calm[np.argsort(sum_by_day(missing), kind="stable")[:n_calm]] = True
    losses = None
    for _ in range(REWEIGHTINGS):
        fitted_on = is_calm[position]
        weights, _ = nnls(causes[fitted_on] / size, missing[fitted_on])
        no_load, per_kwh = weights / size
        unexplained = sum_by_day(missing - causes @ (weights / size))
        middle = np.median(unexplained[is_calm])
        spread = 1.4826 * float(np.median(np.abs(unexplained[is_calm] - middle)))
        band = max(SIGMAS * spread, LEAST_BAND_KWH)
        losses = TechnicalLosses(float(no_load), float(per_kwh), band)
        is_within = np.abs(unexplained - middle) <= band
        if is_within.sum() < n_calm or (is_within == is_calm).all():
            break
        is_calm = is_within
    return losses


def add_technical_losses(hours: pl.DataFrame) -> pl.DataFrame:
    """Return the hours in which head and every meter are known, with what is unexplained.

    ``hours``: rows of `HeadEnergy`. Columns node_id, node_kind, hour_start, day, head_kwh,
    metered_kwh, estimated_share, loss_kwh, unexplained_kwh, band_kwh (of a day); the last three are
    null for a node without enough days.
    """
    known = hours.filter(
        pl.col("head_kwh").is_not_null(), pl.col("meters") >= pl.col("expected_meters")
    ).with_columns(day=pl.col("hour_start").dt.date())
    parts = [
        _add_losses_of_node(of_node)
        for of_node in known.sort("node_id", "hour_start").partition_by("node_id")
    ]
    unexplained = pl.col("head_kwh") - pl.col("metered_kwh") - pl.col("loss_kwh")
    return (pl.concat(parts) if parts else _add_unknown_losses(known)).select(
        "node_id",
        "node_kind",
        "hour_start",
        "day",
        "head_kwh",
        "metered_kwh",
        "estimated_share",
        "loss_kwh",
        unexplained_kwh=unexplained,
        band_kwh="band_kwh",
    )


def _add_losses_of_node(hours: pl.DataFrame) -> pl.DataFrame:
    losses = fit_losses(hours)
    if losses is None:
        return _add_unknown_losses(hours)
    return hours.with_columns(
        pl.Series("loss_kwh", losses.estimate(hours["head_kwh"].to_numpy()), dtype=pl.Float64),
        pl.lit(losses.band_kwh, dtype=pl.Float64).alias("band_kwh"),
    )


def _add_unknown_losses(hours: pl.DataFrame) -> pl.DataFrame:
    unknown = pl.lit(None, dtype=pl.Float64)
    return hours.with_columns(loss_kwh=unknown, band_kwh=unknown)


def compute_energy_balance(hours: pl.DataFrame) -> dy.DataFrame[EnergyBalance]:
    """Return rows of `EnergyBalance`, one per node and day, ordered by key.

    ``hours``: as `add_technical_losses` returns them. The band of a day with few hours is that of a
    whole one.
    """
    band = pl.max_horizontal(
        pl.col("band_kwh").first(), LEAST_BAND_SHARE * pl.col("head_kwh").abs().sum()
    )
    is_fitted = pl.col("band_kwh").first().is_not_null()
    days = (
        hours.group_by("node_id", "day")
        .agg(
            pl.col("node_kind").first(),
            pl.len().cast(pl.Int32).alias("hours"),
            pl.col("head_kwh", "metered_kwh").sum(),
            loss_kwh=pl.when(is_fitted).then(pl.col("loss_kwh").sum()),
            unexplained_kwh=pl.when(is_fitted).then(pl.col("unexplained_kwh").sum()),
            band_kwh=pl.when(is_fitted).then(band),
        )
        .with_columns(is_beyond=pl.col("unexplained_kwh") > pl.col("band_kwh"))
        .select(EnergyBalance.column_names())
        .sort("node_id", "day")
    )
    return EnergyBalance.validate(days, cast=True)
