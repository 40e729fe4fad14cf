"""What is remembered, as records and as rows of a table."""

from datetime import date

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.contracts.anomalies import ANOMALY_KINDS, AnomalyStates
from smartgrid_ml.mining.anomalies.episodes import Episode, Evidence
from smartgrid_ml.mining.anomalies.state import (
    ARRAYS,
    EPISODE_FIGURES,
    RUNS,
    STATES,
    DetectorState,
    StateSizes,
)

DAY = date(2026, 3, 29)
SIZES = StateSizes(days=3, slots=2, regressors=2, tail=4)
SPIKE = Episode(10.0, 20.0, {"spike": Evidence(4.0, 12.0, 9.5, 1.0, 5.0)}, {"spike": 0.25})

FIGURES = st.floats(-1e6, 1e6)
EVIDENCE = st.builds(
    Evidence, FIGURES, FIGURES, FIGURES, FIGURES | st.just(np.nan), FIGURES, imbalance_pct=FIGURES
)


@st.composite
def draw_episode(draw) -> Episode:
    worst = draw(st.dictionaries(st.sampled_from(ANOMALY_KINDS), EVIDENCE, min_size=1))
    return Episode(draw(FIGURES), draw(FIGURES), worst, {kind: draw(FIGURES) for kind in worst})


def make_state(episodes: list[Episode | None]) -> DetectorState:
    """A state of series that have had values, every array with figures of its own."""
    rng = np.random.default_rng(3)
    state = DetectorState.create_blank([f"s{row}" for row in range(len(episodes))], SIZES)
    for name in (*ARRAYS, *RUNS):
        array = getattr(state, name)
        array[...] = rng.normal(size=array.shape)
    state.episodes = list(episodes)
    return state


@given(st.lists(st.none() | draw_episode(), max_size=4))
def test_a_state_comes_back_from_its_table_as_it_was(episodes):
    state = make_state(episodes)

    rows = state.to_frame(DAY)
    back = DetectorState.from_frame(rows, SIZES)

    assert rows.schema == STATES
    assert back.series == state.series
    for name in (*ARRAYS, *RUNS):
        np.testing.assert_array_equal(getattr(back, name), getattr(state, name))
    assert [repr(each) for each in back.episodes] == [
        repr(
            each and Episode(each.start_us, each.end_us, in_order(each.worst), in_order(each.hours))
        )
        for each in episodes
    ]


def in_order(by_kind: dict) -> dict:
    return {kind: by_kind[kind] for kind in ANOMALY_KINDS if kind in by_kind}


def test_the_stored_form_of_an_episode_and_of_the_runs_stays():
    row = make_state([SPIKE]).to_frame(DAY).row(0, named=True)

    nothing = [np.nan] * 7
    spike = [4.0, 12.0, 9.5, 1.0, 5.0, np.nan, 0.25]
    assert EPISODE_FIGURES == 51
    np.testing.assert_array_equal(row["spell"], [10.0, 20.0, *spike, *nothing * 6])
    state = make_state([SPIKE])
    assert row["run"] == [getattr(state, name)[0] for name in RUNS]
    assert ["subject_kind", *STATES.names()] == AnomalyStates.column_names()


def test_a_series_that_never_had_a_value_is_not_stored():
    state = make_state([SPIKE, None])
    state.silent_steps[0] = np.nan

    assert state.to_frame(DAY)["series"].to_list() == ["s1"]
    state.silent_steps[1] = np.nan
    assert state.to_frame(DAY).schema == STATES


def test_arrays_of_other_lengths_than_wanted_are_blank():
    rows = make_state([SPIKE]).to_frame(DAY).with_columns(spell=pl.lit([1.0]))
    longer = StateSizes(days=4, slots=2, regressors=2, tail=4)

    back = DetectorState.from_frame(rows.drop("run"), longer)

    assert np.isnan(back.history).all()
    assert np.isfinite(back.tail).all()
    assert back.episodes == [None]
    assert back.still_steps.tolist() == [0.0]


def test_selected_series_keep_what_is_known_and_new_ones_are_blank():
    state = make_state([None, SPIKE])

    chosen = state.select(["new", "s1"], SIZES)

    assert chosen.episodes == [None, SPIKE]
    np.testing.assert_array_equal(chosen.history[1], state.history[1])
    assert np.isnan(chosen.history[0]).all()
    assert state.select(["new"], SIZES).episodes == [None]


def test_a_silent_series_without_any_known_day_is_forgotten():
    state = make_state([SPIKE, SPIKE])
    state.history[0], state.silent_steps[:] = np.nan, 5.0

    state.forget_silent()

    assert state.episodes == [None, SPIKE]
    assert np.isnan(state.silent_steps[0])
    assert state.silent_steps[1] == 5.0
