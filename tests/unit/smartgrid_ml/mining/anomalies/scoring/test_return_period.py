import numpy as np

from smartgrid_ml.mining.anomalies.scoring.return_period import (
    Prior,
    find_bound,
    fit_daily_maxima,
    score_strangeness,
)

PRIOR = Prior(usual=3.0, reach=4.0, power=0.4)


def unruly_weeks() -> np.ndarray:
    """Six weeks of daily maxima as a load has them that follows the weather: 0.3 to 12."""
    return np.tile([0.3, 12.0, 0.4, 9.0, 0.3, 11.0, 0.5], 6)[None, :]


def test_twice_the_highest_of_six_unruly_weeks_is_an_anomaly_of_a_hundred_days():
    location, scale = fit_daily_maxima(unruly_weeks(), PRIOR)
    assert find_bound(2.0, PRIOR, location=location, scale=scale)[0] < 24.0
    assert score_strangeness(np.array([[24.0]]), PRIOR, location=location, scale=scale)[0, 0] > 2.0


def test_the_highest_day_itself_stays_ordinary():
    location, scale = fit_daily_maxima(unruly_weeks(), PRIOR)
    assert score_strangeness(np.array([[12.0]]), PRIOR, location=location, scale=scale)[0, 0] < 2.0


def test_without_habits_strange_days_do_not_widen_the_fit():
    calm = 3.0 + 0.3 * np.random.default_rng(4).random((1, 35))
    unruly = calm.copy()
    unruly[0, ::2] = 40.0

    bounds = [
        find_bound(3.5, PRIOR, location=location, scale=scale)[0]
        for location, scale in (
            fit_daily_maxima(calm, PRIOR, habits=False),
            fit_daily_maxima(unruly, PRIOR, habits=False),
            fit_daily_maxima(unruly, PRIOR),
        )
    ]

    assert bounds[1] < 1.5 * bounds[0] < 40.0 < bounds[2]


def test_a_series_without_a_past_is_taken_for_a_usual_one():
    unknown = np.full((1, 35), np.nan)
    location, scale = fit_daily_maxima(unknown, PRIOR)
    assert (location[0], scale[0]) == (PRIOR.location, PRIOR.scale)
