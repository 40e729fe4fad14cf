"""Gradient boosting: quantile trees on scaled features, widened to an honest P10-P90 band."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from smartgrid_core.features.load import SCALES
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.forecasting.conformal import (
    CALIBRATION_DAYS,
    CALIBRATION_SHARE,
    choose_cautious_offsets,
    count_years_back,
    look_up_offsets,
    split_tail,
)
from smartgrid_ml.forecasting.protocol import QUANTILES
from smartgrid_ml.forecasting.scaling import (
    TARGET,
    FloatArray,
    list_input_names,
    list_load_inputs,
    read_floats,
    scale_inputs,
    select_known_rows,
)

if TYPE_CHECKING:
    import lightgbm as lgb

SMALL_MODEL = {"trees": 150, "learning_rate": 0.1, "most_rows": 40_000}
"""A model just good enough to tell which scale suits the data."""


@dataclass(frozen=True, slots=True)
class BoostingSettings:
    """How the trees are grown. The defaults hold for one series of years and for 90 of months."""

    trees: int = 600
    learning_rate: float = 0.05
    leaves: int = 63
    rows_per_leaf: int = 100
    """At most; a thousandth of the rows where these are few, but 20."""
    feature_share: float = 0.4
    row_share: float = 0.8
    bins: int = 127
    median_seeds: int = 2
    """Boosters for P50, whose outputs are averaged; P10 and P90 have one each."""
    most_rows: int = 100_000
    """Of longer tables so many rows are drawn at random."""
    calibration_share: float = CALIBRATION_SHARE
    calibration_days: int = CALIBRATION_DAYS
    most_calibration_rows: int = 60_000
    """Of more, so many are drawn at random to learn what the band is calibrated with, and so many
    to calibrate it on: a decile needs no more."""
    threads: int = 0
    """Boosters grown at the same time, each by one thread; 0: one per core."""


class BoostingForecaster:
    """LightGBM quantile regression of load in units of the series' size, one for all series.

    Which of SCALES is the size is found out on the last part of the training span, and so is by how
    much P10 and P90 have to move to hold their promise (split-conformal calibration).

    How a prediction is made, which is all that an export has to repeat:

    1. inputs are the columns `feature_names`, in that order, rounded to float32 (as a served model
       gets them) and taken as float64 from there, NaN where unknown;
    2. those in `scaled_features` are divided by `scale_feature`, which is one of the inputs;
    3. for each quantile the outputs of `boosters[quantile]` are averaged;
    4. `offsets[quantile][i]` is added, where i = floor(lead_hours), at most the last index;
    5. the sum is multiplied by `scale_feature`;
    6. the three numbers of a row are sorted: p10, p50, p90.

    A row whose `scale_feature` is unknown gets no forecast (null).
    """

    name = "boosting"
    lead_feature: str = "lead_hours"
    scale_feature: str
    """One of SCALES."""
    feature_names: Sequence[str]
    """Inputs in order: every numeric column but the key and the target, also if never known."""
    scaled_features: Sequence[str]
    """Inputs in the unit of the load, but SCALE, which tells large series from small ones."""
    boosters: "Mapping[float, Sequence[lgb.Booster]]"
    offsets: Mapping[float, FloatArray]
    """Per quantile and whole hour of lead, in scaled units; zeros for the median."""

    def __init__(self, settings: BoostingSettings | None = None) -> None:
        self.settings = settings or BoostingSettings()

    def fit(self, features: pl.DataFrame) -> Self:
        """Learn from the rows whose load and level are known.

        Raises ValueError if no such row is left.
        """
        known = select_known_rows(features)
        self.feature_names = list_input_names(known)
        self.scaled_features = list_load_inputs(self.feature_names)
        settings = self.settings
        head, tail = split_tail(
            known, share=settings.calibration_share, most_days=settings.calibration_days
        )
        tail = _sample_rows(tail, settings.most_calibration_rows)
        self.scale_feature = choose_scale(head, tail, settings=self.settings)
        self.offsets = self._calibrated(head, tail)
        wanted = [(QUANTILES[0], 0), *((0.5, seed) for seed in range(self.settings.median_seeds))]
        self.boosters = self._grown(known, wanted=[*wanted, (QUANTILES[-1], 0)])
        return self

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Columns p10 <= p50 <= p90, in the unit of the load, one row per row given."""
        inputs = self.inputs(features)
        scaled = np.column_stack(
            [
                _average_outputs(self.boosters[quantile], inputs)
                + look_up_offsets(self.offsets[quantile], read_floats(features, self.lead_feature))
                for quantile in QUANTILES
            ]
        )
        loads = np.sort(scaled, axis=1) * read_floats(features, self.scale_feature)[:, np.newaxis]
        return pl.DataFrame(loads, schema=list(OUTPUTS)).fill_nan(None)

    def inputs(self, features: pl.DataFrame) -> FloatArray:
        """What the trees see: float64, (rows, feature_names), scaled, NaN where unknown."""
        return scale_inputs(
            features,
            names=self.feature_names,
            scaled=self.scaled_features,
            scale=self.scale_feature,
        )

    def _grown(
        self, known: pl.DataFrame, *, wanted: Sequence[tuple[float, int]], **changes: Any
    ) -> "dict[float, list[lgb.Booster]]":
        """Boosters per quantile, one for each wanted pair of quantile and seed."""
        import lightgbm as lgb

        settings = replace(self.settings, **changes)
        known = _sample_rows(known, settings.most_rows)
        inputs = self.inputs(known)
        target = read_floats(known, TARGET) / read_floats(known, self.scale_feature)

        def grow(one: tuple[float, int]) -> "lgb.Booster":
            quantile, seed = one
            parameters = _build_parameters(settings, quantile=quantile, seed=seed, rows=len(target))
            names = list(self.feature_names)
            data = lgb.Dataset(inputs, target, feature_name=names, params=parameters)
            return lgb.train(parameters, data, settings.trees)

        # Boosters side by side with a thread each: threads within one spend their time waiting.
        with ThreadPoolExecutor(settings.threads or os.cpu_count()) as pool:
            boosters = list(pool.map(grow, wanted))
        grown: dict[float, list[lgb.Booster]] = {}
        for (quantile, _), booster in zip(wanted, boosters, strict=True):
            grown.setdefault(quantile, []).append(booster)
        return grown

    def _calibrated(self, head: pl.DataFrame, tail: pl.DataFrame) -> dict[float, FloatArray]:
        """How far P10 and P90 must move to be right on the unseen tail; nowhere without one."""
        leads = int(read_floats(pl.concat([head, tail]), self.lead_feature).max()) + 1
        offsets = {quantile: np.zeros(leads) for quantile in QUANTILES}
        if head.is_empty() or tail.is_empty():
            return offsets
        outer = [quantile for quantile in QUANTILES if quantile != 0.5]
        boosters = self._grown(
            head,
            wanted=[(quantile, 0) for quantile in outer],
            most_rows=self.settings.most_calibration_rows,
        )
        inputs = self.inputs(tail)
        actual = read_floats(tail, TARGET) / read_floats(tail, self.scale_feature)
        lead = np.floor(read_floats(tail, self.lead_feature)).astype(int)
        year = count_years_back(tail["issue_time"])
        for quantile in outer:
            missed = actual - _average_outputs(boosters[quantile], inputs)
            offsets[quantile] = choose_cautious_offsets(
                missed, quantile=quantile, lead=lead, year=year, leads=leads
            )
        return offsets


def choose_scale(
    head: pl.DataFrame, tail: pl.DataFrame, *, settings: BoostingSettings | None = None
) -> str:
    """The one of SCALES with which a small model of `head` errs least on `tail`.

    Both are rows of `known_rows`; the calmest scale where either has none.
    """
    if head.is_empty() or tail.is_empty():
        return SCALES[0]
    scout = BoostingForecaster(settings)
    scout.feature_names = list_input_names(head)
    scout.scaled_features = list_load_inputs(scout.feature_names)
    errors = {}
    for scale in SCALES:
        scout.scale_feature = scale
        boosters = scout._grown(head, wanted=[(0.5, 0)], **SMALL_MODEL)
        size = read_floats(tail, scale)
        forecast = _average_outputs(boosters[0.5], scout.inputs(tail)) * size
        errors[scale] = float(np.mean(np.abs(forecast - read_floats(tail, TARGET))))
    return min(errors, key=lambda scale: errors[scale])


def _build_parameters(
    settings: BoostingSettings, *, quantile: float, seed: int, rows: int
) -> dict[str, Any]:
    return {
        "objective": "quantile",
        "alpha": quantile,
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": min(settings.rows_per_leaf, max(20, rows // 1000)),
        "feature_fraction": settings.feature_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1,
        "max_bin": settings.bins,
        "num_threads": 1,
        "seed": seed + 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _sample_rows(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """The rows, or as many of them, drawn at random."""
    return rows.sample(most, seed=1) if rows.height > most else rows


def _average_outputs(boosters: "Sequence[lgb.Booster]", inputs: FloatArray) -> FloatArray:
    threads = os.cpu_count() or 1
    outputs = [
        np.asarray(booster.predict(inputs, num_threads=threads), dtype=np.float64)
        for booster in boosters
    ]
    return np.asarray(np.mean(outputs, axis=0), dtype=np.float64)
