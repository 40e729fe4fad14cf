from datetime import timedelta

import pytest

from smartgrid_ml.mining.anomalies.settings import DetectorSettings


def make_settings(step: timedelta) -> DetectorSettings:
    return DetectorSettings(
        step=step,
        timezone="UTC",
        country=None,
        history_days=35,
        warm_up_days=14,
        threshold=3.5,
        habits=True,
    )


@pytest.mark.parametrize(
    ("minutes", "per_day", "per_slot", "short", "long"),
    [
        (1, 1440, 15, 24, 96),
        (5, 288, 3, 24, 96),
        (20, 72, 1, 18, 72),
        (60, 24, 1, 6, 24),
        (1440, 1, 1, 3, 7),
    ],
)
def test_a_day_has_slots_of_a_quarter_hour_or_of_a_longer_step(
    minutes: int, per_day: int, per_slot: int, short: int, long: int
):
    settings = make_settings(timedelta(minutes=minutes))

    slots = (settings.per_day, settings.per_slot, settings.short, settings.long)
    assert slots == (per_day, per_slot, short, long)
    assert settings.slots == per_day // per_slot
    assert settings.step_us == minutes * 60e6
    assert settings.gap_us == max(3 * 3600e6, 2 * settings.step_us)


@pytest.mark.parametrize("seconds", [0, -3600, 90, 7 * 3600])
def test_a_step_that_does_not_divide_a_day_into_minutes_is_refused(seconds: int):
    with pytest.raises(ValueError, match="does not divide a day into whole minutes"):
        make_settings(timedelta(seconds=seconds))
