from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from smartgrid_core.aggregates.feeder import mask_silent_hours, sum_meters_per_feeder
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.grid import MeterPlaces

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
PLACES = MeterPlaces.cast(
    pl.DataFrame(
        {
            "meter_id": ["a", "b", "p", "c"],
            "customer_id": ["1", "2", "1", None],
            "customer_kind": ["household", None, "pv", "commercial"],
            "transformer_id": ["F1-T1", "F1-T1", "F1-T1", "F2-T1"],
            "feeder_id": ["F1", "F1", "F1", "F2"],
            "substation_id": ["S", "S", "S", "S"],
        }
    )
)


EXPECTED = {"F1": 3, "F2": 1, "grid": 4}


def load_of(consumption: pl.DataFrame) -> list[dict[str, object]]:
    load = sum_meters_per_feeder(consumption, places=PLACES).sort(FeederLoad.primary_key())
    assert FeederLoad.is_valid(load)
    return load.to_dicts()


def row(feeder_id, load_kw, meters, estimated_share=0.0, hour_start=NOON):
    return {
        "feeder_id": feeder_id,
        "hour_start": hour_start,
        "load_kw": pytest.approx(load_kw),
        "meters": meters,
        "expected_meters": EXPECTED[feeder_id],
        "estimated_share": pytest.approx(estimated_share),
    }


def test_one_hour_of_energy_is_mean_power(consumption):
    assert load_of(consumption(("a", 0, 0.150), ("b", 0, 0.050))) == [
        row("F1", 0.2, 2),
        row("grid", 0.2, 2),
    ]


def test_four_quarters_make_an_hour(consumption):
    quarters = [("a", quarter / 4, 0.25) for quarter in range(4)]
    assert load_of(consumption(*quarters, interval_minutes=15)) == [
        row("F1", 1.0, 1),
        row("grid", 1.0, 1),
    ]


def test_the_mean_is_taken_over_the_minutes_that_a_meter_covers(consumption):
    energies = [("a", 0, 0.25), ("a", 0.25, 0.25), *(("b", n / 4, 0.5) for n in range(4))]
    assert load_of(consumption(*energies, interval_minutes=15))[0] == row("F1", 1.0 + 2.0, 2)


def test_feed_in_counts_negative_and_the_grid_sums_all_feeders(consumption):
    assert load_of(consumption(("a", 0, 1.0), ("p", 0, 3.0), ("c", 0, 0.5))) == [
        row("F1", -2.0, 2),
        row("F2", 0.5, 1),
        row("grid", -1.5, 3),
    ]


def test_the_estimated_share_is_told_by_energy_not_by_sign(consumption):
    energies = consumption(("a", 0, 1.0), ("p", 0, 3.0, "gap"), ("c", 0, 0.0))
    assert load_of(energies) == [
        row("F1", -2.0, 2, 0.75),
        row("F2", 0.0, 1),
        row("grid", -2.0, 3, 0.75),
    ]


def test_hours_stay_apart(consumption):
    assert load_of(consumption(("c", 0, 1.0), ("c", 1, 2.0))) == [
        row("F2", 1.0, 1),
        row("F2", 2.0, 1, hour_start=NOON + timedelta(hours=1)),
        row("grid", 1.0, 1),
        row("grid", 2.0, 1, hour_start=NOON + timedelta(hours=1)),
    ]


def test_a_silent_meter_adds_nothing_and_is_still_expected(consumption):
    (feeder, *_) = load_of(consumption(("a", 0, 1.0)))
    assert (feeder["load_kw"], feeder["meters"], feeder["expected_meters"]) == (1.0, 1, 3)


def test_the_load_of_an_hour_is_unknown_when_too_many_meters_are_silent(consumption):
    load = sum_meters_per_feeder(
        consumption(("a", 0, 1.0), ("b", 0, 2.0), ("c", 0, 4.0), ("a", 1, 1.0), ("c", 1, 4.0)),
        places=PLACES,
    )
    known = mask_silent_hours(load, least_share=2 / 3).sort(FeederLoad.primary_key())
    later = NOON + timedelta(hours=1)
    assert known.select("feeder_id", "hour_start", "load_kw").rows() == [
        ("F1", NOON, 3.0),
        ("F1", later, None),
        ("F2", NOON, 4.0),
        ("F2", later, 4.0),
        ("grid", NOON, 7.0),
        ("grid", later, None),
    ]


def test_an_hour_without_a_count_of_expected_meters_is_taken_as_it_is(consumption):
    load = sum_meters_per_feeder(consumption(("a", 0, 1.0)), places=PLACES)
    before = load.with_columns(expected_meters=pl.lit(None, dtype=pl.Int32))
    assert mask_silent_hours(before, least_share=0.9)["load_kw"].to_list() == [1.0, 1.0]


def test_a_meter_without_a_place_hangs_on_no_feeder(consumption):
    assert load_of(consumption(("nowhere", 0, 1.0))) == []


def test_polars_lazy_and_pandas_give_the_same_rows(consumption):
    energies = consumption(("a", 0, 1.0), ("p", 0, 3.0, "gap"), ("c", 0, 0.0), ("a", 1, 0.5))
    eager = sum_meters_per_feeder(energies, places=PLACES)
    lazy = sum_meters_per_feeder(energies.lazy(), places=PLACES.lazy())
    assert isinstance(lazy, pl.LazyFrame)
    pandas = sum_meters_per_feeder(energies.to_pandas(), places=PLACES.to_pandas())
    assert_frame_equal(lazy.collect(), eager, check_row_order=False)
    assert_frame_equal(FeederLoad.cast(pl.from_pandas(pandas)), eager, check_row_order=False)


@pytest.mark.slow
def test_spark_gives_the_same_rows(consumption, spark):
    energies = consumption(("a", 0, 1.0), ("p", 0, 3.0, "gap"), ("c", 0, 0.0), ("a", 1, 0.5))
    load = sum_meters_per_feeder(
        spark.createDataFrame(energies.to_pandas()),
        places=spark.createDataFrame(PLACES.to_pandas()),
    )
    in_utc = pl.col("hour_start").dt.replace_time_zone("UTC")
    assert_frame_equal(
        FeederLoad.cast(pl.from_pandas(load.toPandas()).with_columns(in_utc)),
        sum_meters_per_feeder(energies, places=PLACES),
        check_row_order=False,
    )
