"""Gradient boosting: quantile trees on scaled features, widened to an honest P10-P90 band."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from smartgrid_core.arrays import F64
from smartgrid_core.features.load import SCALES
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.forecasting.conformal import (
    CALIBRATION_DAYS,
    CALIBRATION_SHARE,
    calibrate_offsets,
    look_up_offsets,
    split_tail,
)
from smartgrid_ml.forecasting.protocol import MEDIAN, QUANTILES
from smartgrid_ml.forecasting.scaling import (
    TARGET,
    list_input_names,
    list_load_inputs,
    read_floats,
    scale_inputs,
    select_known_rows,
)

if TYPE_CHECKING:
    import lightgbm as lgb

SMALL_MODEL: Mapping[str, Any] = {"trees": 150, "learning_rate": 0.1, "most_rows": 40_000}
"""Changes of the settings: a model just good enough to tell which scale suits the data."""

MOST_CHOSEN_SCALES = 16
"""So many choices are remembered: the forecasters of a backtest learn from the same few spans."""

_CHOSEN_SCALES: dict[str, str] = {}
"""The chosen scale by the fingerprint of the rows and settings that it was chosen by."""


@dataclass(frozen=True, slots=True)
class BoostingSettings:
    """How the trees are grown. The defaults hold for one series of years and for 90 of months."""

    trees: int = 600
    """Of every booster."""
    learning_rate: float = 0.05
    """What of each tree's answer is added."""
    leaves: int = 63
    """Of a tree, at most."""
    rows_per_leaf: int = 100
    """At most; a thousandth of the rows where these are few, but 20."""
    feature_share: float = 0.4
    """Of the inputs, drawn for every tree."""
    row_share: float = 0.8
    """Of the rows, drawn for every tree."""
    bins: int = 127
    """Steps in which an input is seen."""
    median_seeds: int = 2
    """Boosters for P50, whose outputs are averaged; P10 and P90 have one each."""
    most_rows: int = 100_000
    """Of longer tables so many rows are drawn at random."""
    calibration_share: float = CALIBRATION_SHARE
    """The last part of the training issue times, on which scale and band are chosen."""
    calibration_days: int = CALIBRATION_DAYS
    """At most so many days of it."""
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
    """Hours from issue to target hour."""
    scale_feature: str
    """The size of the series; one of SCALES."""
    feature_names: Sequence[str]
    """Inputs in order: every numeric column but the key and the target, also if never known."""
    scaled_features: Sequence[str]
    """Inputs in the unit of the load, but SCALE, which tells large series from small ones."""
    boosters: "Mapping[float, Sequence[lgb.Booster]]"
    offsets: Mapping[float, F64]
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
        self.scale_feature = choose_scale(head, tail, settings=settings)
        self.offsets = self._calibrate(head, tail)
        median = [(MEDIAN, seed) for seed in range(settings.median_seeds)]
        self.boosters = self._grow_boosters(
            known, pairs=[(QUANTILES[0], 0), *median, (QUANTILES[-1], 0)], settings=settings
        )
        return self

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return columns p10 <= p50 <= p90, in the unit of the load, one row per row given."""
        inputs = self.build_inputs(features)
        lead_hours = read_floats(features, self.lead_feature)
        # quantiles in units of the size, (rows, 3)
        scaled = np.column_stack(
            [
                _average_outputs(self.boosters[quantile], inputs)
                + look_up_offsets(self.offsets[quantile], lead_hours)
                for quantile in QUANTILES
            ]
        )
        loads = np.sort(scaled, axis=1) * read_floats(features, self.scale_feature)[:, np.newaxis]
        return pl.DataFrame(loads, schema=list(OUTPUTS)).fill_nan(None)

    def build_inputs(self, features: pl.DataFrame) -> F64:
        """Return what the trees see: float64 (rows, feature_names), scaled, NaN where unknown."""
        return scale_inputs(
            features,
            names=self.feature_names,
            scaled=self.scaled_features,
            scale=self.scale_feature,
        )

    def _grow_boosters(
        self,
        known: pl.DataFrame,
        *,
        pairs: Sequence[tuple[float, int]],
        settings: BoostingSettings,
    ) -> "dict[float, list[lgb.Booster]]":
        """Return boosters per quantile, one for each of the pairs of quantile and seed."""
        import lightgbm as lgb

        known = _sample_rows(known, settings.most_rows)
        inputs = self.build_inputs(known)
        target = read_floats(known, TARGET) / read_floats(known, self.scale_feature)

        def grow_booster(pair: tuple[float, int]) -> "lgb.Booster":
            quantile, seed = pair
            parameters = _build_parameters(settings, quantile=quantile, seed=seed, rows=len(target))
            names = list(self.feature_names)
            data = lgb.Dataset(inputs, target, feature_name=names, params=parameters)
            return lgb.train(parameters, data, settings.trees)

        # Boosters side by side with a thread each: threads within one spend their time waiting.
        with ThreadPoolExecutor(settings.threads or os.cpu_count()) as pool:
            grown = list(pool.map(grow_booster, pairs))
        boosters: dict[float, list[lgb.Booster]] = {}
        for (quantile, _), booster in zip(pairs, grown, strict=True):
            boosters.setdefault(quantile, []).append(booster)
        return boosters

    def _calibrate(self, head: pl.DataFrame, tail: pl.DataFrame) -> dict[float, F64]:
        """Return how far P10 and P90 must move to be right on the unseen tail, (leads,) each.

        They are not moved where either part has no row.
        """
        n_leads = int(read_floats(pl.concat([head, tail]), self.lead_feature).max()) + 1
        if head.is_empty() or tail.is_empty():
            return {quantile: np.zeros(n_leads) for quantile in QUANTILES}
        boosters = self._grow_boosters(
            head,
            pairs=[(quantile, 0) for quantile in QUANTILES if quantile != MEDIAN],
            settings=replace(self.settings, most_rows=self.settings.most_calibration_rows),
        )
        inputs = self.build_inputs(tail)
        actual = read_floats(tail, TARGET) / read_floats(tail, self.scale_feature)
        residuals = np.zeros((tail.height, len(QUANTILES)))
        for place, quantile in enumerate(QUANTILES):
            if quantile in boosters:
                residuals[:, place] = actual - _average_outputs(boosters[quantile], inputs)
        offsets = calibrate_offsets(
            residuals,
            lead_hours=read_floats(tail, self.lead_feature),
            issue_times=tail["issue_time"],
            n_leads=n_leads,
        )
        return dict(zip(QUANTILES, offsets, strict=True))


def choose_scale(
    head: pl.DataFrame, tail: pl.DataFrame, *, settings: BoostingSettings | None = None
) -> str:
    """Return the one of SCALES with which a small model of `head` errs least on `tail`.

    Both are rows of `select_known_rows`; the calmest scale where either has none. The same rows
    and settings are judged once per process.
    """
    if head.is_empty() or tail.is_empty():
        return SCALES[0]
    key = _fingerprint_choice(head, tail, settings=settings)
    if key not in _CHOSEN_SCALES:
        while len(_CHOSEN_SCALES) >= MOST_CHOSEN_SCALES:
            _CHOSEN_SCALES.pop(next(iter(_CHOSEN_SCALES)))
        _CHOSEN_SCALES[key] = _find_calmest_scale(head, tail, settings=settings)
    return _CHOSEN_SCALES[key]


def _fingerprint_choice(
    head: pl.DataFrame, tail: pl.DataFrame, *, settings: BoostingSettings | None
) -> str:
    """Return a hash of all that the choice of a scale depends on."""
    digest = hashlib.sha256(f"{settings} {head.columns} {head.height}".encode())
    for rows in (head, tail):
        digest.update(rows.hash_rows().to_numpy().tobytes())
    return digest.hexdigest()


def _find_calmest_scale(
    head: pl.DataFrame, tail: pl.DataFrame, *, settings: BoostingSettings | None
) -> str:
    """Return the scale with which a small model of `head` errs least on `tail`."""
    small = BoostingForecaster(replace(settings or BoostingSettings(), **SMALL_MODEL))
    small.feature_names = list_input_names(head)
    small.scaled_features = list_load_inputs(small.feature_names)
    errors = {}
    for scale in SCALES:
        small.scale_feature = scale
        boosters = small._grow_boosters(head, pairs=[(MEDIAN, 0)], settings=small.settings)
        forecast = _average_outputs(boosters[MEDIAN], small.build_inputs(tail))
        forecast_kw = forecast * read_floats(tail, scale)
        errors[scale] = float(np.mean(np.abs(forecast_kw - read_floats(tail, TARGET))))
    return min(errors, key=lambda scale: errors[scale])


def _build_parameters(
    settings: BoostingSettings, *, quantile: float, seed: int, rows: int
) -> dict[str, Any]:
    """Return LightGBM's parameters of one booster.

    Args:
        settings: how trees are grown.
        quantile: which one the booster learns, 0 to 1.
        seed: decides which rows and inputs every tree gets.
        rows: number of rows that it learns from.

    Returns:
        Values by LightGBM's names.
    """
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
    """Return the rows; of more than `most` so many of them, drawn at random."""
    return rows.sample(most, seed=1) if rows.height > most else rows


def _average_outputs(boosters: "Sequence[lgb.Booster]", inputs: F64) -> F64:
    """Return the mean of the boosters' answers, (rows,)."""
    threads = os.cpu_count() or 1
    # (boosters, rows)
    outputs = [
        np.asarray(booster.predict(inputs, num_threads=threads), dtype=np.float64)
        for booster in boosters
    ]
    return np.asarray(np.mean(outputs, axis=0), dtype=np.float64)
