"""Checks of the graph: which window they look at, what blocks, what they show."""

from datetime import UTC, date, datetime

import dagster as dg
import polars as pl
import pytest

from smartgrid_assets.aggregates import checks as aggregate_checks
from smartgrid_assets.features import checks as feature_checks
from smartgrid_assets.quality import (
    choose_checked_window,
    make_schema_check,
    parse_window_tags,
    to_check_result,
)
from smartgrid_assets.readings import checks as reading_checks
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.quality import SuiteResult, Violation
from smartgrid_core.time import Window

DAYS = dg.DailyPartitionsDefinition("2026-03-01", end_date="2026-03-05")
FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)

DIP = Violation("voltage_v at least 207", "voltage_v", "1 % of 96 rows outside", 1, ("S1",), "info")
GAP = Violation("gap_intervals at most 1.5", "gap_intervals", "2 % of rows", 2, ("S2", "S3"))


def load(*days: date, hours: int = 24) -> pl.DataFrame:
    return FeederLoad.validate(
        pl.DataFrame(
            [
                {
                    "feeder_id": "F1",
                    "hour_start": datetime(day.year, day.month, day.day, hour, tzinfo=UTC),
                    "load_kw": 1.0,
                    "meters": 1,
                    "estimated_share": 0.0,
                }
                for day in days
                for hour in range(hours)
            ],
            schema=FeederLoad.create_empty().schema,
        )
    )


class Suites:
    """Suites that say what they were asked, and answer with one verdict."""

    def __init__(self, verdict: SuiteResult) -> None:
        self.verdict = verdict
        self.asked: list[tuple[str, int, datetime]] = []

    def run(self, name: str, frame: pl.DataFrame, *, at: datetime) -> SuiteResult:
        self.asked.append((name, frame.height, at))
        return self.verdict


def passing(rows: int) -> SuiteResult:
    return SuiteResult("feeder_load", passed=True, rows=rows, failed=(), docs_link="http://docs/1")


@pytest.mark.parametrize(
    ("tags", "window"),
    [
        ({"dagster/partition": "2026-03-01"}, Window.of_day(FIRST)),
        (
            {
                "dagster/asset_partition_range_start": "2026-03-01",
                "dagster/asset_partition_range_end": "2026-03-02",
            },
            Window.of_days(FIRST, SECOND),
        ),
        ({}, None),
    ],
)
def test_a_run_says_its_days_by_its_tags(tags, window):
    assert parse_window_tags(tags) == window


def test_without_partitions_the_newest_day_is_judged(store):
    store.replace(FeederLoad, load(FIRST, SECOND))
    assert choose_checked_window({}, lake=store, schema=FeederLoad) == Window.of_day(SECOND)


def test_a_table_that_is_kept_whole_is_judged_whole(store):
    assert (
        choose_checked_window({"dagster/partition": "x"}, lake=store, schema=GridTopology) is None
    )


def test_a_verdict_is_shown_with_counts_examples_and_the_way_to_its_page():
    result = to_check_result(
        SuiteResult(
            "sensor_data", passed=False, rows=96, failed=(DIP, GAP), docs_link="http://docs/1"
        )
    )
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert result.description == "gap_intervals at most 1.5 Observed: 2 % of rows"
    assert {name: value.value for name, value in result.metadata.items()} == {
        "rows": 96,
        "expectations_failed": 1,
        "unexpected_rows": 3,
        "data_docs": "http://docs/1",
        "findings": (
            "| expectation | severity | observed | rows | first of them |\n"
            "|---|---|---|---|---|\n"
            "| voltage_v at least 207 | info | 1 % of 96 rows outside | 1 | S1 |\n"
            "| gap_intervals at most 1.5 | warning | 2 % of rows | 2 | S2; S3 |"
        ),
    }


def materialize(store, handles, suites: Suites, *, rows: pl.DataFrame, **run: object):
    """Run an asset that writes `rows`, its checks, and one asset after it."""

    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def feeder_load() -> None:
        store.tables[FeederLoad] = rows

    @dg.asset(
        deps=["feeder_load"], partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run()
    )
    def after() -> None: ...

    checks = [
        check
        for check in aggregate_checks.CHECKS
        if next(iter(check.check_keys)).asset_key == feeder_load.key
    ]
    return dg.materialize(
        [feeder_load, after, *checks],
        resources={**handles, "quality": suites},
        raise_on_error=False,
        **run,
    )


def test_the_checks_of_a_run_look_at_the_days_of_the_run(store, handles):
    suites = Suites(passing(48))
    result = materialize(
        store,
        handles,
        suites,
        rows=load(FIRST, SECOND, date(2026, 3, 3)),
        tags={
            "dagster/asset_partition_range_start": "2026-03-01",
            "dagster/asset_partition_range_end": "2026-03-02",
        },
    )
    evaluations = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert result.success
    assert suites.asked == [("feeder_load", 48, datetime(2026, 3, 3, tzinfo=UTC))]
    assert {name: each.passed for name, each in evaluations.items()} == {
        "schema": True,
        "quality": True,
    }
    assert evaluations["schema"].metadata["rows"].value == 48


def test_an_open_day_is_judged_up_to_now(store, handles):
    suites = Suites(passing(12))
    third = date(2026, 3, 3)
    result = materialize(
        store, handles, suites, rows=load(third, hours=12), partition_key="2026-03-03"
    )
    assert result.success
    assert suites.asked == [("feeder_load", 12, handles["clock"].now())]


def test_a_suite_that_fails_warns_and_stops_nothing(store, handles):
    suites = Suites(SuiteResult("feeder_load", False, 24, (GAP,), "http://docs/1"))
    result = materialize(store, handles, suites, rows=load(FIRST), partition_key="2026-03-01")
    assert result.success
    assert result.asset_materializations_for_node("after")


def test_rows_that_break_the_contract_stop_what_follows(store, handles):
    broken = load(FIRST).with_columns(estimated_share=pl.lit(1.5))
    result = materialize(
        store, handles, Suites(passing(24)), rows=broken, partition_key="2026-03-01"
    )
    (schema,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "schema"]
    assert not result.success
    assert not result.asset_materializations_for_node("after")
    assert (schema.passed, schema.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert schema.metadata["unexpected_rows"].value == 24


def test_every_table_of_the_graph_has_its_contract_checked_and_the_main_ones_their_quality():
    checks = [*reading_checks.CHECKS, *aggregate_checks.CHECKS, *feature_checks.CHECKS]
    keys = [key for check in checks for key in check.check_keys]
    assert {key.asset_key.to_user_string() for key in keys if key.name == "quality"} == {
        "sensor_data",
        "meter_readings",
        "sensor_aggregates",
        "meter_consumption",
        "feeder_load",
        "load_features",
    }
    assert {key.asset_key.to_user_string() for key in keys if key.name == "schema"} == {
        "sensor_data",
        "meter_readings",
        "register_brackets",
        "grid_topology",
        "weather",
        "sensor_aggregates",
        "meter_consumption",
        "daily_consumption",
        "feeder_load",
        "load_features",
    }


def test_a_schema_check_blocks_what_follows_in_its_run():
    (spec,) = make_schema_check(FeederLoad).check_specs
    assert (spec.name, spec.blocking) == ("schema", True)
