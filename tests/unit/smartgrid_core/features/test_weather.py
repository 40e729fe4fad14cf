"""Weather counts from the instant at which it was known, in training as in a live forecast."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from smartgrid_core.contracts.grid import Weather
from smartgrid_core.features.load import build_load_features
from smartgrid_core.features.weather import WEATHER_FEATURES, add_known_at

START = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ISSUE = START + 30 * DAY


def weather(*, delay: timedelta | None, days: int = 40) -> pl.DataFrame:
    """The n-th hour has n/24 degrees and n W/m2; known so long after it ended, None: unstated."""
    hours = [START + n * HOUR for n in range(days * 24)]
    known = [None if delay is None else hour + HOUR + delay for hour in hours]
    return Weather.cast(
        pl.DataFrame(
            {
                "station_id": "S",
                "hour_start": hours,
                "temperature_c": [n / 24 for n in range(len(hours))],
                "humidity_pct": 50.0,
                "wind_speed_ms": 1.0,
                "irradiance_wm2": [float(n) for n in range(len(hours))],
                "cloud_cover_pct": 0.0,
                "known_at": pl.Series(known, dtype=pl.Datetime("us", "UTC")),
            }
        )
    )


def features(rows: pl.DataFrame, *issues: datetime, **more) -> pl.DataFrame:
    load = pl.DataFrame(
        {"feeder_id": "F", "hour_start": [START + n * HOUR for n in range(40 * 24)]}
    ).with_columns(pl.col("hour_start").cast(pl.Datetime("us", "UTC")), load_kw=pl.lit(1.0))
    table = build_load_features(
        load,
        issue_times=issues or [ISSUE],
        timezone="UTC",
        country=None,
        weather=rows,
        **more,
    )
    return table.select("issue_time", "hour_start", *WEATHER_FEATURES)


def hour(table: pl.DataFrame, number: int) -> dict[str, float]:
    return table.select(WEATHER_FEATURES).row(number, named=True)


def test_weather_that_is_known_at_once_is_yesterdays():
    assert hour(features(weather(delay=timedelta(0))), 6) == {
        "temperature_1d_c": 29.25,
        "temperature_mean_24h_c": pytest.approx((30 * 24 - 12.5) / 24),
        "temperature_mean_7d_c": pytest.approx((30 * 24 - 84.5) / 24),
        "irradiance_1d_wm2": 29.25 * 24,
    }


def test_weather_that_comes_after_the_issue_time_is_that_of_the_day_before():
    table = features(weather(delay=19 * HOUR))
    assert hour(table, 4)["temperature_1d_c"] == pytest.approx(29 + 4 / 24)
    assert hour(table, 5)["temperature_1d_c"] == pytest.approx(28 + 5 / 24)
    assert hour(table, 5)["irradiance_1d_wm2"] == 28 * 24 + 5
    assert hour(table, 0)["temperature_mean_24h_c"] == pytest.approx(29 + (5 - 12.5) / 24)


def test_an_archives_row_counts_as_known_after_the_usual_delay():
    stated = features(weather(delay=timedelta(hours=48)))
    unstated = features(weather(delay=None), weather_delay=timedelta(hours=48))
    assert_frame_equal(unstated, stated)
    assert hour(unstated, 0)["temperature_1d_c"] == 27.0


def test_weather_that_is_older_than_a_week_tells_nothing():
    assert hour(features(weather(delay=8 * DAY)), 0) == dict.fromkeys(WEATHER_FEATURES)


def test_the_last_station_to_report_makes_an_hour_known():
    prompt = weather(delay=timedelta(0))
    slow = weather(delay=24 * HOUR).with_columns(station_id=pl.lit("T"))
    assert hour(features(pl.concat([prompt, slow])), 6)["temperature_1d_c"] == 28.25


def test_many_issue_times_give_the_rows_that_one_gives():
    rows, issues = weather(delay=5 * HOUR), [ISSUE, ISSUE + 13 * HOUR, ISSUE + 3 * DAY]
    one_by_one = pl.concat([features(rows, issue) for issue in issues])
    assert_frame_equal(features(rows, *issues), one_by_one)


@given(
    delays=st.lists(st.integers(0, 100), min_size=1, max_size=50),
    poison=st.sampled_from([55.0, -40.0]),
    shift=st.integers(-30, 30),
)
def test_no_feature_knows_weather_that_was_told_later(delays, poison, shift):
    issue = ISSUE + shift * HOUR
    rows = weather(delay=timedelta(0)).with_columns(
        known_at=pl.col("hour_start")
        + HOUR
        + pl.duration(hours=pl.Series((delays * 960)[:960]).cast(pl.Int64))
    )
    poisoned = rows.with_columns(
        pl.when(pl.col("known_at") > issue)
        .then(poison)
        .otherwise(pl.col("temperature_c", "irradiance_wm2"))
        .name.keep()
    )
    assert_frame_equal(features(poisoned, issue), features(rows, issue))
    gone = rows.filter(pl.col("known_at") <= issue)
    assert_frame_equal(features(gone, issue), features(rows, issue))


def test_weather_is_known_when_it_arrives_unless_it_is_an_archives():
    rows = weather(delay=None)
    now = START + 20 * DAY
    known = add_known_at(rows, now=now)
    archived = known.filter(pl.col("hour_start") < now - 8 * DAY)
    assert archived["known_at"].unique().to_list() == [None]
    news = known.filter(pl.col("hour_start") >= now - 8 * DAY)
    assert news["known_at"].unique().to_list() == [now]
    assert Weather.is_valid(known)


def test_what_a_source_says_of_its_own_weather_stands():
    rows = weather(delay=2 * HOUR)
    assert_frame_equal(add_known_at(rows, now=START + 20 * DAY), rows)
