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
from numpy.typing import NDArray

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
from smartgrid_ml.mining.theft.meter_days import Floats, MeterDays
from smartgrid_ml.mining.theft.roc import find_threshold

if TYPE_CHECKING:
    import lightgbm as lgb

Doubles = NDArray[np.float64]

MOST_TRAINING_DAYS = 20_000
"""Clean days to learn from, each with all its attacks; more add time and little else."""

FOLDS = 3
FALSE_ALARMS = 0.05
"""A day that scores above what this share of clean days does is no part of a meter's past."""

BATCH_METERS = 2_000
"""Meters that are judged at once: their pasts take half a gigabyte."""


@dataclass(frozen=True, slots=True)
class TheftSettings:
    """How the trees grow."""

    trees: int = 500
    learning_rate: float = 0.05
    leaves: int = 63
    rows_per_leaf: int = 100
    feature_share: float = 0.3
    row_share: float = 0.5
    l2: float = 5.0
    seed: int = 2016
    most_days: int = MOST_TRAINING_DAYS


@dataclass(frozen=True, slots=True)
class PlattCalibration:
    """log-odds = `slope` * x + `intercept`: Platt's calibration (J. Platt, 1999)."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, x: Doubles) -> Doubles:
        """Calibrated log-odds of raw ones."""
        odds: Doubles = self.slope * x + self.intercept
        return odds


def fit_calibration(clean: Doubles, attacked: Doubles) -> PlattCalibration:
    """The calibration at which clean and attacked rows weigh the same."""
    from sklearn.linear_model import LogisticRegression

    x = np.concatenate([clean, attacked])[:, None]
    y = np.repeat([0, 1], [len(clean), len(attacked)])
    fitted = LogisticRegression(class_weight="balanced", C=10.0).fit(x, y)
    return PlattCalibration(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


@dataclass(frozen=True, slots=True)
class LabelledDays:
    """Clean days and what each attack makes of them.

    ``meter``, ``day``: positions, (n,). ``inputs``: float32, (n, 1 + n_attacks, len(FEATURES)), the
    clean day first, then in the order of `ATTACKS`; ``reported_kwh``: (n, 1 + n_attacks, n_slots).
    """

    meter: NDArray[np.int64]
    day: NDArray[np.int64]
    inputs: Floats
    reported_kwh: Floats

    def of(self, rows: NDArray[np.bool_]) -> "LabelledDays":
        """Some of the days."""
        return LabelledDays(
            self.meter[rows], self.day[rows], self.inputs[rows], self.reported_kwh[rows]
        )


def build_attacked_days(
    meters: MeterDays, *, around: DayConditions, wanted: NDArray[np.bool_], seed: int
) -> LabelledDays:
    """The wanted days, (n_meters, n_days), that can be judged, clean and under every attack.

    The past of each is its own meter's, untouched; what peers did is too.
    """
    rng = np.random.default_rng(seed)

    def variants(days: Floats) -> Sequence[Floats]:
        exact = days.astype(np.float64)
        told = [apply_attack(exact, kind=kind, rng=rng) for kind in ATTACKS]
        return [days, *(one.astype(np.float32) for one in told)]

    n_slots = meters.energy_kwh.shape[2]
    met: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    days: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    inputs = [np.empty((0, 1 + len(ATTACKS), len(FEATURES)), dtype=np.float32)]
    told = [np.empty((0, 1 + len(ATTACKS), n_slots), dtype=np.float32)]
    trusted = np.ones(wanted.shape, dtype=bool)
    for seen in compare_day_by_day(meters, trusted=trusted, wanted=wanted, variants=variants):
        position = np.full(len(seen.meter), seen.day)
        met.append(seen.meter)
        days.append(position)
        told.append(np.stack(seen.reported_kwh, axis=1))
        of_variants = [
            build_day_features(each, day=position, around=around) for each in seen.compared
        ]
        inputs.append(np.stack(of_variants, axis=1))
    return LabelledDays(
        np.concatenate(met), np.concatenate(days), np.concatenate(inputs), np.concatenate(told)
    )


def train_trees(labelled: LabelledDays, *, settings: TheftSettings) -> "lgb.Booster":
    """Trees that tell attacked days from clean ones; both weigh the same in all."""
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


def predict_log_odds(booster: "lgb.Booster", inputs: Floats) -> Doubles:
    """What the trees say of rows (..., len(FEATURES)): log-odds at even odds, (...)."""
    flat = inputs.reshape(-1, inputs.shape[-1])
    if not len(flat):
        return np.empty(inputs.shape[:-1])
    raw = np.asarray(booster.predict(flat, raw_score=True, num_threads=1), dtype=np.float64)
    return raw.reshape(inputs.shape[:-1])


@dataclass(frozen=True, slots=True)
class DayScores:
    """Log-odds (at even odds) that a day was tampered with, (n_meters, n_days); NaN: not judged.

    ``trusted``: which days count as a clean past, of the same shape.
    """

    meters: MeterDays
    log_odds: Doubles
    trusted: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TheftModel:
    """Trees, their calibration, and who of the meters was in which fold.

    ``fold_of``: a meter that was learned from is scored by the trees that have not seen it.
    ``labelled``, ``held_out``: the days learned from and the log-odds of trees that have not seen
    their meter, (n, 1 + n_attacks), calibrated.
    """

    booster: "lgb.Booster"
    fold_boosters: "tuple[lgb.Booster, ...]"
    fold_of: dict[str, int]
    calibration: PlattCalibration
    day_threshold: float
    around: DayConditions
    labelled: LabelledDays
    meter_ids: tuple[str, ...]
    held_out: Doubles = field(repr=False)

    def score(self, meters: MeterDays, *, around: DayConditions | None = None) -> DayScores:
        """Score every day that has a past, in order; a suspicious day is no past for later ones."""
        around = around or self.around
        shape = meters.energy_kwh.shape[:2]
        odds, trusted = np.full(shape, np.nan), np.ones(shape, dtype=bool)
        folds = np.array([self.fold_of.get(meter, -1) for meter in meters.meter_ids])
        for seen in compare_day_by_day(meters, trusted=trusted):
            day, rows = seen.day, seen.meter
            inputs = build_day_features(
                seen.compared[0], day=np.full(len(rows), day), around=around
            )
            for fold in np.unique(folds[rows]):
                of_fold = folds[rows] == fold
                booster = self.booster if fold < 0 else self.fold_boosters[fold]
                odds[rows[of_fold], day] = self.calibration(
                    predict_log_odds(booster, inputs[of_fold])
                )
            trusted[rows, day] = ~(odds[rows, day] > self.day_threshold)
        return DayScores(meters, odds, trusted)


def sample_meters(clean: DayComparisons, *, most_days: int, seed: int) -> NDArray[np.int64]:
    """Meters drawn at random that have at most so many judged days together, in order."""
    order = np.random.default_rng(seed).permutation(np.unique(clean.meter))
    days = np.bincount(clean.meter, minlength=1)[order]
    chosen: NDArray[np.int64] = np.sort(order[np.cumsum(days) <= most_days])
    return chosen


def measure_conditions(
    meters: MeterDays, *, context: Floats, wanted: NDArray[np.bool_] | None = None
) -> tuple[DayConditions, DayComparisons]:
    """What the meters' peers, which are these meters, did on the wanted days; and the days."""
    clean = compare_clean_days(meters, wanted=wanted)
    return DayConditions(measure_peer_moves(clean, n_days=len(meters.days)), context), clean


def train_theft_model(
    meters: MeterDays, *, context: Floats, settings: TheftSettings | None = None
) -> TheftModel | None:
    """Learn from attacks on the days of these meters, taken as clean. None if no fold has days.

    ``context``: as `calendar_and_weather` gives it. Days of a thief among the meters are labelled
    clean, too; the trees that score a meter have not seen it, so its own do not excuse it.
    """
    settings = settings or TheftSettings()
    around, clean = measure_conditions(meters, context=context)
    shape = (len(meters.meter_ids), len(meters.days))
    wanted = np.zeros(shape, dtype=bool)
    wanted[sample_meters(clean, most_days=settings.most_days, seed=settings.seed)] = True
    labelled = build_attacked_days(meters, around=around, wanted=wanted, seed=settings.seed)
    if len(np.unique(labelled.meter)) < 2 * FOLDS:
        return None
    order = np.random.default_rng(settings.seed).permutation(shape[0])
    fold = np.empty(shape[0], dtype=np.int64)
    fold[order] = np.arange(shape[0]) % FOLDS
    of_row = fold[labelled.meter]
    raw = np.empty(labelled.inputs.shape[:2])
    everything = np.ones(len(of_row), dtype=bool)
    learned_from = [*(of_row != number for number in range(FOLDS)), everything]
    # Boosters side by side with a thread each: threads within one spend their time waiting.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        *boosters, whole = pool.map(
            lambda rows: train_trees(labelled.of(rows), settings=settings), learned_from
        )
    for number, booster in enumerate(boosters):
        raw[of_row == number] = predict_log_odds(booster, labelled.inputs[of_row == number])
    calibration = fit_calibration(raw[:, 0], raw[:, 1:].ravel())
    held_out = calibration(raw)
    return TheftModel(
        booster=whole,
        fold_boosters=tuple(boosters),
        fold_of={meter: int(fold[row]) for row, meter in enumerate(meters.meter_ids)},
        calibration=calibration,
        day_threshold=find_threshold(held_out[:, 0], false_alarms=FALSE_ALARMS),
        around=around,
        labelled=labelled,
        meter_ids=meters.meter_ids,
        held_out=held_out,
    )
