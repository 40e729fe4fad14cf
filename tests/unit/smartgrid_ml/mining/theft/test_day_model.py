"""The score of theft: what it needs, what it tells apart, what counts as a clean past."""

import numpy as np
import pytest

from smartgrid_ml.mining.theft.attacks import ATTACKS
from smartgrid_ml.mining.theft.day_comparison import (
    LEAST_PAST_DAYS,
    PAST_DAYS,
    build_day_context,
    compare_clean_days,
    select_pasts,
)
from smartgrid_ml.mining.theft.day_model import TheftModel, TheftSettings, train_theft_model
from smartgrid_ml.mining.theft.meter_days import MeterDays
from smartgrid_ml.mining.theft.roc import compute_auc, compute_detection_rate, compute_precision
from tests.unit.smartgrid_ml.mining.theft.homes import build_context, homes, report_from

SMALL = TheftSettings(trees=40, learning_rate=0.2, leaves=15, rows_per_leaf=20)
KNOWN = homes(12, days=30)
NEW = homes(6, days=30, seed=2)


@pytest.fixture(scope="module")
def model() -> TheftModel:
    trained = train_theft_model(KNOWN, context=build_context(KNOWN), settings=SMALL)
    assert trained is not None
    return trained


def test_the_past_of_a_day_is_its_own_meters_trusted_days_before_it():
    trusted = np.ones((12, 30), dtype=bool)
    trusted[0, :10] = False
    rows, past = select_pasts(KNOWN, trusted=trusted, day=20)
    assert rows.tolist() == list(range(1, 12))
    assert past.shape == (11, PAST_DAYS, 24)
    assert (past[0, :20] == KNOWN.energy_kwh[1, :20]).all()
    assert (past[0, 20:40] == KNOWN.energy_kwh[1, :20]).all()


def test_a_day_is_judged_from_the_fifteenth_on_and_later_days_do_not_matter():
    longer, shorter = compare_clean_days(KNOWN), compare_clean_days(MeterDays(
        KNOWN.meter_ids, KNOWN.days[:20], KNOWN.energy_kwh[:, :20]
    ))  # fmt: skip
    assert shorter.day.min() == LEAST_PAST_DAYS
    same = longer.day < 20
    assert np.array_equal(longer.columns[same], shorter.columns)


def test_every_attack_scores_above_the_clean_day_on_average_for_meters_not_seen(model):
    clean, attacked = model.held_out[:, 0], model.held_out[:, 1:]
    assert dict(zip(ATTACKS, (attacked.mean(axis=0) > clean.mean()).tolist(), strict=True)) == (
        dict.fromkeys(ATTACKS, True)
    )
    assert compute_auc(clean, attacked.ravel()) > 0.9


def test_a_scaled_down_day_of_a_new_home_scores_above_its_clean_day(model):
    scaled = MeterDays(NEW.meter_ids, NEW.days, NEW.energy_kwh.copy())
    scaled.energy_kwh[:, -1] *= 0.4
    clean, attacked = (model.score(each).log_odds[:, -1] for each in (NEW, scaled))
    assert attacked.mean() > clean.mean() + 1
    assert (attacked > clean).all()


def test_a_theft_that_goes_on_does_not_become_the_meters_past(model):
    stolen = report_from(NEW, row=2, since=20, energy_kwh=0.3 * NEW.energy_kwh[2, 20:])
    scores = model.score(stolen)
    assert not scores.trusted[2, 20:].any()
    assert (scores.log_odds[2, 20:] > model.day_threshold).all()


def test_the_same_meters_give_the_same_scores_in_batches(model):
    whole = model.score(KNOWN).log_odds
    parts = [model.score(batch).log_odds for batch in KNOWN.iter_batches(5)]
    assert np.array_equal(np.concatenate(parts), whole, equal_nan=True)
    again = train_theft_model(KNOWN, context=build_context(KNOWN), settings=SMALL)
    assert again is not None
    assert np.array_equal(again.held_out, model.held_out)


def test_one_meter_or_a_short_past_teaches_nothing():
    alone, short = homes(1, days=30), homes(12, days=LEAST_PAST_DAYS)
    assert train_theft_model(alone, context=build_context(alone), settings=SMALL) is None
    assert train_theft_model(short, context=build_context(short), settings=SMALL) is None


def test_weather_is_held_against_the_weeks_before():
    days = KNOWN.days[:3]
    context = build_day_context(days, country=None, temperature_c=np.array([10.0, 12.0, 20.0]))
    assert context[:, 3].tolist() == [10, 12, 20]
    assert np.allclose(context[1:, 4], [2, 9])
    assert np.isnan(build_day_context(days, country=None)[:, 3:]).all()


def test_figures_of_detection_are_those_of_their_definitions():
    clean, attacked = np.arange(100.0), np.array([50.0, 97.5, 200.0])
    assert compute_auc(clean, attacked) == pytest.approx((50.5 + 98 + 100) / 300)
    assert compute_detection_rate(clean, attacked, false_alarms=0.05) == pytest.approx(2 / 3)
    top = compute_precision(
        clean, np.array([200.0]), k=2, base_rate=0.01, rng=np.random.default_rng(0)
    )
    assert top == 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"trees": 0},
        {"learning_rate": 0.0},
        {"leaves": 1},
        {"feature_share": 1.5},
        {"row_share": 0.0},
        {"l2": -1.0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_setting_with_which_no_tree_grows_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        TheftSettings(**wrong)
