"""Energy balances: they close where all is honest and show what nobody counted where it is not."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.contracts.inspections import EnergyBalance, HeadEnergy
from smartgrid_ml.mining.theft.energy_balance import (
    add_technical_losses,
    compute_energy_balance,
    compute_head_energy,
    fit_losses,
    select_watched_nodes,
)

START = datetime(2026, 5, 1, tzinfo=UTC)
NO_LOAD, PER_KWH = 0.4, 0.002


def load(days: int, *, seed: int = 3) -> np.ndarray:
    hour = np.arange(24 * days)
    daily = 20 + 8 * np.sin(hour / 24 * 2 * np.pi)
    return daily * (1 + 0.1 * np.random.default_rng(seed).normal(size=len(hour)))


def hours(
    head: np.ndarray, *, stolen: np.ndarray | float = 0.0, noise: float = 0.0
) -> pl.DataFrame:
    """Rows of `HeadEnergy` of one transformer with known losses."""
    lost = NO_LOAD + PER_KWH * head**2
    error = noise * np.random.default_rng(5).normal(size=len(head))
    return pl.DataFrame(
        {
            "node_id": "T1",
            "node_kind": "transformer",
            "hour_start": [START + timedelta(hours=n) for n in range(len(head))],
            "head_kwh": head,
            "metered_kwh": head - lost - stolen + error,
            "meters": pl.Series([3] * len(head), dtype=pl.Int32),
            "expected_meters": pl.Series([3] * len(head), dtype=pl.Int32),
            "estimated_share": 0.0,
        }
    ).with_columns(pl.col("hour_start").cast(pl.Datetime("us", "UTC")))


def test_losses_of_an_honest_transformer_are_found_again():
    losses = fit_losses(hours(load(30)).with_columns(day=pl.col("hour_start").dt.date()))
    assert losses is not None
    assert losses.no_load_kwh == pytest.approx(NO_LOAD, rel=1e-6)
    assert losses.per_kwh == pytest.approx(PER_KWH, rel=1e-6)


@given(seed=st.integers(0, 999), days=st.integers(12, 30))
def test_the_balance_of_an_honest_feeder_closes(seed, days):
    balance = compute_energy_balance(add_technical_losses(hours(load(days, seed=seed), noise=0.02)))
    EnergyBalance.validate(balance)
    assert balance.height == days
    # Two tenths of a percent of what enters is what instruments are allowed.
    allowed = np.maximum(balance["band_kwh"].to_numpy(), 0.002 * balance["head_kwh"].to_numpy())
    assert (np.abs(balance["unexplained_kwh"].to_numpy()) <= 1.5 * allowed).all()
    closes = balance["head_kwh"] - balance["metered_kwh"] - balance["loss_kwh"]
    assert np.allclose(closes, balance["unexplained_kwh"])


def test_a_theft_that_lasts_two_thirds_of_the_time_is_not_taken_for_a_loss():
    head = load(60)
    night = np.arange(len(head)) % 24 < 6
    stolen = np.where(night & (np.arange(len(head)) >= 24 * 20), 0.5, 0.0)
    balance = compute_energy_balance(add_technical_losses(hours(head, stolen=stolen, noise=0.02)))
    assert balance["is_beyond"].to_list() == [False] * 20 + [True] * 40
    assert balance["unexplained_kwh"][20:].mean() == pytest.approx(3.0, abs=0.2)


def test_few_days_say_nothing_about_losses():
    balance = compute_energy_balance(add_technical_losses(hours(load(5))))
    assert balance["unexplained_kwh"].null_count() == 5
    assert balance["is_beyond"].null_count() == 5


def test_hours_without_all_meters_or_without_the_head_are_left_out():
    rows = hours(load(12)).with_columns(
        meters=pl.when(pl.int_range(pl.len()) < 3).then(2).otherwise(3).cast(pl.Int32),
        head_kwh=pl.when(pl.int_range(pl.len()) != 30).then("head_kwh"),
    )
    assert compute_energy_balance(add_technical_losses(rows))["hours"].to_list()[:3] == [21, 23, 24]


def test_nothing_to_balance_is_no_error():
    nothing = add_technical_losses(hours(load(1)).clear())
    assert nothing.is_empty()
    assert compute_energy_balance(nothing).is_empty()


TOPOLOGY = pl.DataFrame(
    [
        ("SUB", "substation", None),
        ("F1", "feeder", "SUB"),
        ("T1", "transformer", "F1"),
        ("S-T1", "sensor", "T1"),
        ("S-M1", "sensor", "M1"),
        ("M1", "meter", "T1"),
    ],
    schema=["node_id", "node_kind", "parent_id"],
    orient="row",
)
PLACES = pl.DataFrame(
    {
        "meter_id": ["M1", "M2", "PV"],
        "customer_kind": ["household", None, "pv"],
        "transformer_id": "T1",
        "feeder_id": "F1",
        "substation_id": "SUB",
    }
)


def power(values: list[tuple[float, float, float, int]]) -> pl.DataFrame:
    """Aggregates of S-T1: mean, least, largest power and the readings of each hour."""
    mean, least, most, count = zip(*values, strict=True)
    return pl.DataFrame(
        {
            "sensor_id": "S-T1",
            "sensor_type": "power",
            "hour_bucket": [START + timedelta(hours=n) for n in range(len(values))],
            "avg_value": mean,
            "min_value": least,
            "max_value": most,
            "count": count,
            "expected_count": 4,
        }
    ).with_columns(pl.col("hour_bucket").cast(pl.Datetime("us", "UTC")))


def energy(hour: int, **kwh: float) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "meter_id": list(kwh),
            "interval_start": START + timedelta(hours=hour),
            "interval_minutes": 60,
            "energy_kwh": list(kwh.values()),
            "is_estimated": [meter == "M2" for meter in kwh],
        }
    ).with_columns(pl.col("interval_start").cast(pl.Datetime("us", "UTC")))


def test_a_sensor_watches_the_node_that_it_hangs_on_if_that_is_above_meters():
    assert select_watched_nodes(TOPOLOGY).rows() == [("S-T1", "T1", "transformer")]


def test_feed_in_is_taken_off_and_a_stuck_or_halting_sensor_is_not_believed():
    rows = compute_head_energy(
        power([(5.0, 4.0, 6.0, 4), (5.0, 5.0, 5.0, 4), (5.0, 4.0, 6.0, 3), (0.0, 0.0, 0.0, 4)]),
        pl.concat([energy(0, M1=3.0, M2=1.0, PV=0.5), energy(1, M1=3.0)]),
        nodes=select_watched_nodes(TOPOLOGY),
        places=PLACES,
    )
    HeadEnergy.validate(rows, cast=True)
    assert rows.select("head_kwh", "metered_kwh", "meters", "expected_meters").rows() == [
        (5.0, 3.5, 3, 3),
        (None, 3.0, 1, 3),
        (None, None, 0, 3),
        (0.0, None, 0, 3),
    ]
    assert rows["estimated_share"][0] == pytest.approx(1.0 / 4.5)
