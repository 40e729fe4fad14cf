"""Limits, imbalance, standstill and silence of a day."""

from datetime import timedelta

import numpy as np

from smartgrid_ml.mining.anomalies.calendar import DayCalendar
from smartgrid_ml.mining.anomalies.scoring.day_scores import DayScores
from smartgrid_ml.mining.anomalies.scoring.score_day import measure_imbalance, score_day
from smartgrid_ml.mining.anomalies.settings import DetectorSettings, DetectorSetup, RowLimits
from smartgrid_ml.mining.anomalies.state import DetectorState, StateSizes

SETTINGS = DetectorSettings(
    step=timedelta(hours=6),
    timezone="UTC",
    country=None,
    history_days=3,
    warm_up_days=2,
    threshold=3.5,
    habits=True,
)
SIZES = StateSizes(days=3, slots=4, regressors=1, tail=7)
CALENDAR = DayCalendar(np.arange(4), np.zeros(4, np.int64), np.zeros((3, 4), np.int64))


def score(values: list[float], *, state: DetectorState | None = None, over: int = 1) -> DayScores:
    """A day of one series that may be 0 to 10, by steps of six hours."""
    limits = RowLimits(np.array([0.0]), np.array([10.0]), np.array([over]), [None])
    setup = DetectorSetup(SETTINGS, ["s"], groups=[], phases=[], limits=limits)
    state = DetectorState.create_blank(["s"], SIZES) if state is None else state
    return score_day(state, np.array([values]), CALENDAR, setup)


def test_a_reading_beyond_its_limit_is_outside_at_once():
    assert score([1.0, 11.0, -1.0, 10.0]).is_outside.tolist() == [[False, True, True, False]]


def test_of_a_span_mean_and_median_have_to_break_the_limit():
    one_wrong = score([1.0, 1.0, 1.0, 90.0], over=4)
    assert one_wrong.mean_in_span.tolist() == [[23.25] * 4]
    assert not one_wrong.is_outside.any()
    assert score([1.0, 12.0, 12.0, 90.0], over=4).is_outside.all()


def test_standstill_and_silence_go_on_from_yesterday():
    state = DetectorState.create_blank(["s"], SIZES)
    state.last_value[:], state.still_steps[:], state.silent_steps[:] = 5.0, 2.0, 0.0

    scores = score([5.0, 5.0, np.nan, np.nan], state=state)

    assert scores.still.tolist() == [[4.0, 5.0, 0.0, 0.0]]
    assert scores.silent.tolist() == [[0.0, 0.0, 1.0, 2.0]]


def test_before_its_first_value_a_series_is_not_silent():
    assert score([np.nan, 5.0, np.nan, 6.0]).silent.tolist() == [[0.0, 0.0, 1.0, 0.0]]


def test_a_series_is_ready_once_the_days_of_its_warm_up_are_known():
    state = DetectorState.create_blank(["s"], SIZES)
    state.history[:, 1:] = 5.0
    assert score([5.0] * 4, state=state).is_ready.tolist() == [True]
    state.history[:, 1] = np.nan
    assert score([5.0] * 4, state=state).is_ready.tolist() == [False]


def test_little_current_is_uneven_by_half_of_what_is_usual():
    values, usual = np.array([[1.0], [3.0]]), np.full((2, 1, 1), 20.0)
    assert measure_imbalance(values, usual, [np.array([0, 1])]).tolist() == [[-10.0], [10.0]]
    nothing = np.zeros((2, 1))
    assert np.isnan(measure_imbalance(nothing, np.full((2, 1, 1), np.nan), [np.arange(2)])).all()
    assert measure_imbalance(values, usual, []).shape == (0, 1)
