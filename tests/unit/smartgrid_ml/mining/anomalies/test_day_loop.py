"""Days in one call or in many, in any unit, after a past with faults."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from smartgrid_core.time import DAY, HOUR, Window
from smartgrid_ml.mining.anomalies.detect import Detection
from smartgrid_ml.mining.anomalies.episodes import merge_day_parts
from tests.unit.smartgrid_ml.mining.anomalies.hourly_series import (
    DAYS,
    NOON,
    SOME,
    START,
    count_hours_to,
    detect_hourly,
    get_only_anomaly,
    make_hourly_load,
    to_readings,
)

pytestmark = pytest.mark.slow


def faulty() -> pl.DataFrame:
    """Three series with a fault of every lasting kind, some over midnight."""
    shifted, gappy, drifting = (
        make_hourly_load(),
        make_hourly_load(seed=2),
        make_hourly_load(seed=3),
    )
    shifted[count_hours_to(NOON) : count_hours_to(NOON + 3 * DAY)] += 5.0
    shifted[count_hours_to(NOON) - 100] = 40.0
    gappy[count_hours_to(NOON) : count_hours_to(NOON + 30 * HOUR)] = np.nan
    gappy[count_hours_to(NOON) - 150 : count_hours_to(NOON) - 135] = 9.0
    drifting += 0.6 * np.clip((np.arange(len(drifting)) - count_hours_to(NOON)) / 24, 0, 10)
    return to_readings(shifted=shifted, gappy=gappy, drifting=drifting)


GROUPS = pl.DataFrame(
    {"series": ["shifted", "gappy", "drifting"], "peer_group": "homes", "phase_set": "place"}
)


def in_pieces(rows: pl.DataFrame, cuts: list[int], **options) -> Detection:
    """The same readings, judged in several calls, each knowing only the state before it."""
    state, pieces = None, []
    edges = [0, *cuts, DAYS]
    for first, last in pairwise(edges):
        window = Window(START + first * DAY, START + last * DAY)
        of_piece = rows.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
        piece = detect_hourly(of_piece, state=state, end=window.end, **options)
        state = piece.states
        pieces.append(piece)
    parts = pl.concat([piece.parts for piece in pieces])
    return Detection(
        anomalies=merge_day_parts(parts),
        scores=pl.concat([piece.scores for piece in pieces]).sort("series", "time"),
        parts=parts,
        states=state,
    )


@SOME
@given(st.sets(st.integers(1, DAYS - 1), min_size=1, max_size=4).map(sorted))
def test_days_in_one_call_or_in_many_give_the_same_rows(cuts: list[int]):
    rows = faulty()

    whole, pieces = detect_hourly(rows, groups=GROUPS), in_pieces(rows, cuts, groups=GROUPS)

    assert_frame_equal(whole.anomalies, pieces.anomalies)
    assert_frame_equal(whole.scores, pieces.scores)
    assert_frame_equal(whole.states, pieces.states)


def test_day_by_day_gives_the_same_rows_as_all_at_once():
    rows = faulty()

    whole = detect_hourly(rows)

    assert_frame_equal(whole.anomalies, in_pieces(rows, list(range(1, DAYS))).anomalies)
    assert set(whole.anomalies["kind"]) >= {"spike", "level_shift", "missing", "drift"}


def test_a_series_that_is_silent_for_weeks_is_forgotten():
    gone, other = make_hourly_load(days=80), make_hourly_load(seed=2, days=80)
    gone[10 * 24 :] = np.nan

    detection = detect_hourly(to_readings(gone=gone, other=other))

    assert get_only_anomaly(detection)["kind"] == "missing"
    assert detection.states["series"].to_list() == ["other"]


def test_readings_of_a_day_that_the_state_knows_are_refused():
    rows = faulty()

    with pytest.raises(ValueError, match="the state knows 2026-04-12 already"):
        detect_hourly(rows, state=detect_hourly(rows).states)


@SOME
@given(scale=st.floats(0.01, 1000.0), shift=st.floats(-1000.0, 1000.0))
def test_another_unit_scales_the_range_and_keeps_the_scores(scale: float, shift: float):
    values = make_hourly_load(days=25)
    values[20 * 24 + 12] += 8.0
    plain = detect_hourly(to_readings(s=values)).scores
    other = detect_hourly(to_readings(s=values * scale + shift)).scores

    assert_frame_equal(plain.select("score"), other.select("score"), abs_tol=1e-5)
    for edge in ("lower", "upper"):
        expected = (plain[edge] * scale + shift).drop_nulls().to_numpy()
        assert other[edge].drop_nulls().to_numpy() == pytest.approx(
            expected, rel=1e-6, abs=1e-6 * (scale + abs(shift))
        )


@SOME
@given(
    st.sets(st.integers(15 * 24, 40 * 24), min_size=1, max_size=3),
    st.floats(-200.0, 200.0).filter(lambda size: abs(size) > 20),
)
def test_anomalies_of_the_past_hardly_widen_the_range_of_today(hours: set[int], size: float):
    clean, dirty = make_hourly_load(), make_hourly_load()
    dirty[sorted(hours)] += size
    last_day = pl.col("time") >= START + 41 * DAY

    def width(values: np.ndarray) -> float:
        rows = detect_hourly(to_readings(s=values)).scores.filter(last_day)
        return float((rows["upper"] - rows["lower"]).mean())

    assert width(dirty) < 2.0 * width(clean)


def test_readings_without_a_column_of_values_are_refused():
    with pytest.raises(ValueError, match="readings: no column 'value', found series, time"):
        detect_hourly(faulty().drop("value"))


def test_a_state_without_new_readings_or_an_end_has_nothing_to_judge():
    rows = faulty()
    state = detect_hourly(rows).states

    nothing = detect_hourly(rows.clear(), state=state)
    before = detect_hourly(rows.clear(), state=state, end=START)

    for detection in (nothing, before):
        assert detection.anomalies.is_empty()
        assert detection.states.is_empty()


def test_limits_of_a_series_that_is_not_there_change_nothing():
    rows = to_readings(s=make_hourly_load(days=3))
    limits = pl.DataFrame({"series": ["other"], "low": [0.0], "high": [1.0]})

    assert_frame_equal(detect_hourly(rows, limits=limits).scores, detect_hourly(rows).scores)
