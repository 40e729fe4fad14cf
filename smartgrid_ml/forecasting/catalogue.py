"""Which forecasters there are, by name. A new one gets its line here."""

from collections.abc import Callable, Mapping

from smartgrid_ml.forecasting.boosting import BoostingForecaster
from smartgrid_ml.forecasting.naive import NaiveForecaster
from smartgrid_ml.forecasting.protocol import Forecaster


def _keras() -> Forecaster:
    from smartgrid_ml.forecasting.keras_network import KerasForecaster

    return KerasForecaster()


_MAKERS: Mapping[str, Callable[[], Forecaster]] = {
    "naive_24h": lambda: NaiveForecaster("naive_24h", repeats=["same_hour_1d_kw"]),
    "naive_168h": lambda: NaiveForecaster("naive_168h", repeats=["same_hour_7d_kw"]),
    "mean_4_weeks": lambda: NaiveForecaster("mean_4_weeks", repeats=["same_weekday_mean_4w_kw"]),
    "boosting": BoostingForecaster,
    "keras": _keras,
}

FORECASTERS = tuple(_MAKERS)
"""Every name that `forecaster` knows; the naive rows come first."""

NAIVE_ROWS = ("naive_24h", "naive_168h", "mean_4_weeks")
"""What every other model has to beat."""

SERVABLE = ("boosting", "keras")
"""Forecasters that need nothing but the features of a row, and can be exported."""


def forecaster(name: str) -> Forecaster:
    """A fresh, unfitted forecaster. Raises ValueError naming the ones there are."""
    if name not in _MAKERS:
        raise ValueError(f"no forecaster {name!r}; there are {', '.join(FORECASTERS)}")
    return _MAKERS[name]()
