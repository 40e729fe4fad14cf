"""Stretches that become episodes, and the sentence about one."""

from datetime import UTC, datetime, timedelta

import pytest

from smartgrid_core.time import HOUR, MICROSECOND, to_epoch_us
from smartgrid_ml.mining.anomalies.episodes import (
    HOUR_US,
    Episode,
    Evidence,
    Stretch,
    gather_episodes,
)
from smartgrid_ml.mining.anomalies.reasons import describe_anomaly, to_instant

NOON = float(to_epoch_us(datetime(2026, 3, 29, 12, tzinfo=UTC)))
GAP = 3 * HOUR_US
NAN = float("nan")


def stretch(first: float, last: float, *, kind: str = "spike", score: float = 4.0) -> Stretch:
    """A stretch of hours from noon on, worst in its first hour."""
    worst = Evidence(score, NOON + first * HOUR_US, 9.0, 1.0, 5.0)
    return Stretch(kind, NOON + first * HOUR_US, NOON + last * HOUR_US, worst)


def test_stretches_within_the_gap_are_one_episode_and_others_are_not():
    near, far = [stretch(0, 1), stretch(4, 5, score=6.0)], stretch(8.1, 9)

    touched, still_open = gather_episodes(None, [far, *near], gap_us=GAP)

    assert [(each.start_us - NOON) / HOUR_US for each in touched] == pytest.approx([0, 8.1])
    assert touched[0].worst["spike"].score == 6.0
    assert touched[0].hours == {"spike": 2.0}
    assert still_open == touched[-1]


def test_an_open_episode_goes_on_and_keeps_its_worst_moment():
    before = Episode.of(stretch(-5, -2, score=8.0))

    touched, still_open = gather_episodes(before, [stretch(0, 1, kind="drift")], gap_us=GAP)

    assert touched == [still_open]
    assert (still_open.start_us, still_open.end_us) == (before.start_us, NOON + HOUR_US)
    assert still_open.worst["spike"].score == 8.0
    assert still_open.kind == "drift"


def test_an_open_episode_that_nothing_continues_stays_open_and_untouched():
    before = Episode.of(stretch(-9, -8))

    assert gather_episodes(before, [], gap_us=GAP) == ([], before)
    touched, still_open = gather_episodes(before, [stretch(0, 1)], gap_us=GAP)
    assert touched == [still_open] != [before]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("spike", "9 kW at 2026-03-29 12:00Z, expected was 1 to 5 kW; so strange a stretch comes "
         "about once in 10,000 days"),
        ("level_shift", "about 9 kW for 45 minutes, expected was 1 to 5 kW; so strange a stretch "
         "comes about once in 10,000 days"),
        ("flatline", "every reading of 45 minutes is 9 kW, expected was 1 to 5 kW"),
        ("drift", "creeping away since 2026-03-29: 9 kW at 2026-03-29 12:00Z, one reading alone "
         "may be 1 to 5 kW; so strange a stretch comes about once in 10,000 days"),
        ("missing", "no reading for 45 minutes, expected was 1 to 5 kW"),
        ("out_of_band", "9 kW at 2026-03-29 12:00Z, the rating is 1 to 5 kW; outside for 45 "
         "minutes"),
        ("phase_imbalance", "9 kW, 12.5 % below the mean of its phases, for 45 minutes; usual is "
         "1 to 5 kW; so strange a stretch comes about once in 10,000 days"),
    ],
)  # fmt: skip
def test_every_kind_has_a_sentence(kind: str, sentence: str):
    worst = Evidence(3.99999, NOON, 9.0, 1.0, 5.0, imbalance_pct=-12.5)
    episode = Episode.of(Stretch(kind, NOON, NOON + 0.75 * HOUR_US, worst))

    assert describe_anomaly(episode, unit="kW", limit_name="the rating") == sentence


@pytest.mark.parametrize(
    ("lower", "upper", "words"),
    [
        (NAN, 5.0, "allowed is at most 5"),
        (1.0, NAN, "allowed is at least 1"),
        (NAN, NAN, "allowed is not known yet"),
    ],
)
def test_a_range_may_have_one_edge_or_none(lower: float, upper: float, words: str):
    worst = Evidence(12.0, NOON, NAN, lower, upper)
    episode = Episode.of(Stretch("out_of_band", NOON, NOON + 60 * HOUR_US, worst))

    sentence = describe_anomaly(episode, unit="", limit_name=None)

    assert sentence == f"nothing at 2026-03-29 12:00Z, {words}; outside for 2.5 days"


def test_scores_beyond_ten_thousand_days_are_not_counted():
    episode = Episode.of(stretch(0, 1, score=4.5))
    assert describe_anomaly(episode, unit="V", limit_name=None).endswith("more than 10,000 days")


def test_microseconds_become_the_instant_they_were():
    moment = datetime(2026, 3, 29, 1, 2, 3, 4, tzinfo=UTC)
    assert to_instant(float(to_epoch_us(moment))) == moment
    assert HOUR_US * MICROSECOND == HOUR == timedelta(hours=1)
