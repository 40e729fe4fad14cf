from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.grid import Grid
from demo.profiles import (
    draw_autoregressive,
    find_profile_day,
    find_profile_steps,
    generate_normal_power,
)
from smartgrid_core.time import Window

FIRST = date(2016, 1, 1)


@given(day=st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_a_day_takes_the_profile_of_its_weekday_and_season(day: date):
    position = find_profile_day(day)
    source = FIRST + timedelta(days=position)
    apart = (day.timetuple().tm_yday - 1 - position) % 364

    assert 0 <= position < 364
    assert source.weekday() == day.weekday()
    assert min(apart, 364 - apart) <= 3


def test_weeks_of_one_year_follow_each_other_in_the_profile():
    days = [date(2026, 1, 8) + timedelta(days=number) for number in range(340)]

    positions = [find_profile_day(day) for day in days]

    assert positions == list(range(positions[0], positions[0] + 340))


@pytest.mark.parametrize("day", [date(2026, 1, 14), date(2026, 3, 29), date(2026, 7, 8)])
def test_a_profile_is_read_at_the_wall_time_it_was_made_for(day: date):
    steps = find_profile_steps(Window.of_day(day), wall_clock=True)
    noon = int(
        (np.datetime64(f"{day}T12:00") - np.datetime64(f"{day}T00:00")) / np.timedelta64(15, "m")
    )
    utc_noon = Window.of_day(day).start + timedelta(hours=12)
    wall = utc_noon.astimezone(ZoneInfo("Europe/Tirane"))
    source = Window.of_day(FIRST).start + timedelta(minutes=15) * int(steps[noon])

    assert source.astimezone(ZoneInfo("Europe/Berlin")).time() == wall.time()


def test_the_sun_keeps_utc():
    steps = find_profile_steps(Window.of_day(date(2026, 7, 8)), wall_clock=False)

    assert list(steps % 96) == list(range(96))


def test_a_day_does_not_depend_on_the_window_around_it(grid: Grid):
    alone = next(generate_normal_power(grid, window=Window.of_day(date(2026, 2, 10)), seed=7))
    span = Window.of_days(date(2026, 2, 9), date(2026, 2, 11))
    within = next(generate_normal_power(grid, window=span, seed=7))

    assert np.array_equal(alone[1], within[1][:, 96:192])
    assert np.array_equal(alone[2], within[2][:, 96:192])


def test_no_two_meters_are_copies(grid: Grid):
    month = Window.of_days(date(2026, 1, 1), date(2026, 1, 31))
    active_kw = next(generate_normal_power(grid, window=month, seed=7))[1]
    shapes = active_kw / active_kw.mean(axis=1, keepdims=True)

    nearest = [
        np.abs(shapes[number + 1 :] - shape).mean(axis=1).min()
        for number, shape in enumerate(shapes[:-1])
    ]

    assert active_kw.min() >= 0
    assert min(nearest) > 0.02


def test_another_seed_gives_another_year_of_the_same_people(grid: Grid):
    week = Window.of_days(date(2026, 5, 4), date(2026, 5, 10))
    one, other = (next(generate_normal_power(grid, window=week, seed=seed))[1] for seed in (7, 8))

    assert not np.array_equal(one, other)
    assert one.sum() == pytest.approx(other.sum(), rel=0.05)


def test_noise_has_unit_variance_and_the_memory_that_was_asked_for():
    noise = draw_autoregressive(np.random.default_rng(1), series=200, steps=2000, memory_steps=4.0)

    assert noise.std() == pytest.approx(1.0, abs=0.02)
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(np.exp(-1 / 4), abs=0.02)
    assert noise[:, 0].std() == pytest.approx(1.0, abs=0.15)
