"""Figures of quality, on rows small enough to check by hand."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.contracts.aggregates import FeederLoad, MeterConsumption, SensorAggregates
from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.quality import (
    Violation,
    add_aggregate_figures,
    add_consumption_figures,
    add_feature_figures,
    add_feeder_figures,
    add_meter_figures,
    add_sensor_figures,
    find_contract_violations,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def readings(*values: tuple[str, str, int, float]) -> pl.DataFrame:
    """Rows of SensorData from (sensor, quantity, quarter of an hour after noon, value)."""
    return SensorData.cast(
        pl.DataFrame(
            [
                {
                    "event_id": f"{sensor}-{quantity}-{quarter}",
                    "sensor_id": sensor,
                    "sensor_type": quantity,
                    "value": value,
                    "latitude": None,
                    "longitude": None,
                    "event_time": NOON + quarter * QUARTER,
                    "ingested_at": NOON,
                    "metadata": None,
                }
                for sensor, quantity, quarter, value in values
            ]
        )
    )


def registers(*values: tuple[str, int, float], kind: str = "register") -> pl.DataFrame:
    """Rows of MeterReadings from (meter, quarter of an hour after noon, kWh)."""
    return MeterReadings.cast(
        pl.DataFrame(
            [
                {
                    "event_id": f"{meter}-{quarter}",
                    "meter_id": meter,
                    "customer_id": None,
                    "reading": reading,
                    "unit": "kWh",
                    "reading_kind": kind,
                    "event_time": NOON + quarter * QUARTER,
                    "ingested_at": NOON,
                }
                for meter, quarter, reading in values
            ]
        )
    )


def test_a_missed_reading_is_a_gap_of_two_intervals():
    figures = add_sensor_figures(
        readings(*(("S1", "voltage", quarter, 230.0 + quarter) for quarter in (0, 1, 2, 4, 5))),
        at=NOON,
    )
    assert figures["gap_intervals"].to_list() == [None, 1.0, 1.0, 2.0, 1.0]


def test_a_value_stands_under_the_name_of_its_unit():
    figures = add_sensor_figures(
        readings(("S1", "voltage", 0, 253.0), ("S1", "power", 0, -2.5)), at=NOON
    )
    assert figures.select(
        "sensor_type", "voltage_pu", "current_a", "power_kw", "frequency_hz"
    ).rows() == [
        ("power", None, None, -2.5, None),
        ("voltage", 1.1, None, None, None),
    ]


@pytest.mark.parametrize(
    ("usual", "sagging", "pu"),
    [(230.0, 184.0, 0.8), (20_000 / 3**0.5, 10_392.3, 0.9), (241.0, 207.0, 0.9)],
)
def test_a_voltage_is_measured_by_the_declared_one_that_is_nearest(usual, sagging, pu):
    figures = add_sensor_figures(
        readings(
            ("S1", "voltage", 0, usual), ("S1", "voltage", 1, usual), ("S1", "voltage", 2, sagging)
        ),
        at=NOON,
    )
    assert figures["voltage_pu"].round(4).to_list()[2] == pu


def test_a_repeated_value_stands_still_and_a_repeated_zero_rests():
    figures = add_sensor_figures(
        readings(
            *(
                ("S1", "voltage", quarter, value)
                for quarter, value in enumerate([230, 231, 231, 231])
            ),
            *(("S2", "power", quarter, 0.0) for quarter in range(4)),
        ),
        at=NOON,
    )
    assert figures["standstill_hours"].to_list() == [0.0, 0.0, 0.25, 0.5, None, None, None, None]


def test_only_the_last_reading_of_a_series_is_silent_since():
    figures = add_sensor_figures(
        readings(("S1", "voltage", 0, 230.0), ("S1", "voltage", 1, 231.0), ("S2", "voltage", 3, 1)),
        at=NOON + 4 * QUARTER,
    )
    assert figures["silence_hours"].to_list() == [None, 0.75, 0.25]


def test_watts_sent_as_kilowatts_are_a_thousand_times_the_usual_size():
    values = [2.0] * 19 + [2000.0]
    figures = add_sensor_figures(
        readings(*(("S1", "power", quarter, value) for quarter, value in enumerate(values))),
        at=NOON,
    )
    assert figures["scale"].to_list() == [1.0] * 19 + [1000.0]


def test_a_falling_register_has_a_negative_step():
    figures = add_meter_figures(
        registers(("M1", 0, 100.0), ("M1", 1, 100.5), ("M1", 2, 0.0), ("M2", 2, 7.0)),
        at=NOON,
        capacity_kwh=1e6,
    )
    assert figures["register_step_kwh"].to_list() == [None, 0.5, -100.5, None]
    assert figures["register_kw"].to_list() == [None, 2.0, -402.0, None]


def test_a_register_that_rolls_over_counts_on():
    figures = add_meter_figures(
        registers(("M1", 0, 999.5), ("M1", 1, 0.25)), at=NOON, capacity_kwh=1000.0
    )
    assert figures["register_step_kwh"].to_list() == [None, 0.75]


def test_interval_readings_have_energy_and_no_step():
    figures = add_meter_figures(
        registers(("M1", 0, 0.2), ("M1", 1, 0.1), kind="interval"), at=NOON, capacity_kwh=1e6
    )
    assert figures.select("interval_kwh", "register_step_kwh", "standstill_hours").rows() == [
        (0.2, None, None),
        (0.1, None, None),
    ]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_a_growing_register_never_has_a_negative_step(energies: list[float]):
    counter = pl.Series(energies).cum_sum().to_list()
    figures = add_meter_figures(
        registers(*(("M1", quarter, reading) for quarter, reading in enumerate(counter))),
        at=NOON,
        capacity_kwh=1e6,
    )
    assert figures["register_step_kwh"].drop_nulls().ge(0).all()


@given(st.permutations(range(8)))
def test_the_order_in_which_readings_arrive_changes_no_figure(order: list[int]):
    rows = readings(*(("S1", "voltage", quarter, 230.0 + quarter % 3) for quarter in range(8)))
    assert add_sensor_figures(rows[order], at=NOON).equals(add_sensor_figures(rows, at=NOON))


def test_an_hour_with_three_of_four_readings_is_three_quarters_complete():
    hours = SensorAggregates.cast(
        pl.DataFrame(
            {
                "sensor_id": ["S1"],
                "sensor_type": ["voltage"],
                "hour_bucket": [NOON],
                "avg_value": [230.0],
                "min_value": [229.0],
                "max_value": [229.5],
                "stddev_value": [0.5],
                "count": [3],
                "expected_count": [4],
            }
        )
    )
    figures = add_aggregate_figures(hours, at=NOON + timedelta(hours=2))
    assert figures["completeness"].to_list() == [0.75]
    assert figures["silence_hours"].to_list() == [1.0]
    assert figures["voltage_pu"].to_list() == [1.0]
    assert figures["mean_outside"].round(6).to_list() == [0.5]


def test_half_a_day_of_intervals_covers_half_of_a_past_day_and_an_open_one_is_not_judged():
    intervals = MeterConsumption.cast(
        pl.DataFrame(
            {
                "meter_id": ["M1"] * 48,
                "interval_start": [MIDNIGHT + quarter * QUARTER for quarter in range(48)],
                "interval_minutes": [15] * 48,
                "energy_kwh": [0.5] * 48,
                "is_estimated": [True] + [False] * 47,
                "quality": ["gap"] + ["measured"] * 47,
            }
        )
    )
    past = add_consumption_figures(intervals, at=MIDNIGHT + timedelta(days=1))
    still_open = add_consumption_figures(intervals, at=NOON)
    assert past["day_coverage"].unique().to_list() == [0.5]
    assert still_open["day_coverage"].unique().to_list() == [None]
    assert past["estimated"].sum() == 1.0
    assert past["mean_kw"].unique().to_list() == [2.0]


def test_a_load_is_held_against_its_feeders_and_the_meters_that_are_expected():
    load = FeederLoad.cast(
        pl.DataFrame(
            {
                "feeder_id": ["F1", "F2", "grid"],
                "hour_start": [NOON] * 3,
                "load_kw": [1.0, -0.5, 0.75],
                "meters": [3, 2, 5],
                "expected_meters": [3, 4, None],
                "estimated_share": [0.0] * 3,
            }
        )
    )
    figures = add_feeder_figures(load, at=NOON)
    assert figures["grid_residual_kw"].to_list() == [None, None, 0.25]
    assert figures["meter_share"].to_list() == [1.0, 0.5, None]


def test_a_row_of_features_says_how_it_contradicts_itself():
    features = pl.DataFrame(
        {
            "feeder_id": ["F1", "F1"],
            "issue_time": [MIDNIGHT, MIDNIGHT],
            "hour_start": [NOON, NOON + timedelta(hours=1)],
            "lead_hours": [12.0, 12.0],
            "hour_sin": [0.0, 0.5],
            "hour_cos": [-1.0, -0.5],
            "load_kw": [2.0, None],
            "min_24h_kw": [1.0, 1.0],
            "mean_24h_kw": [2.0, 4.5],
            "max_24h_kw": [4.0, 4.0],
            "latest_1h_kw": [None, None],
        },
        schema_overrides={"latest_1h_kw": pl.Float64},
    ).cast({"issue_time": pl.Datetime("us", "UTC"), "hour_start": pl.Datetime("us", "UTC")})
    figures = add_feature_figures(features, at=MIDNIGHT + timedelta(hours=30))
    assert figures["lead_residual_h"].to_list() == [0.0, -1.0]
    assert figures["circle_residual"].to_list() == [0.0, -0.5]
    assert figures["mean_outside_kw"].to_list() == pytest.approx([-1.0, 0.5])
    assert figures["known_share"].to_list() == [0.75, 0.75], "the target is no feature"
    assert figures["silence_hours"].to_list() == [None, 6.0]


def test_rows_that_keep_the_contract_have_no_violations():
    assert find_contract_violations(SensorData, readings(("S1", "voltage", 0, 230.0))) == []


def test_a_row_that_breaks_the_contract_is_named_by_its_key():
    rows = readings(("S1", "voltage", 0, 230.0), ("S2", "pressure", 1, 3.0))
    assert find_contract_violations(SensorData, rows) == [
        Violation(
            expectation="sensor_type check__is_listed",
            column="sensor_type",
            observed="1 of 2 rows break it",
            unexpected_count=1,
            examples=("sensor_id=S2 sensor_type=pressure event_time=2026-03-01T12:15:00+00:00",),
            severity="error",
        )
    ]


def test_a_missing_column_is_named():
    rows = readings(("S1", "voltage", 0, 230.0)).drop("value")
    assert [finding.observed for finding in find_contract_violations(SensorData, rows)] == [
        "no such column"
    ]
