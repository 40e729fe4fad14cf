"""Energy-balance evidence: what a node misses speaks against who hides it, not the neighbours."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from smartgrid_ml.mining.theft.balance_evidence import (
    BALANCE_EVIDENCE,
    build_node_hours,
    estimate_expected_hours,
    find_nearest_nodes,
    measure_balance_evidence,
    sum_to_hours,
)
from tests.unit.smartgrid_ml.mining.theft.homes import homes

DAYS, BAND = 28, np.array([0.1, 0.1])
HOMES = homes(2, days=DAYS, seed=4)
TRUE = sum_to_hours(HOMES.energy_kwh)
USUAL = np.repeat(TRUE.mean(axis=1, keepdims=True), DAYS, axis=1)
NIGHT = np.isin(np.arange(24), [22, 23, 0, 1, 2, 3, 4])


def measure(reported: np.ndarray, missing: np.ndarray) -> dict[str, np.ndarray]:
    evidence = measure_balance_evidence(
        reported,
        expected_kwh=USUAL,
        unexplained_kwh=np.stack([missing, missing]),
        band_kwh=BAND,
    )
    return dict(zip(BALANCE_EVIDENCE, evidence.T, strict=True))


def test_a_bypass_at_night_is_followed_by_what_the_node_misses():
    reported = TRUE.copy()
    reported[0][:, NIGHT] *= 0.3
    evidence = measure(reported, (TRUE - reported)[0])
    assert evidence["follows_counted"][0] == pytest.approx(1.0)
    assert abs(evidence["follows_counted"][1]) < 0.2
    assert evidence["fit"][0] > evidence["fit"][1]
    assert (evidence["excess"] > 0).all()


def test_a_meter_that_counts_nothing_is_followed_by_its_gap():
    reported = TRUE.copy()
    reported[0, 14:] = 0
    evidence = measure(reported, (TRUE - reported)[0])
    assert evidence["follows_gap"][0] > 0.9
    assert abs(evidence["follows_gap"][1]) < 0.4


def test_a_node_that_misses_nothing_speaks_against_nobody():
    evidence = measure(TRUE, np.zeros((DAYS, 24)))
    assert (evidence["excess"] == 0).all()
    assert (evidence["follows_counted"] == 0).all()


def test_too_few_hours_in_common_say_nothing():
    missing = np.full((DAYS, 24), np.nan)
    missing[:2] = 0.1
    assert all(np.isnan(values).all() for values in measure(TRUE, missing).values())


def test_what_is_expected_is_the_past_moved_as_peers_moved():
    judged = slice(20, DAYS)
    moves = np.full(8, np.log(2.0))
    moves[0] = np.nan
    trusted = np.ones((2, DAYS), dtype=bool)
    trusted[1, :20] = False
    expected = estimate_expected_hours(HOMES, trusted=trusted, judged=judged, peer_moves=moves)
    past = TRUE[0, :20].mean(axis=0)
    assert np.allclose(expected[0, 0], past)
    assert np.allclose(expected[0, 1], 2 * past)
    assert np.isnan(expected[1]).all()


def test_a_meter_is_held_to_the_nearest_node_with_a_balance():
    places = pl.DataFrame(
        {
            "meter_id": ["M1", "M2", "M3"],
            "transformer_id": ["T1", "T2", "T3"],
            "feeder_id": ["F1", "F1", "F2"],
            "substation_id": "SUB",
        }
    )
    assert find_nearest_nodes(places, node_ids=("F1", "T1")) == {"M1": 1, "M2": 0}


def test_hours_of_a_node_stand_at_their_local_hour():
    start = datetime(2026, 6, 9, 22, tzinfo=UTC)
    rows = pl.DataFrame(
        {
            "node_id": ["T1", "T1", "T2"],
            "hour_start": [start, start + timedelta(hours=1), start],
            "unexplained_kwh": [1.0, 2.0, None],
            "band_kwh": [0.5, 0.5, None],
        }
    ).with_columns(pl.col("hour_start").cast(pl.Datetime("us", "UTC")))
    day = date(2026, 6, 10)
    hours = build_node_hours(rows, first=day, last=day, timezone=ZoneInfo("Europe/Tirane"))
    assert hours.node_ids == ("T1",)
    assert hours.band_kwh.tolist() == [0.5]
    assert hours.unexplained_kwh[0, 0, :2].tolist() == [1.0, 2.0]
    assert np.isnan(hours.unexplained_kwh[0, 0, 2:]).all()
