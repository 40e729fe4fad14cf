"""A score of theft for the days of a meter, learned from attacks on clean history.

The model never needs to have seen the meter: it judges how a day differs from the same meter's
past, which is much alike from home to home.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from smartgrid_core.arrays import F32, F64, I64, Bool
from smartgrid_ml.mining.theft.attacks import ATTACKS, apply_attack
from smartgrid_ml.mining.theft.day_comparison import (
    FEATURES,
    DayComparisons,
    DayConditions,
    build_day_features,
    compare_clean_days,
    compare_day_by_day,
    measure_peer_moves,
)
from smartgrid_ml.mining.theft.meter_days import MeterDays
from smartgrid_ml.mining.theft.roc import find_threshold

if TYPE_CHECKING:
    import lightgbm as lgb

MOST_TRAINING_DAYS = 20_000
"""Clean days to learn from, each with all its attacks; more add time and little else."""

FOLDS = 3
"""Parts of the meters; the trees that score one part were trained on the others."""

FALSE_ALARMS = 0.05
"""A day that scores above what this share of clean days does is no part of a meter's past."""

BATCH_METERS = 2_000
"""Meters that are judged at once: their pasts take half a gigabyte."""


@dataclass(frozen=True, slots=True)
class TheftSettings:
    """How the trees grow; the names of LightGBM's parameters stand below."""

    trees: int = 500
    """Rounds of boosting."""
    learning_rate: float = 0.05
    """`learning_rate`."""
    leaves: int = 63
    """`num_leaves` of a tree."""
    rows_per_leaf: int = 100
    """`min_data_in_leaf`, less for few rows."""
    feature_share: float = 0.3
    """`feature_fraction` that each tree may use."""
    row_share: float = 0.5
    """`bagging_fraction` that each tree is grown on."""
    l2: float = 5.0
    """`lambda_l2`, the penalty on leaf values."""
    seed: int = 2016
    """Of the trees, the folds, the attacks and the draw of training meters."""
    most_days: int = MOST_TRAINING_DAYS
    """Clean days to learn from at most."""

    def __post_init__(self) -> None:
        """Raise ValueError naming the first setting with which no tree can grow."""
        for name in ("trees", "learning_rate", "rows_per_leaf", "most_days"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is more than 0, got {getattr(self, name)}")
        if self.leaves < 2:
            raise ValueError(f"leaves is at least 2, got {self.leaves}")
        for name in ("feature_share", "row_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in (0, 1], got {getattr(self, name)}")
        if self.l2 < 0:
            raise ValueError(f"l2 is at least 0, got {self.l2}")


@dataclass(frozen=True, slots=True)
class PlattCalibration:
    """log-odds = `slope` * x + `intercept`: Platt's calibration (J. Platt, 1999)."""

    slope: float = 1.0
    """Log-odds per raw log-odds."""
    intercept: float = 0.0
    """Log-odds at a raw value of 0."""

    def __call__(self, x: F64) -> F64:
        """Return calibrated log-odds of raw ones, of the same shape."""
        odds: F64 = self.slope * x + self.intercept
        return odds


def fit_calibration(clean: F64, attacked: F64) -> PlattCalibration:
    """Return the calibration at which clean and attacked rows weigh the same.

    ``clean``, ``attacked``: raw log-odds, (n_clean,) and (n_attacked,).
    """
    from sklearn.linear_model import LogisticRegression

    x = np.concatenate([clean, attacked])[:, None]
    y = np.repeat([0, 1], [len(clean), len(attacked)])
    fitted = LogisticRegression(class_weight="balanced", C=10.0).fit(x, y)
    return PlattCalibration(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


@dataclass(frozen=True, slots=True)
class LabelledDays:
    """Clean days and what each attack makes of them; variant 0 is the clean day, then `ATTACKS`."""

    meter: I64
    """Position of the meter, (n,)."""
    day: I64
    """Position of the day, (n,)."""
    inputs: F32
    """Columns FEATURES, (n, 1 + n_attacks, len(FEATURES))."""
    reported_kwh: F32
    """What the meter counts, (n, 1 + n_attacks, n_slots)."""

    def select(self, rows: Bool) -> "LabelledDays":
        """Return some of the days, by a mask (n,)."""
        return LabelledDays(
            self.meter[rows], self.day[rows], self.inputs[rows], self.reported_kwh[rows]
        )


def build_attacked_days(
    meters: MeterDays, *, conditions: DayConditions, wanted: Bool, seed: int
) -> LabelledDays:
    """Return the wanted days that can be judged, clean and under every attack.

    The past of each is its own meter's, untouched, and so is what its peers did.

    Args:
        meters: The days of the meters, all taken as clean.
        conditions: What is the same for all meters on a day.
        wanted: Which days are taken, (n_meters, n_days).
        seed: Of the attacks.
    """
    rng = np.random.default_rng(seed)

    def attack_days(days: F32) -> Sequence[F32]:
        exact = days.astype(np.float64)
        attacked = [apply_attack(exact, kind=kind, rng=rng) for kind in ATTACKS]
        return [days, *(variant.astype(np.float32) for variant in attacked)]

    n_variants, n_slots = 1 + len(ATTACKS), meters.energy_kwh.shape[2]
    meter: list[I64] = [np.empty(0, dtype=np.int64)]
    day: list[I64] = [np.empty(0, dtype=np.int64)]
    inputs = [np.empty((0, n_variants, len(FEATURES)), dtype=np.float32)]
    reported = [np.empty((0, n_variants, n_slots), dtype=np.float32)]
    trusted = np.ones(wanted.shape, dtype=bool)
    for compared in compare_day_by_day(
        meters, trusted=trusted, wanted=wanted, variants=attack_days
    ):
        position = np.full(len(compared.meter), compared.day)
        meter.append(compared.meter)
        day.append(position)
        reported.append(np.stack(compared.reported_kwh, axis=1))
        of_variants = [
            build_day_features(columns, day=position, conditions=conditions)
            for columns in compared.columns
        ]
        inputs.append(np.stack(of_variants, axis=1))
    return LabelledDays(
        np.concatenate(meter), np.concatenate(day), np.concatenate(inputs), np.concatenate(reported)
    )


def train_trees(labelled: LabelledDays, *, settings: TheftSettings) -> "lgb.Booster":
    """Return trees that tell attacked days from clean ones; both weigh the same in all."""
    import lightgbm as lgb

    n, variants, _ = labelled.inputs.shape
    rows = labelled.inputs.reshape(n * variants, -1)
    label = np.tile([0.0, *[1.0] * (variants - 1)], n)
    weight = np.tile([variants - 1.0, *[1.0] * (variants - 1)], n)
    parameters = {
        "objective": "binary",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": min(settings.rows_per_leaf, max(20, len(rows) // 500)),
        "feature_fraction": settings.feature_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1,
        "lambda_l2": settings.l2,
        "seed": settings.seed,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lgb.Dataset(rows, label, weight=weight, feature_name=list(FEATURES), params=parameters)
    return lgb.train(parameters, data, settings.trees)


def predict_log_odds(booster: "lgb.Booster", inputs: F32) -> F64:
    """Return the trees' log-odds of theft at even odds, (..., len(FEATURES)) to (...)."""
    flat = inputs.reshape(-1, inputs.shape[-1])
    if not len(flat):
        return np.empty(inputs.shape[:-1])
    raw = np.asarray(booster.predict(flat, raw_score=True, num_threads=1), dtype=np.float64)
    return raw.reshape(inputs.shape[:-1])


@dataclass(frozen=True, slots=True)
class DayScores:
    """How suspicious the days of meters are."""

    log_odds: F64
    """That a day was tampered with, at even odds, (n_meters, n_days); NaN: not judged."""
    trusted: Bool
    """Which days count as a clean past, (n_meters, n_days)."""


@dataclass(frozen=True, slots=True)
class TheftModel:
    """Trees that score the days of meters, those of meters that they learned from included."""

    booster: "lgb.Booster"
    """Trained on all training meters; scores the meters that it has not seen."""
    fold_boosters: "tuple[lgb.Booster, ...]"
    """Each was trained on the meters of the other folds."""
    fold_of: dict[str, int]
    """Fold of each training meter, by meter_id."""
    calibration: PlattCalibration
    """Of raw log-odds."""
    day_threshold: float
    """Log-odds above which a day is suspicious: that of a share FALSE_ALARMS of clean days."""
    conditions: DayConditions
    """What was the same for all training meters on a day."""
    labelled: LabelledDays
    """The days that were learned from."""
    held_out: F64 = field(repr=False)
    """Calibrated log-odds of `labelled` by the trees that have not seen their meter,
    (n, 1 + n_attacks)."""

    def score(self, meters: MeterDays, *, conditions: DayConditions | None = None) -> DayScores:
        """Score every day that has a past, in order; a suspicious day is no past for later ones.

        ``conditions``: None for those of the training meters, whose days are then the same.
        """
        conditions = conditions or self.conditions
        shape = meters.energy_kwh.shape[:2]
        odds, trusted = np.full(shape, np.nan), np.ones(shape, dtype=bool)
        folds = np.array([self.fold_of.get(meter, -1) for meter in meters.meter_ids])
        for compared in compare_day_by_day(meters, trusted=trusted):
            day, rows = compared.day, compared.meter
            position = np.full(len(rows), day)
            inputs = build_day_features(compared.columns[0], day=position, conditions=conditions)
            for fold in np.unique(folds[rows]):
                of_fold = folds[rows] == fold
                booster = self.booster if fold < 0 else self.fold_boosters[fold]
                raw = predict_log_odds(booster, inputs[of_fold])
                odds[rows[of_fold], day] = self.calibration(raw)
            trusted[rows, day] = ~(odds[rows, day] > self.day_threshold)
        return DayScores(odds, trusted)


def sample_meters(clean: DayComparisons, *, most_days: int, seed: int) -> I64:
    """Return positions of meters, drawn at random, that have at most `most_days` days in all."""
    order = np.random.default_rng(seed).permutation(np.unique(clean.meter))
    days = np.bincount(clean.meter, minlength=1)[order]
    chosen: I64 = np.sort(order[np.cumsum(days) <= most_days])
    return chosen


def measure_conditions(
    meters: MeterDays, *, context: F32, wanted: Bool | None = None
) -> tuple[DayConditions, DayComparisons]:
    """Return the conditions on the wanted days, and these days against their pasts.

    The peers are the meters themselves. ``context``: as `build_day_context` returns it;
    ``wanted``: (n_meters, n_days), None for all days.
    """
    clean = compare_clean_days(meters, wanted=wanted)
    return DayConditions(measure_peer_moves(clean, n_days=len(meters.days)), context), clean


def train_theft_model(
    meters: MeterDays, *, context: F32, settings: TheftSettings | None = None
) -> TheftModel | None:
    """Learn from attacks on the days of these meters, taken as clean.

    ``context``: as `build_day_context` returns it for the days. Days of a thief among the meters
    are labelled clean, too; the trees that score a meter have not seen it, so its own do not excuse
    it. None for fewer than two meters with a past in a fold.
    """
    settings = settings or TheftSettings()
    conditions, clean = measure_conditions(meters, context=context)
    n_meters, n_days = len(meters.meter_ids), len(meters.days)
    wanted = np.zeros((n_meters, n_days), dtype=bool)
    wanted[sample_meters(clean, most_days=settings.most_days, seed=settings.seed)] = True
    labelled = build_attacked_days(meters, conditions=conditions, wanted=wanted, seed=settings.seed)
    if len(np.unique(labelled.meter)) < 2 * FOLDS:
        return None
    order = np.random.default_rng(settings.seed).permutation(n_meters)
    fold = np.empty(n_meters, dtype=np.int64)
    fold[order] = np.arange(n_meters) % FOLDS
    fold_of_row = fold[labelled.meter]
    *fold_boosters, booster = _train_folds(labelled, fold_of_row=fold_of_row, settings=settings)
    # raw log-odds by the trees that have not seen the meter, (n, 1 + n_attacks)
    raw = np.empty(labelled.inputs.shape[:2])
    for number, of_fold in enumerate(fold_boosters):
        rows = fold_of_row == number
        raw[rows] = predict_log_odds(of_fold, labelled.inputs[rows])
    calibration = fit_calibration(raw[:, 0], raw[:, 1:].ravel())
    held_out = calibration(raw)
    return TheftModel(
        booster=booster,
        fold_boosters=tuple(fold_boosters),
        fold_of={meter: int(fold[row]) for row, meter in enumerate(meters.meter_ids)},
        calibration=calibration,
        day_threshold=find_threshold(held_out[:, 0], false_alarms=FALSE_ALARMS),
        conditions=conditions,
        labelled=labelled,
        held_out=held_out,
    )


def _train_folds(
    labelled: LabelledDays, *, fold_of_row: I64, settings: TheftSettings
) -> "list[lgb.Booster]":
    """Return trees without each fold in turn, then trees of all rows; ``fold_of_row``: (n,)."""
    everything = np.ones(len(fold_of_row), dtype=bool)
    learned_from = [*(fold_of_row != number for number in range(FOLDS)), everything]
    # Boosters side by side with a thread each: threads within one spend their time waiting.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(
            pool.map(
                lambda rows: train_trees(labelled.select(rows), settings=settings), learned_from
            )
        )
