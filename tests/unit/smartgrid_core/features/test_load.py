from datetime import UTC, datetime, timedelta

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.features.load import FEATURES, HISTORY_NEEDED, build_load_features

START = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def history(*, days: int = 40, feeders: tuple[str, ...] = ("F1", "grid"), step: timedelta = HOUR):
    """Load that counts the steps since the start, 1000 more for each further feeder."""
    steps = days * timedelta(days=1) // step
    return pl.DataFrame(
        [
            {"feeder_id": feeder, "hour_start": START + n * step, "load_kw": 1000.0 * at + n}
            for at, feeder in enumerate(feeders)
            for n in range(steps)
        ],
        schema_overrides={"hour_start": pl.Datetime("us", "UTC")},
    )


def features(rows: pl.DataFrame, *issues: datetime, **settings_):
    settings_ = {"timezone": "UTC", "country": None, **settings_}
    return build_load_features(rows, issue_times=issues, **settings_)


def test_a_row_looks_back_from_its_own_hour_and_its_issue_time():
    issue = START + timedelta(days=30)
    row = features(history(feeders=("F1",)), issue).row(5, named=True)
    now = 30 * 24
    assert {name: row[name] for name in row if not name.startswith(("latest", "day_of"))} == {
        "feeder_id": "F1",
        "issue_time": issue,
        "hour_start": issue + 5 * HOUR,
        "load_kw": now + 5,
        "lead_hours": 5,
        "hour_of_day": 5,
        "hour_sin": pytest.approx(0.9659, abs=1e-4),
        "hour_cos": pytest.approx(0.2588, abs=1e-4),
        "is_weekend": 0,
        "is_holiday": 0,
        "is_day_before_holiday": 0,
        "is_day_after_holiday": 0,
        "is_holiday_week_ago": 0,
        "days_since_holiday": 7,
        "days_to_holiday": 7,
        "level_kw": pytest.approx(now - 1 - (28 * 24 - 1) / 2),
        "level_24h_kw": pytest.approx(now - 12.5),
        "level_1h_kw": now - 1,
        **{
            f"same_hour_{days}d_kw": now + 5 - 24 * days
            for days in (1, 2, 3, 4, 5, 6, 7, 14, 21, 28)
        },
        "same_hour_mean_7d_kw": now + 5 - 24 * 4,
        "same_hour_min_7d_kw": now + 5 - 24 * 7,
        "same_hour_max_7d_kw": now + 5 - 24,
        "same_hour_mean_28d_kw": pytest.approx(now + 5 - 24 * 14.5),
        "same_hour_std_28d_kw": pytest.approx(24 * 8.2260, rel=1e-4),
        "same_weekday_mean_4w_kw": now + 5 - 24 * 17.5,
        "mean_24h_kw": pytest.approx(now - 12.5),
        "mean_24h_day_before_kw": pytest.approx(now - 36.5),
        "mean_24h_week_before_kw": pytest.approx(now - 12.5 - 168),
        "mean_7d_kw": pytest.approx(now - 1 - 83.5),
        "mean_28d_kw": pytest.approx(now - 1 - (28 * 24 - 1) / 2),
        "min_24h_kw": now - 24,
        "max_24h_kw": now - 1,
        "same_hour_1d_shifted_kw": pytest.approx(now + 5),
        "same_hour_7d_shifted_kw": pytest.approx(now + 5),
        "temperature_1d_c": None,
        "temperature_mean_24h_c": None,
        "temperature_mean_7d_c": None,
        "irradiance_1d_wm2": None,
    }  # fmt: skip
    assert [row[f"latest_{n}h_kw"] for n in range(1, 25)] == [now - n for n in range(1, 25)]


def test_rows_keep_their_contract_and_every_feature_has_a_column():
    table = features(history(), START + timedelta(days=30), START + timedelta(days=39))
    assert LoadFeatures.validate(table).height == 2 * 2 * 24
    assert table.columns == ["feeder_id", "issue_time", "hour_start", "load_kw", *FEATURES]
    assert set(LoadFeatures.columns()) == set(table.columns)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e300, -1e12, None])
@pytest.mark.parametrize("timezone", ["UTC", "Europe/Tirane", "America/New_York"])
def test_no_feature_knows_the_future(poison, timezone):
    issues = [START + timedelta(days=d, hours=h) for d, h in ((30, 0), (31, 13), (33, 5))]
    clean = history(days=45)
    for issue in issues:
        poisoned = clean.with_columns(
            load_kw=pl.when(pl.col("hour_start") < issue).then("load_kw").otherwise(poison)
        )
        expected, actual = (
            features(rows, issue, timezone=timezone, horizon_hours=72).drop("load_kw")
            for rows in (clean, poisoned)
        )
        assert_frame_equal(actual, expected)


AUTUMN = datetime(2025, 10, 26, tzinfo=UTC)
SPRING = datetime(2025, 3, 30, tzinfo=UTC)


@given(
    day=st.sampled_from([SPRING, AUTUMN]),
    hour=st.integers(-30, 30),
    horizon=st.sampled_from([1, 24, 36, 200]),
    poison=st.sampled_from([float("nan"), 1e12, None]),
    step=st.sampled_from([HOUR, HOUR / 2, HOUR * 3]),
)
def test_no_feature_knows_the_future_around_a_clock_change(day, hour, horizon, poison, step):
    issue = day + hour // 3 * 3 * HOUR
    first = day - timedelta(days=38)
    times = [first + n * step for n in range(timedelta(days=50) // step)]
    clean = pl.DataFrame(
        {"hour_start": times, "load_kw": [float(n % 97) for n in range(len(times))]}
    )
    clean = clean.with_columns(
        pl.col("hour_start").cast(pl.Datetime("us", "UTC")), feeder_id=pl.lit("F")
    )
    poisoned = clean.with_columns(
        load_kw=pl.when(pl.col("hour_start") < issue).then("load_kw").otherwise(poison)
    )
    expected, actual = (
        features(rows, issue, timezone="Europe/Tirane", horizon_hours=horizon, step=step)
        for rows in (clean, poisoned)
    )
    assert_frame_equal(actual.drop("load_kw"), expected.drop("load_kw"))
    assert actual["load_kw"].equals(
        poisoned.join(actual, on="hour_start")["load_kw"].fill_nan(None)
    )


def test_history_needed_is_enough_history():
    issue = START + timedelta(days=60)
    whole = history(days=65)
    recent = whole.filter(pl.col("hour_start") >= issue - HISTORY_NEEDED)
    for horizon in (24, 168):
        assert_frame_equal(
            features(recent, issue, horizon_hours=horizon),
            features(whole, issue, horizon_hours=horizon),
        )


def test_one_issue_time_gives_the_rows_that_many_give():
    issues = [START + timedelta(days=day) for day in range(30, 36)]
    together = features(history(), *issues)
    one_by_one = pl.concat([features(history(), issue) for issue in issues])
    assert_frame_equal(together, one_by_one.sort("feeder_id", "issue_time", "hour_start"))


def test_pandas_and_polars_give_the_same_features():
    rows = history()
    issues = [START + timedelta(days=day) for day in (30, 38)]
    polars = features(rows, *issues, timezone="Europe/Tirane", country="AL")
    pandas = features(
        pd.DataFrame(rows.to_dict(as_series=False)), *issues, timezone="Europe/Tirane", country="AL"
    )
    assert isinstance(pandas, pd.DataFrame)
    assert_frame_equal(pl.from_pandas(pandas), polars, check_dtypes=False)


def test_yesterday_is_the_same_hour_on_the_clock_across_the_change_to_summer_time():
    local_hours = (
        history(days=120)
        .filter(pl.col("feeder_id") == "F1")
        .with_columns(
            load_kw=pl.col("hour_start")
            .dt.convert_time_zone("Europe/Tirane")
            .dt.hour()
            .cast(pl.Float64)
        )
    )
    issue = datetime(2025, 3, 30, 22, tzinfo=UTC)
    table = features(local_hours, issue, timezone="Europe/Tirane")
    assert table["same_hour_1d_kw"].to_list() == [0.0, 1.0, None, *map(float, range(3, 24))]
    assert table["same_hour_2d_kw"].to_list() == [*map(float, range(24))]


def test_beyond_a_day_the_last_known_same_hour_is_repeated():
    issue = START + timedelta(days=30)
    table = features(history(feeders=("F1",)), issue, horizon_hours=72)
    yesterday = [float(30 * 24 - 24 + hour) for hour in range(24)]
    assert table["same_hour_1d_kw"].to_list() == yesterday * 3


def test_half_hours_have_rows_of_their_own():
    issue = START + timedelta(days=30)
    table = features(history(feeders=("F1",), step=HOUR / 2), issue, step=HOUR / 2)
    assert table.height == 48
    assert table["lead_hours"].to_list() == [n / 2 for n in range(48)]
    assert table["same_hour_1d_kw"].to_list() == [30 * 48 - 48 + n for n in range(48)]
    assert table["latest_2h_kw"].unique().to_list() == [30 * 48 - 3.5]


def test_an_issue_time_off_the_grid_is_refused():
    with pytest.raises(ValueError, match="not on the grid"):
        features(history(), START + timedelta(minutes=10))
    with pytest.raises(ValueError, match="no time zone"):
        features(history(), datetime(2025, 1, 30))  # noqa: DTZ001
    with pytest.raises(ValueError, match="does not divide a day"):
        features(history(), START, step=timedelta(hours=5))


def test_no_issue_time_and_no_history_give_no_rows():
    assert features(history()).height == 0
    assert features(history().clear(), START).height == 0


def test_a_load_that_pauses_keeps_a_scale_and_one_that_never_was_has_none():
    issue = START + timedelta(days=30)
    paused = history(feeders=("F1",)).with_columns(
        load_kw=pl.when(pl.col("hour_start") < issue - timedelta(days=2)).then(-8.0).otherwise(0.0)
    )
    row = features(paused, issue).row(0, named=True)
    level = pytest.approx(8 * 26 / 28)
    assert (row["level_kw"], row["level_24h_kw"] * 10, row["level_1h_kw"] * 10) == (level,) * 3
    row = features(paused.with_columns(load_kw=pl.lit(0.0)), issue).row(0, named=True)
    assert (row["level_kw"], row["level_24h_kw"], row["level_1h_kw"]) == (None, None, None)
