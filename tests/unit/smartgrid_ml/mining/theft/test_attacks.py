"""What attacks do to days: less energy, never more, and nothing that only an attack could show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from smartgrid_ml.mining.theft.attacks import ATTACKS, RESOLUTION_KWH, apply_attack, is_night

DAYS = arrays(
    np.int64,
    st.tuples(st.integers(1, 4), st.sampled_from([24, 48, 96])),
    elements=st.integers(0, 9),
).map(lambda watt_hours: watt_hours * RESOLUTION_KWH)


def attacked(days: np.ndarray, *, kind: str, seed: int = 1) -> np.ndarray:
    return apply_attack(days, kind=kind, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("kind", ATTACKS)
@given(days=DAYS, seed=st.integers(0, 99))
def test_no_attack_adds_energy_and_all_tell_whole_watt_hours(kind, days, seed):
    reported = attacked(days, kind=kind, seed=seed)
    rounding = RESOLUTION_KWH / 2 * days.shape[1]
    assert reported.shape == days.shape
    assert (reported >= 0).all()
    assert (reported.sum(axis=1) <= days.sum(axis=1) + rounding).all()
    assert np.allclose(reported / RESOLUTION_KWH, np.round(reported / RESOLUTION_KWH))
    assert (attacked(days, kind=kind, seed=seed) == reported).all()


@given(days=DAYS, seed=st.integers(0, 99))
def test_a_slot_that_an_attack_scales_never_gains(days, seed):
    for kind in ("scaling", "on_off", "per_slot", "night_time"):
        assert (attacked(days, kind=kind, seed=seed) <= days + RESOLUTION_KWH / 2).all()


@given(days=DAYS)
def test_a_reversed_day_keeps_its_energy_and_is_told_twice_as_it_was(days):
    reported = attacked(days, kind="reversed")
    assert np.allclose(reported.sum(axis=1), days.sum(axis=1))
    assert np.allclose(attacked(reported, kind="reversed"), days)


@given(days=DAYS)
def test_a_bypass_at_night_leaves_the_day_alone(days):
    reported = attacked(days, kind="night_time")
    day = ~is_night(days.shape[1])
    assert np.allclose(reported[:, day], days[:, day])


def test_an_on_off_attack_hides_at_least_four_hours():
    reported = attacked(np.ones((200, 24)), kind="on_off")
    assert (reported == 0).sum(axis=1).min() == 4
    assert set(np.unique(reported)) == {0.0, 1.0}


def test_the_night_lasts_from_ten_to_five():
    assert np.flatnonzero(is_night(24)).tolist() == [0, 1, 2, 3, 4, 22, 23]


def test_an_unknown_kind_is_named():
    with pytest.raises(KeyError, match="sideways"):
        attacked(np.ones((1, 24)), kind="sideways")
