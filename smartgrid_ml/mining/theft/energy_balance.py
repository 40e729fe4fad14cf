"""The balance of what has a sensor at its head: what enters, what meters count, what is lost."""

from dataclasses import dataclass

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from smartgrid_core.aggregates.feeder import FEED_IN_KINDS
from smartgrid_core.contracts.inspections import EnergyBalance, HeadEnergy
from smartgrid_core.topology import ABOVE_A_METER

Floats = NDArray[np.float64]

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


def select_watched_nodes(topology: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Columns sensor_id, node_id, node_kind: each sensor that hangs on a node above meters."""
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
    """Rows of `HeadEnergy`, ordered by key, for every hour in which a node's power is measured.

    ``aggregates``: rows of `SensorAggregates`; ``consumption``: of `MeterConsumption`; ``nodes``:
    as `select_watched_nodes` gives them; ``places``: rows of `MeterPlaces`. A meter whose
    intervals do not
    cover the hour is not counted among `meters`.
    """
    stood_still = (pl.col("count") > 1) & (pl.col("min_value") == pl.col("max_value"))
    is_known = (pl.col("count") >= pl.col("expected_count")) & ~(
        stood_still & (pl.col("avg_value") != 0)
    )
    power = (
        aggregates.lazy()
        .filter(pl.col("sensor_type") == "power")
        .join(nodes.lazy(), on="sensor_id")
    )
    # A sensor that is silent for an hour has no row in it: a sum without it is no node's power.
    watching = power.group_by("node_id").agg(sensors=pl.col("sensor_id").n_unique())
    heads = (
        power.join(watching, on="node_id")
        .group_by("node_id", "node_kind", hour_start="hour_bucket")
        .agg(
            head_kwh=pl.when(is_known.all(), pl.len() == pl.col("sensors").first()).then(
                pl.col("avg_value").sum()
            )
        )
    )
    above = pl.concat(
        [
            places.lazy().select("meter_id", "customer_kind", node_id=f"{kind}_id")
            for kind in ABOVE_A_METER
        ]
    ).join(nodes.lazy().select("node_id").unique(), on="node_id")
    expected = above.group_by("node_id").agg(expected_meters=pl.len().cast(pl.Int32))
    sign = pl.when(pl.col("customer_kind").is_in(FEED_IN_KINDS)).then(-1.0).otherwise(1.0)
    metered = (
        consumption.lazy()
        .group_by("meter_id", hour_start=pl.col("interval_start").dt.truncate("1h"))
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
    share = (pl.col("estimated_kwh") / pl.col("gross_kwh")).fill_nan(0).fill_null(0).clip(0, 1)
    return (
        heads.join(expected, on="node_id")
        .join(metered, on=["node_id", "hour_start"], how="left")
        .with_columns(pl.col("meters").fill_null(0), estimated_share=share)
        .select(HeadEnergy.column_names())
        .sort("node_id", "hour_start")
        .collect()
    )


@dataclass(frozen=True, slots=True)
class TechnicalLosses:
    """Technical losses of a node: each hour `no_load_kwh` + `per_kwh` * (energy at the head)^2.

    Iron losses do not depend on load, copper losses on the square of the current, which at a steady
    voltage is that of the power. `band_kwh` is how far the unexplained energy of a calm day strays
    from zero, beside the share LEAST_BAND_SHARE of what enters.
    """

    no_load_kwh: float
    per_kwh: float
    band_kwh: float

    def in_hours(self, head_kwh: Floats) -> Floats:
        """Losses of each hour, kWh."""
        lost: Floats = self.no_load_kwh + self.per_kwh * head_kwh**2
        return lost


def fit_losses(hours: pl.DataFrame) -> TechnicalLosses | None:
    """Losses of one node from its hours: day, head_kwh, metered_kwh, all known.

    Least trimmed squares with reweighting (P. J. Rousseeuw, "Least Median of Squares Regression",
    1984) over whole days: fitted on the CALM_SHARE of days that miss least, then on all days within
    the band, until the same days remain. Coefficients are not negative. None for fewer than
    LEAST_CALM_DAYS calm days.
    """
    from scipy.optimize import nnls

    day, position = np.unique(hours["day"].to_numpy(), return_inverse=True)
    calm_days = int(np.ceil(CALM_SHARE * len(day)))
    if calm_days < LEAST_CALM_DAYS:
        return None
    head = hours["head_kwh"].to_numpy()
    missing = head - hours["metered_kwh"].to_numpy()
    causes = np.stack([np.ones_like(head), head**2], axis=1)
    size = np.maximum(np.abs(causes).max(axis=0), 1e-9)
    present = np.bincount(position)

    def daily(hourly: Floats) -> Floats:
        return np.bincount(position, weights=hourly) / present * 24

    calm = np.zeros(len(day), dtype=bool)
    calm[np.argsort(daily(missing), kind="stable")[:calm_days]] = True
    losses = None
    for _ in range(REWEIGHTINGS):
        chosen = calm[position]
        weights, _ = nnls(causes[chosen] / size, missing[chosen])
        no_load, per_kwh = weights / size
        unexplained = daily(missing - causes @ (weights / size))
        of_calm = unexplained[calm]
        spread = 1.4826 * float(np.median(np.abs(of_calm - np.median(of_calm))))
        band = max(SIGMAS * spread, LEAST_BAND_KWH)
        losses = TechnicalLosses(float(no_load), float(per_kwh), band)
        within = np.abs(unexplained - np.median(of_calm)) <= band
        if within.sum() < calm_days or (within == calm).all():
            break
        calm = within
    return losses


def add_technical_losses(hours: pl.DataFrame) -> pl.DataFrame:
    """The hours of `HeadEnergy` in which head and every meter are known, with what is unexplained.

    Columns node_id, node_kind, hour_start, day, head_kwh, metered_kwh, estimated_share, loss_kwh,
    unexplained_kwh, band_kwh (of a day); the last three are null for a node without enough days.
    """
    known = hours.filter(
        pl.col("head_kwh").is_not_null(), pl.col("meters") >= pl.col("expected_meters")
    ).with_columns(day=pl.col("hour_start").dt.date())
    parts = []
    for of_node in known.sort("node_id", "hour_start").partition_by("node_id"):
        losses = fit_losses(of_node)
        lost = None if losses is None else losses.in_hours(of_node["head_kwh"].to_numpy())
        parts.append(
            of_node.with_columns(
                pl.Series("loss_kwh", lost, dtype=pl.Float64)
                if lost is not None
                else pl.lit(None, dtype=pl.Float64).alias("loss_kwh"),
                pl.lit(losses and losses.band_kwh, dtype=pl.Float64).alias("band_kwh"),
            )
        )
    if not parts:
        lost_columns = [pl.lit(None, dtype=pl.Float64).alias(n) for n in ("loss_kwh", "band_kwh")]
        parts = [known.with_columns(lost_columns)]
    unexplained = pl.col("head_kwh") - pl.col("metered_kwh") - pl.col("loss_kwh")
    return pl.concat(parts).select(
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


def compute_energy_balance(hours: pl.DataFrame) -> dy.DataFrame[EnergyBalance]:
    """Rows of `EnergyBalance`, ordered by key.

    ``hours``: as `add_technical_losses` gives them. The band of a day with few hours is that of a
    whole one.
    """
    band = pl.max_horizontal(
        pl.col("band_kwh").first(), LEAST_BAND_SHARE * pl.col("head_kwh").abs().sum()
    )
    days = (
        hours.group_by("node_id", "day")
        .agg(
            pl.col("node_kind").first(),
            pl.len().cast(pl.Int32).alias("hours"),
            pl.col("head_kwh", "metered_kwh").sum(),
            *(
                pl.when(pl.col("band_kwh").first().is_not_null()).then(what).alias(name)
                for name, what in (
                    ("loss_kwh", pl.col("loss_kwh").sum()),
                    ("unexplained_kwh", pl.col("unexplained_kwh").sum()),
                    ("band_kwh", band),
                )
            ),
        )
        .with_columns(is_beyond=pl.col("unexplained_kwh") > pl.col("band_kwh"))
        .select(EnergyBalance.column_names())
        .sort("node_id", "day")
    )
    return EnergyBalance.validate(days, cast=True)
