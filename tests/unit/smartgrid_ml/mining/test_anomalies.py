"""Anomalies by kind, by example and by property."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from smartgrid_core.time import DAY, HOUR, Window
from smartgrid_ml.mining.anomalies import THRESHOLD, Detection, detect
from smartgrid_ml.mining.anomaly_spells import folded

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 42
SOME = settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.generate))
"""An example takes a second: searching for a smaller one would take minutes."""
NOON = START + 30 * DAY + 12 * HOUR


def hourly(
    *, seed: int = 1, days: int = DAYS, level: float = 10.0, noise: float = 0.4
) -> np.ndarray:
    """A load with an evening, calm weekends and noise, kW, (days * 24,)."""
    rng = np.random.default_rng(seed)
    hour, day = np.arange(days * 24) % 24, np.arange(days * 24) // 24
    evening = 4 * np.exp(-(((hour - 19) / 3) ** 2))
    weekend = np.where(day % 7 >= 5, 0.8, 1.0)
    return (level + evening) * weekend + noise * rng.standard_normal(days * 24)


def readings(**series: np.ndarray) -> pl.DataFrame:
    """Hourly rows from START on; NaN is a reading that is missing."""
    return pl.concat(
        pl.DataFrame(
            {
                "series": name,
                "time": [START + hour * HOUR for hour in range(len(values))],
                "value": values,
            },
            schema_overrides={"time": pl.Datetime("us", "UTC")},
        ).drop_nans("value")
        for name, values in series.items()
    )


def at(instant: datetime) -> int:
    return int((instant - START) / HOUR)


def found(rows: pl.DataFrame, **options) -> Detection:
    return detect(rows, step=HOUR, **{"units": "kW", **options})


def only(detection: Detection) -> dict:
    assert detection.anomalies.height == 1, detection.anomalies.to_dicts()
    return detection.anomalies.row(0, named=True)


def test_a_clean_series_has_no_anomaly_and_lies_in_its_range():
    detection = found(readings(**{f"s{seed}": hourly(seed=seed) for seed in range(8)}))

    assert detection.anomalies.is_empty()
    judged = detection.scores.drop_nulls()
    assert judged.height == 8 * (DAYS - 14) * 24
    assert judged.filter(~pl.col("value").is_between("lower", "upper")).is_empty()
    assert detection.scores.height == 8 * DAYS * 24
    assert (detection.scores["score"] < THRESHOLD).all()


def test_a_spike_is_found_once_with_its_value_and_range():
    values = hourly()
    values[at(NOON)] = 30.0

    spike = only(found(readings(s=values)))

    assert (spike["kind"], spike["start_time"], spike["end_time"]) == (
        "spike",
        NOON,
        NOON + HOUR,
    )
    assert spike["time"] == NOON
    assert spike["value"] == 30.0
    assert 4 < spike["lower"] < 10 < spike["upper"] < 20
    assert spike["reason"].startswith("30 kW at 2026-04-01 12:00Z, expected was ")


def test_a_level_that_shifts_and_returns_is_one_anomaly():
    values = hourly()
    values[at(NOON) : at(NOON + 3 * DAY)] += 5.0

    shift = only(found(readings(s=values)))

    assert shift["kind"] == "level_shift"
    assert abs(shift["start_time"] - NOON) <= 3 * HOUR
    assert abs(shift["end_time"] - (NOON + 3 * DAY)) <= 12 * HOUR
    assert shift["value"] > shift["upper"]
    assert "days, expected was" in shift["reason"]


def test_a_level_that_stays_becomes_the_new_normal():
    values = hourly(days=70)
    values[at(NOON) :] += 5.0

    detection = found(readings(s=values))

    shift = only(detection)
    assert shift["kind"] == "level_shift"
    assert 6 * DAY < shift["end_time"] - shift["start_time"] < 9 * DAY
    last = detection.scores.filter(pl.col("time") >= START + 60 * DAY)
    assert last.filter(~pl.col("value").is_between("lower", "upper")).is_empty()


def test_a_flat_line_is_found_from_its_first_reading():
    values = hourly()
    values[at(NOON) : at(NOON + 9 * HOUR)] = values[at(NOON)]

    flat = only(found(readings(s=values)))

    assert (flat["kind"], flat["start_time"], flat["end_time"]) == (
        "flatline",
        NOON,
        NOON + 9 * HOUR,
    )
    assert flat["reason"].startswith("every reading of 9 hours is ")


def test_what_stands_still_by_habit_is_no_flat_line():
    rng = np.random.default_rng(3)
    hour = np.arange(DAYS * 24) % 24
    sun = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None) * (5 + rng.random(DAYS * 24))
    charger = np.where(
        (hour >= 18) & (hour < 21) & np.repeat(rng.random(DAYS) < 0.5, 24),
        7 + rng.random(DAYS * 24),
        0.0,
    )

    assert found(readings(sun=sun, charger=charger)).anomalies.is_empty()


def test_a_gap_is_found_from_the_first_reading_that_is_missing():
    values = hourly()
    values[at(NOON) : at(NOON + 30 * HOUR)] = np.nan

    gap = only(found(readings(s=values, other=hourly(seed=2))))

    assert (gap["kind"], gap["start_time"], gap["end_time"], gap["value"]) == (
        "missing",
        NOON,
        NOON + 30 * HOUR,
        None,
    )
    assert gap["reason"].startswith("no reading for 30 hours, expected was ")


def test_a_null_is_missing_too_and_what_has_not_come_yet_is_not():
    values = hourly()
    rows = readings(s=values).with_columns(
        value=pl.when(~pl.col("time").is_between(NOON, NOON + 4 * HOUR)).then("value")
    )

    assert only(found(rows))["kind"] == "missing"
    cut = readings(s=values[: at(NOON)], other=hourly(seed=2)[: at(NOON)])
    assert found(cut, end=NOON).anomalies.is_empty()


def test_a_drift_is_told_from_a_shift():
    values = hourly()
    days = np.clip((np.arange(len(values)) - at(NOON - 2 * DAY)) / 24, 0, 10)
    values += 0.6 * days

    drift = only(found(readings(s=values)))

    assert drift["kind"] == "drift"
    assert NOON - 2 * DAY < drift["start_time"] < NOON + 4 * DAY
    assert drift["value"] > drift["upper"]


def test_values_beyond_the_limits_are_out_of_band_at_once():
    values = hourly(days=3)
    values[30:33] = 25.0
    limits = pl.DataFrame({"series": ["s"], "low": [0.0], "high": [20.0], "what": ["the rating"]})

    band = only(found(readings(s=values), limits=limits))

    assert (band["kind"], band["start_time"], band["end_time"]) == (
        "out_of_band",
        START + 30 * HOUR,
        START + 33 * HOUR,
    )
    assert (band["value"], band["lower"], band["upper"]) == (25.0, 0.0, 20.0)
    assert band["reason"] == (
        "25 kW at 2026-03-03 06:00Z, the rating is 0 to 20 kW; outside for 3 hours"
    )


def test_uneven_phases_are_one_anomaly_of_the_phase_that_is_so_most():
    mean = hourly(level=40.0)
    rng = np.random.default_rng(5)
    shares = np.array([[0.05], [0.0], [-0.05]]) + 0.02 * rng.standard_normal((3, len(mean)))
    shares[:, at(NOON) : at(NOON + 2 * DAY)] += np.array([[-0.1], [0.2], [-0.1]])
    phases = {f"L{row + 1}": mean * (1 + share) for row, share in enumerate(shares)}
    groups = pl.DataFrame({"series": list(phases), "peer_group": None, "phase_set": "T1"})

    uneven = only(found(readings(**phases), groups=groups, units="A"))

    assert (uneven["series"], uneven["kind"]) == ("L2", "phase_imbalance")
    assert abs(uneven["start_time"] - NOON) <= 3 * HOUR
    assert "% above the mean of its phases" in uneven["reason"]


def test_what_the_neighbours_do_as_well_is_expected_and_what_one_does_alone_is_not():
    rng = np.random.default_rng(7)
    front = np.zeros(DAYS * 24)
    for hour in range(1, len(front)):
        front[hour] = 0.97 * front[hour - 1] + 0.5 * rng.standard_normal()
    front[at(NOON) : at(NOON + 10 * HOUR)] += 8.0
    homes = {f"s{seed}": hourly(seed=seed) + front for seed in range(5)}
    homes["s0"][at(NOON + 3 * DAY) : at(NOON + 3 * DAY + 10 * HOUR)] += 8.0
    groups = pl.DataFrame({"series": list(homes), "peer_group": "homes"})

    assert found(readings(**homes)).anomalies.is_empty()
    alone = only(found(readings(**homes), groups=groups))
    assert alone["series"] == "s0"
    assert abs(alone["start_time"] - (NOON + 3 * DAY)) <= 3 * HOUR


def test_what_the_weather_explains_is_expected():
    rng = np.random.default_rng(8)
    temperature = 10 + 5 * np.repeat(rng.standard_normal(DAYS), 24)
    temperature[at(NOON) - 12 : at(NOON) + 12] = -12.0
    heating = hourly() - 0.5 * (temperature - 10)
    context = pl.DataFrame(
        {
            "time": [START + hour * HOUR for hour in range(DAYS * 24)],
            "temperature_c": temperature,
        }
    )

    cold = {"start": NOON - 12 * HOUR, "end": NOON + 12 * HOUR}
    told = found(readings(s=heating), context=context).scores
    plain = found(readings(s=heating)).scores
    day = pl.col("time").is_between(cold["start"], cold["end"], closed="left")
    assert told.filter(day)["score"].mean() < plain.filter(day)["score"].mean()
    assert told.filter(day, pl.col("score") >= THRESHOLD).is_empty()


def faulty() -> pl.DataFrame:
    """Three series with a fault of every lasting kind, some over midnight."""
    shifted, gappy, drifting = hourly(), hourly(seed=2), hourly(seed=3)
    shifted[at(NOON) : at(NOON + 3 * DAY)] += 5.0
    shifted[at(NOON) - 100] = 40.0
    gappy[at(NOON) : at(NOON + 30 * HOUR)] = np.nan
    gappy[at(NOON) - 150 : at(NOON) - 135] = 9.0
    drifting += 0.6 * np.clip((np.arange(len(drifting)) - at(NOON)) / 24, 0, 10)
    return readings(shifted=shifted, gappy=gappy, drifting=drifting)


GROUPS = pl.DataFrame(
    {"series": ["shifted", "gappy", "drifting"], "peer_group": "homes", "phase_set": "place"}
)


def in_pieces(rows: pl.DataFrame, cuts: list[int], **options) -> Detection:
    """The same readings, judged in several calls, each knowing only the state before it."""
    state, pieces = None, []
    edges = [0, *cuts, DAYS]
    for first, last in pairwise(edges):
        window = Window(START + first * DAY, START + last * DAY)
        some = rows.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
        piece = found(some, state=state, end=window.end, **options)
        state = piece.states
        pieces.append(piece)
    parts = pl.concat([piece.parts for piece in pieces])
    return Detection(
        anomalies=folded(parts),
        scores=pl.concat([piece.scores for piece in pieces]).sort("series", "time"),
        parts=parts,
        states=state,
    )


@SOME
@given(st.sets(st.integers(1, DAYS - 1), min_size=1, max_size=4).map(sorted))
def test_days_in_one_call_or_in_many_give_the_same_rows(cuts: list[int]):
    rows = faulty()

    whole, pieces = found(rows, groups=GROUPS), in_pieces(rows, cuts, groups=GROUPS)

    assert_frame_equal(whole.anomalies, pieces.anomalies)
    assert_frame_equal(whole.scores, pieces.scores)
    assert_frame_equal(whole.states, pieces.states)


def test_day_by_day_gives_the_same_rows_as_all_at_once():
    rows = faulty()

    whole = found(rows)

    assert_frame_equal(whole.anomalies, in_pieces(rows, list(range(1, DAYS))).anomalies)
    assert set(whole.anomalies["kind"]) >= {"spike", "level_shift", "missing", "drift"}


def test_a_series_that_is_silent_for_weeks_is_forgotten():
    gone, other = hourly(days=80), hourly(seed=2, days=80)
    gone[10 * 24 :] = np.nan

    detection = found(readings(gone=gone, other=other))

    assert only(detection)["kind"] == "missing"
    assert detection.states["series"].to_list() == ["other"]


def test_readings_of_a_day_that_the_state_knows_are_refused():
    rows = faulty()

    with pytest.raises(ValueError, match="the state knows 2026-04-12 already"):
        found(rows, state=found(rows).states)


@SOME
@given(scale=st.floats(0.01, 1000.0), shift=st.floats(-1000.0, 1000.0))
def test_another_unit_scales_the_range_and_keeps_the_scores(scale: float, shift: float):
    values = hourly(days=25)
    values[20 * 24 + 12] += 8.0
    plain = found(readings(s=values)).scores
    other = found(readings(s=values * scale + shift)).scores

    assert_frame_equal(plain.select("score"), other.select("score"), abs_tol=1e-5)
    for edge in ("lower", "upper"):
        told = (plain[edge] * scale + shift).drop_nulls().to_numpy()
        assert other[edge].drop_nulls().to_numpy() == pytest.approx(
            told, rel=1e-6, abs=1e-6 * (scale + abs(shift))
        )


@SOME
@given(
    st.sets(st.integers(15 * 24, 40 * 24), min_size=1, max_size=3),
    st.floats(-200.0, 200.0).filter(lambda size: abs(size) > 20),
)
def test_anomalies_of_the_past_hardly_widen_the_range_of_today(hours: set[int], size: float):
    clean, dirty = hourly(), hourly()
    dirty[sorted(hours)] += size
    last_day = pl.col("time") >= START + 41 * DAY

    def width(values: np.ndarray) -> float:
        rows = found(readings(s=values)).scores.filter(last_day)
        return float((rows["upper"] - rows["lower"]).mean())

    assert width(dirty) < 2.0 * width(clean)


def test_nothing_at_all_gives_empty_tables():
    nothing = detect(
        pl.DataFrame(schema={"series": pl.String, "time": pl.Datetime, "value": pl.Float64}),
        step=HOUR,
    )

    assert [frame.height for frame in (nothing.anomalies, nothing.scores, nothing.states)] == [
        0,
        0,
        0,
    ]


def test_a_series_of_nulls_alone_has_no_range_and_no_anomaly():
    rows = readings(s=hourly(days=20)).with_columns(value=pl.lit(None, pl.Float64))

    detection = found(rows)

    assert detection.anomalies.is_empty()
    assert detection.scores["score"].unique().to_list() == [0.0]


def test_steps_that_do_not_divide_a_day_are_refused():
    with pytest.raises(ValueError, match="does not divide a day"):
        detect(readings(s=hourly(days=1)), step=timedelta(minutes=7))


@pytest.mark.parametrize("minutes", [5, 15, 1440])
def test_steps_of_minutes_to_a_day_are_judged(minutes: int):
    step = timedelta(minutes=minutes)
    days = 30 if minutes < 60 else 120
    count = days * DAY // step
    rng = np.random.default_rng(2)
    values = 50 + 10 * np.sin(np.arange(count) * (step / DAY) * 2 * np.pi)
    values = values + rng.standard_normal(count)
    values[-3] = 200.0
    rows = pl.DataFrame(
        {"series": "s", "time": [START + n * step for n in range(count)], "value": values}
    )

    spike = only(detect(rows, step=step))

    assert (spike["kind"], spike["time"]) == ("spike", START + (count - 3) * step)


def test_a_wall_clock_without_zone_is_read_as_utc():
    rows = readings(s=hourly()).with_columns(pl.col("time").dt.replace_time_zone(None))

    assert found(rows).scores["time"].dtype == pl.Datetime("us", "UTC")


def test_a_holiday_is_expected_to_be_like_a_sunday():
    values = hourly(noise=0.2, days=70)
    first_of_may = at(datetime(2026, 5, 1, tzinfo=UTC))
    values[first_of_may : first_of_may + 24] *= 0.8
    day = pl.col("time").dt.date() == date(2026, 5, 1)
    rows = readings(s=values)

    knowing = found(rows, country="AL").scores.filter(day)
    ignorant = found(rows).scores.filter(day)

    assert (knowing["value"] - knowing["lower"]).mean() > (
        ignorant["value"] - ignorant["lower"]
    ).mean()
    assert knowing["score"].mean() < ignorant["score"].mean()
