"""Gradient boosting: quantile trees on scaled features, widened to an honest P10-P90 band."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from smartgrid_core.features.load import KEY, LOAD_FEATURES, SCALE
from smartgrid_ml.forecasting.protocol import QUANTILES

if TYPE_CHECKING:
    import lightgbm as lgb

FloatArray = npt.NDArray[np.float64]

TARGET = "load_kw"


@dataclass(frozen=True, slots=True)
class BoostingSettings:
    """How the trees are grown. The defaults hold for one series of years and for 90 of months."""

    trees: int = 800
    learning_rate: float = 0.03
    leaves: int = 63
    rows_per_leaf: int = 50
    feature_share: float = 0.4
    row_share: float = 0.6
    bins: int = 127
    seeds: Sequence[int] = (1,)
    """One booster per seed and quantile; their outputs are averaged."""
    calibration_share: float = 0.2
    """The last part of the training issue times, on which the band is calibrated."""
    calibration_days: int = 365
    """No more than so many days of it."""
    threads: int = 0
    """0: all cores."""


class BoostingForecaster:
    """LightGBM quantile regression of load divided by the series' level, one model for all series.

    How a prediction is made, which is all that an export has to repeat:

    1. inputs are the columns `feature_names`, in that order, float64, NaN where unknown;
    2. those in `scaled_features` are divided by `scale_feature` (itself an input, left as it is);
    3. for each quantile the outputs of `boosters[quantile]` are averaged;
    4. `offsets[quantile][i]` is added, where i = floor(lead_hours), at most the last index;
    5. the sum is multiplied by `scale_feature`;
    6. the three numbers of a row are sorted: p10, p50, p90.

    A row whose `scale_feature` is unknown gets no forecast (null).
    """

    name = "boosting"
    scale_feature: str = SCALE
    lead_feature: str = "lead_hours"
    feature_names: Sequence[str]
    """Inputs in order: every numeric column but the key and the target, also if never known."""
    scaled_features: Sequence[str]
    """Inputs in the unit of the load."""
    boosters: "Mapping[float, Sequence[lgb.Booster]]"
    offsets: Mapping[float, FloatArray]
    """Per quantile and whole hour of lead, in scaled units; zeros for the median."""

    def __init__(self, settings: BoostingSettings | None = None) -> None:
        self.settings = settings or BoostingSettings()

    def fit(self, features: pl.DataFrame) -> Self:
        """Learn from the rows whose load and level are known.

        Raises ValueError if no such row is left.
        """
        known = features.filter(pl.col(TARGET).is_not_null() & pl.col(SCALE).is_not_null())
        if known.is_empty():
            raise ValueError("no row with a known load and 28 days of history before it")
        self.feature_names = tuple(
            name
            for name, dtype in known.schema.items()
            if name not in (*KEY, TARGET) and dtype.is_numeric()
        )
        self.scaled_features = tuple(name for name in self.feature_names if name in LOAD_FEATURES)
        self.offsets = self._calibrated(known)
        self.boosters = self._grown(known, quantiles=QUANTILES)
        return self

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Columns p10 <= p50 <= p90, in the unit of the load, one row per row given."""
        inputs = self.inputs(features)
        scaled = np.column_stack(
            [
                _mean_output(self.boosters[quantile], inputs)
                + _at_lead(self.offsets[quantile], _column(features, self.lead_feature))
                for quantile in QUANTILES
            ]
        )
        loads = np.sort(scaled, axis=1) * _column(features, self.scale_feature)[:, np.newaxis]
        return pl.DataFrame(loads, schema=["p10", "p50", "p90"]).fill_nan(None)

    def inputs(self, features: pl.DataFrame) -> FloatArray:
        """What the trees see: float64, (rows, feature_names), scaled, NaN where unknown."""
        scale = _column(features, self.scale_feature)
        columns = [
            _column(features, name) / scale
            if name in self.scaled_features
            else _column(features, name)
            for name in self.feature_names
        ]
        return np.column_stack(columns)

    def _grown(
        self, known: pl.DataFrame, *, quantiles: Sequence[float]
    ) -> "dict[float, list[lgb.Booster]]":
        import lightgbm as lgb

        inputs = self.inputs(known)
        target = _column(known, TARGET) / _column(known, self.scale_feature)
        names = list(self.feature_names)
        data = lgb.Dataset(inputs, target, feature_name=names, params=self._parameters(0.5, seed=0))
        return {
            quantile: [
                lgb.train(self._parameters(quantile, seed=seed), data, self.settings.trees)
                for seed in self.settings.seeds
            ]
            for quantile in quantiles
        }

    def _parameters(self, quantile: float, *, seed: int) -> dict[str, Any]:
        wanted = self.settings
        return {
            "objective": "quantile",
            "alpha": quantile,
            "learning_rate": wanted.learning_rate,
            "num_leaves": wanted.leaves,
            "min_data_in_leaf": wanted.rows_per_leaf,
            "feature_fraction": wanted.feature_share,
            "bagging_fraction": wanted.row_share,
            "bagging_freq": 1,
            "max_bin": wanted.bins,
            "num_threads": wanted.threads,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }

    def _calibrated(self, known: pl.DataFrame) -> dict[float, FloatArray]:
        """Split-conformal offsets: how far P10 and P90 must move to be right on the unseen tail."""
        leads = int(known[self.lead_feature].max()) + 1  # type: ignore[arg-type]
        offsets = {quantile: np.zeros(leads) for quantile in QUANTILES}
        cut = _calibration_start(known["issue_time"], settings=self.settings)
        head, tail = (
            known.filter(pl.col("hour_start") < cut),
            known.filter(pl.col("issue_time") >= cut),
        )
        if head.is_empty() or tail.is_empty():
            return offsets
        outer = [quantile for quantile in QUANTILES if quantile != 0.5]
        boosters = self._grown(head, quantiles=outer)
        inputs = self.inputs(tail)
        actual = _column(tail, TARGET) / _column(tail, self.scale_feature)
        lead = np.floor(_column(tail, self.lead_feature)).astype(int)
        for quantile in outer:
            missed = actual - _mean_output(boosters[quantile], inputs)
            offsets[quantile] = np.array(
                [np.quantile(part, quantile) for part in _by_lead(missed, lead, leads=leads)]
            )
        return offsets


def _calibration_start(issues: pl.Series, *, settings: BoostingSettings) -> datetime:
    """The first issue time of the calibration tail."""
    times = issues.unique().sort()
    wanted = max(1, round(len(times) * settings.calibration_share))
    per_day = max(1, round(len(times) / max(1, times.dt.date().n_unique())))
    start: datetime = times[-min(wanted, settings.calibration_days * per_day)]
    return start


def _by_lead(values: FloatArray, lead: npt.NDArray[np.int_], *, leads: int) -> Iterator[FloatArray]:
    """Values of each lead and its neighbours; of all leads where these are too few to judge."""
    for hour in range(leads):
        for reach in (1, 3, leads):
            part = values[np.abs(lead - hour) <= reach]
            if len(part) >= 300 or reach == leads:
                yield part
                break


def _at_lead(offsets: FloatArray, lead: FloatArray) -> FloatArray:
    index = np.clip(np.floor(lead).astype(int), 0, len(offsets) - 1)
    return np.asarray(offsets[index], dtype=np.float64)


def _mean_output(boosters: "Sequence[lgb.Booster]", inputs: FloatArray) -> FloatArray:
    outputs = [np.asarray(booster.predict(inputs), dtype=np.float64) for booster in boosters]
    return np.asarray(np.mean(outputs, axis=0), dtype=np.float64)


def _column(frame: pl.DataFrame, name: str) -> FloatArray:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
