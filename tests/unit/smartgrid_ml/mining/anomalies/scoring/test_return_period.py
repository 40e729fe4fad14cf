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
