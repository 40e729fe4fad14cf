"""What counts as an event of a feeder and hour, and against what it is judged."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from smartgrid_core.contracts.aggregates import FeederLoad, SensorAggregates
from smartgrid_core.contracts.event_items import (
    CONSEQUENTS,
    FAMILIES,
    ITEMS,
    LINKS,
    are_linked,
    is_sound_rule,
)
from smartgrid_core.contracts.events import GridEvents
from smartgrid_core.features.events import find_grid_events, group_into_shifts
from smartgrid_core.time import DAY, HOUR, Window

TIRANE = ZoneInfo("Europe/Tirane")
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
THE_DAY = Window.of_day(MONDAY.date())
START = MONDAY - 28 * DAY
CLOCK = {*FAMILIES["hour"], *FAMILIES["weekday"]}

TREE = pl.DataFrame(
    [
        ("SUB1", "substation", None, 20_000.0, None),
        ("F1", "feeder", "SUB1", 20_000.0, 100.0),
        ("F2", "feeder", "SUB1", 20_000.0, None),
        ("T1", "transformer", "F1", 400.0, None),
        ("T2", "transformer", "F2", 400.0, None),
        ("S-T1", "sensor", "T1", None, None),
        ("M1", "meter", "T1", 400.0, None),
        ("M2", "meter", "T2", 400.0, None),
    ],
    schema=["node_id", "node_kind", "parent_id", "nominal_voltage_v", "rating_kw"],
    orient="row",
)


def load(of_hour=lambda at: 10.0, *, feeders=("F1", "F2"), end=THE_DAY.end, **columns):
    """Four weeks and a day of both feeders' load."""
    hours = [START + HOUR * number for number in range(int((end - START) / HOUR))]
    rows = [(feeder, at, of_hour(at)) for feeder in feeders for at in hours]
    frame = pl.DataFrame(rows, schema=["feeder_id", "hour_start", "load_kw"], orient="row")
    filled = {"meters": 10, "expected_meters": 10, "estimated_share": 0.0, **columns}
    return FeederLoad.cast(
        frame.drop_nulls("load_kw").with_columns(
            **{
                name: value if isinstance(value, pl.Expr) else pl.lit(value)
                for name, value in filled.items()
            }
        )
    )


def volts(*readings: tuple[int, float, float], count: int = 4) -> pl.DataFrame:
    """Mean and least voltage of S-T1 in hours of the day; 231 V in the others."""
    by_hour = {hour: (mean, least) for hour, mean, least in readings}
    rows = [
        {
            "sensor_id": "S-T1",
            "sensor_type": "voltage",
            "hour_bucket": MONDAY + HOUR * hour,
            "avg_value": by_hour.get(hour, (231.0, 231.0))[0],
            "min_value": by_hour.get(hour, (231.0, 231.0))[1],
            "max_value": 260.0,
            "stddev_value": 0.1,
            "count": count,
            "expected_count": 4,
        }
        for hour in range(24)
    ]
    return SensorAggregates.cast(pl.DataFrame(rows))


def events(**inputs) -> pl.DataFrame:
    return find_grid_events(
        **{
            "window": THE_DAY,
            "topology": TREE,
            "load": load(),
            "sensors": SensorAggregates.create_empty(),
            "timezone": TIRANE,
            "country": "AL",
            **inputs,
        }
    )


def hours_of(item: str, found: pl.DataFrame, *, feeder: str = "F1") -> list[int]:
    mine = found.filter(pl.col("item") == item, pl.col("feeder_id") == feeder)
    return [int((at - MONDAY) / HOUR) for at in mine["hour_start"]]


def happened(found: pl.DataFrame) -> set[str]:
    """Items beside those of the clock."""
    return set(found["item"]) - CLOCK


def test_a_calm_day_has_the_items_of_the_clock_and_no_other():
    found = events()

    assert happened(found) == set()
    assert found.height == 2 * 24 * 2
    # Tirane is an hour ahead: its night ends at 5:00 UTC.
    assert hours_of("night", found) == [0, 1, 2, 3, 4, 21, 22, 23]
    assert hours_of("morning", found) == [5, 6, 7, 8]
    assert hours_of("evening", found) == [16, 17, 18, 19, 20]
    assert hours_of("workday", found) == list(range(24))
    GridEvents.validate(found)


def test_a_public_holiday_counts_as_a_sunday():
    # Summer Day in Albania, a Friday; Tirane reaches the Saturday an hour before the UTC day ends.
    window = Window.of_day(date(2025, 3, 14))
    rows = load().with_columns(hour_start=pl.col("hour_start") - pl.lit(MONDAY - window.start))
    found = events(window=window, load=rows)
    kinds = {
        kind: found.filter(pl.col("item") == kind)["hour_start"].n_unique()
        for kind in FAMILIES["weekday"]
    }
    assert kinds == {"workday": 0, "saturday": 1, "sunday_or_holiday": 23}


def test_voltage_is_low_and_high_by_the_mean_against_the_nominal_one():
    found = events(sensors=volts((3, 219.0, 200.0), (4, 220.0, 200.0), (5, 243.0, 231.0)))

    assert hours_of("voltage_low", found) == [3]
    assert hours_of("voltage_high", found) == [5]
    assert happened(found.filter(pl.col("feeder_id") == "F2")) == set()


def test_a_voltage_that_is_gone_is_an_outage_and_no_low_voltage():
    found = events(sensors=volts((7, 60.0, 0.5)))

    assert happened(found) == {"outage"}
    assert hours_of("outage", found) == [7]


def test_a_feeder_of_which_no_meter_reports_while_others_do_has_an_outage():
    both = load()
    gone = (pl.col("feeder_id") == "F1") & (pl.col("hour_start") == MONDAY + 9 * HOUR)

    assert hours_of("outage", events(load=both.filter(~gone))) == [9]
    everywhere = both.filter(pl.col("hour_start") != MONDAY + 9 * HOUR)
    assert hours_of("outage", events(load=everywhere)) == []


def test_a_peak_is_above_the_feeders_own_past_and_not_above_the_days_own_hours():
    def rhythm(at: datetime) -> float:
        return (20.0 if at.hour >= 12 else 10.0) if at < MONDAY else 20.5 + at.hour / 100

    found = events(load=load(rhythm))

    assert hours_of("load_peak", found) == list(range(24))


def test_without_a_week_of_history_only_the_rating_makes_a_peak():
    short = load(lambda at: 100.0 if at == MONDAY + 8 * HOUR else 10.0).filter(
        pl.col("hour_start") >= MONDAY - 6 * DAY
    )
    found = events(load=short)

    assert happened(found) == {"load_peak"}
    assert hours_of("load_peak", found) == [8]
    assert hours_of("load_peak", found, feeder="F2") == []


def test_ramps_are_changes_that_the_past_seldom_saw():
    def step(at: datetime) -> float:
        return 20.0 if at >= MONDAY + 6 * HOUR and at < MONDAY + 9 * HOUR else 10.0

    found = events(load=load(step))

    assert hours_of("ramp_up", found) == [6]
    assert hours_of("ramp_down", found) == [9]


def test_a_change_across_a_missing_hour_is_no_ramp():
    def jump(at: datetime) -> float | None:
        return None if at == MONDAY + 6 * HOUR else (30.0 if at > MONDAY + 6 * HOUR else 10.0)

    found = events(load=load(jump))

    assert hours_of("ramp_up", found) == []


def test_feed_in_that_exceeds_the_load_flows_back():
    found = events(load=load(lambda at: -5.0 if at == MONDAY + 11 * HOUR else 10.0))

    assert hours_of("reverse_flow", found) == [11]


def test_silent_meters_are_an_event_and_their_load_is_none():
    is_silent = (pl.col("feeder_id") == "F1") & (pl.col("hour_start") == MONDAY + 4 * HOUR)
    few = load(
        lambda at: 90.0 if at == MONDAY + 4 * HOUR else 10.0,
        meters=pl.when(is_silent).then(8).otherwise(10),
    )
    found = events(load=few)

    assert hours_of("meters_silent", found) == [4]
    assert hours_of("load_peak", found) == []
    assert hours_of("load_peak", found, feeder="F2") == [4]


def test_estimated_energy_is_an_event_from_a_twentieth_on():
    hour = pl.col("hour_start").dt.hour()
    share = pl.when(hour == 2).then(0.06).when(hour == 3).then(0.05).otherwise(0.0)

    assert hours_of("readings_estimated", events(load=load(estimated_share=share))) == [2]


def test_a_sensor_that_sends_less_than_half_is_silent():
    sensors = volts()
    thin = sensors.with_columns(
        count=pl.when(pl.col("hour_bucket") == MONDAY).then(1).otherwise(4).cast(pl.Int64)
    )
    other = sensors.with_columns(sensor_id=pl.lit("S-T2"))
    tree = pl.concat(
        [
            TREE,
            TREE.filter(pl.col("node_id") == "S-T1").with_columns(
                node_id=pl.lit("S-T2"), parent_id=pl.lit("T2")
            ),
        ]
    )
    gone = thin.filter(pl.col("hour_bucket") != MONDAY + 5 * HOUR)
    found = events(topology=tree, sensors=pl.concat([gone, other]))

    assert hours_of("sensor_silent", found) == [0, 5]
    assert hours_of("sensor_silent", found, feeder="F2") == []


def test_the_temperature_is_the_mean_of_the_stations():
    def station(name: str, shift: float) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "station_id": name,
                "hour_start": [MONDAY + HOUR * hour for hour in range(4)],
                "temperature_c": [shift - 1.0, shift + 14.9, shift + 15.0, shift + 24.0],
            }
        ).with_columns(pl.col("hour_start").dt.cast_time_unit("us"))

    found = events(weather=pl.concat([station("A", -1.0), station("B", 1.0)]))

    assert [hours_of(band, found) for band in FAMILIES["temperature"]] == [[0], [1], [2], [3]]


def test_exceedances_alerts_and_findings_are_events_of_the_feeder_they_are_about():
    exceedances = pl.DataFrame(
        {
            "feeder_id": ["F1", "F1"],
            "hour_start": [MONDAY + 18 * HOUR, MONDAY + 19 * HOUR],
            "probability": [0.6, 0.4],
        }
    ).with_columns(pl.col("hour_start").dt.cast_time_unit("us"))
    alerts = pl.DataFrame(
        {"subject_id": ["S-T1", "X"], "opened_at": [MONDAY + 1.5 * HOUR, MONDAY]}
    ).with_columns(pl.col("opened_at").dt.cast_time_unit("us"))
    findings = pl.DataFrame(
        {
            "subject_id": ["M1", "M2", "M1"],
            "kind": ["gap", "unit_slip", "gap"],
            "start_time": [MONDAY + 2.75 * HOUR, MONDAY + 6 * HOUR, MONDAY - 9 * DAY],
            "end_time": [MONDAY + 4 * HOUR, MONDAY + 6 * HOUR, MONDAY - 8 * DAY],
        }
    ).with_columns(pl.col("start_time", "end_time").dt.cast_time_unit("us"))

    found = events(exceedances=exceedances, alerts=alerts, findings=findings)

    assert hours_of("limit_exceedance", found) == [18]
    assert hours_of("alert", found) == [1]
    assert hours_of("finding_gap", found) == [2, 3]
    assert hours_of("finding_unit_slip", found, feeder="F2") == [6]
    assert happened(found) == {"limit_exceedance", "alert", "finding_gap", "finding_unit_slip"}


def test_a_day_has_the_same_events_alone_and_in_a_range():
    def growing(at: datetime) -> float:
        return 10 + (at - START) / DAY + 5 * (at.hour in (7, 18))

    later = load(growing, end=THE_DAY.end + 3 * DAY)
    whole = events(window=Window(THE_DAY.start, THE_DAY.end + 3 * DAY), load=later)
    alone = [
        events(window=Window(THE_DAY.start + n * DAY, THE_DAY.end + n * DAY), load=later)
        for n in range(4)
    ]

    assert (
        pl.concat(alone).sort(GridEvents.primary_key()).equals(whole.sort(GridEvents.primary_key()))
    )
    assert "load_peak" in happened(whole)


@pytest.mark.parametrize("missing", ["load", "sensors", "both"])
def test_an_empty_lake_has_no_events_and_one_table_is_enough(missing: str):
    empty = {"load": FeederLoad.create_empty(), "sensors": SensorAggregates.create_empty()}
    given = {"load": load(), "sensors": volts()}
    kept = given if missing == "both" else {missing: given[missing]}
    found = events(**{**given, **{name: empty[name] for name in kept}})

    assert found.is_empty() == (missing == "both")


def test_a_shift_has_what_one_of_its_hours_has_and_the_clock_of_its_first():
    found = events(sensors=volts((15, 219.0, 219.0)))
    shifts = group_into_shifts(found, timezone=TIRANE).filter(pl.col("feeder_id") == "F1")

    # Local shifts begin at 6, 14 and 22: at 5, 13 and 21 UTC; the day cuts the first one.
    assert [int((at - MONDAY) / HOUR) for at in shifts["hour_start"].unique().sort()] == [
        0,
        5,
        13,
        21,
    ]
    by_shift = shifts.group_by("hour_start").agg(pl.col("item").sort()).sort("hour_start")
    assert by_shift["item"].to_list() == [
        ["night", "workday"],
        ["morning", "workday"],
        ["midday", "voltage_low", "workday"],
        ["night", "workday"],
    ]


def test_links_speak_of_what_there_is_and_hold_both_ways():
    names = {*ITEMS, *FAMILIES}

    assert {name for first, second, _ in LINKS for name in (first, second)} <= names
    assert all(are_linked(one, other) == are_linked(other, one) for one in ITEMS for other in ITEMS)
    assert set(CONSEQUENTS) <= set(ITEMS)


@pytest.mark.parametrize(
    ("antecedent", "consequent", "is_sound"),
    [
        ({"evening", "load_peak"}, "voltage_low", True),
        ({"evening", "workday"}, "voltage_low", True),
        ({"ramp_up"}, "load_peak", False),
        ({"evening", "night"}, "voltage_low", False),
        ({"finding_voltage_sag"}, "voltage_low", False),
        ({"finding_gap"}, "voltage_low", True),
        ({"cold", "voltage_low"}, "outage", False),
        ({"limit_exceedance"}, "load_peak", False),
    ],
)
def test_a_rule_holds_one_item_per_family_and_nothing_that_is_linked(
    antecedent: set[str], consequent: str, is_sound: bool
):
    assert is_sound_rule(frozenset(antecedent), consequent) == is_sound


def test_what_comes_after_the_day_changes_none_of_its_events():
    base = load(lambda at: 10.0)
    tomorrow = load(lambda at: 10.0 if at < THE_DAY.end else 500.0, end=THE_DAY.end + timedelta(1))

    assert events(load=base).equals(events(load=tomorrow))
