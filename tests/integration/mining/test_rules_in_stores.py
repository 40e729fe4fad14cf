"""Events and rules against a real lake and a real PostgreSQL."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from mlflow import MlflowClient

from smartgrid_assets.mining.events import grid_events
from smartgrid_assets.mining.rule_checks import algorithms_agree, planted_rule_found
from smartgrid_assets.mining.rules import event_itemsets, event_rules
from smartgrid_core.contracts.aggregates import FeederLoad, SensorAggregates
from smartgrid_core.contracts.alerts import Alerts
from smartgrid_core.contracts.events import (
    EventItemsets,
    EventRuleChanges,
    EventRules,
    GridEvents,
)
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window
from smartgrid_io.mlflow.registry import MlflowRegistry
from smartgrid_io.parquet_lake import ParquetLake
from smartgrid_io.postgres.warehouse import PostgresWarehouse

FIRST, LAST = date(2026, 1, 5), date(2026, 2, 8)
WINDOW = Window.of_days(FIRST, LAST)
HOURS = [WINDOW.start + timedelta(hours=n) for n in range(35 * 24)]


class StillClock:
    def now(self) -> datetime:
        return datetime(2026, 2, 9, 1, tzinfo=UTC)


def is_peak(at: datetime) -> bool:
    return at.hour == 18 and at.toordinal() % 7 in (0, 2, 3)


def filled(lake: ParquetLake, warehouse: PostgresWarehouse) -> None:
    """Five weeks in which voltage drops behind the evening peaks of three days of the week."""
    tree = pl.DataFrame(
        [
            ("SUB1", "substation", None),
            ("F1", "feeder", "SUB1"),
            ("T1", "transformer", "F1"),
            ("S1", "sensor", "T1"),
        ],
        schema=["node_id", "node_kind", "parent_id"],
        orient="row",
    ).with_columns(
        name=pl.lit("node"),
        latitude=41.3,
        longitude=19.8,
        nominal_voltage_v=400.0,
        rating_kw=None,
        customer_id=None,
        customer_kind=None,
    )
    lake.replace(GridTopology, GridTopology.cast(tree))
    load = pl.DataFrame({"hour_start": HOURS}).with_columns(
        feeder_id=pl.lit("F1"),
        load_kw=pl.Series([30.0 if is_peak(at) else 10.0 for at in HOURS]),
        meters=5,
        expected_meters=5,
        estimated_share=0.0,
    )
    lake.replace(FeederLoad, FeederLoad.cast(load), window=WINDOW)
    volts = pl.DataFrame({"hour_bucket": HOURS}).with_columns(
        sensor_id=pl.lit("S1"),
        sensor_type=pl.lit("voltage"),
        avg_value=pl.Series([214.0 if is_peak(at) else 230.0 for at in HOURS]),
        min_value=210.0,
        max_value=231.0,
        stddev_value=1.0,
        count=4,
        expected_count=4,
    )
    lake.replace(SensorAggregates, SensorAggregates.cast(volts), window=WINDOW)
    alert = pl.DataFrame(
        {
            "alert_id": ["a1"],
            "dedupe_key": ["k1"],
            "alert_type": ["anomaly"],
            "severity": ["info"],
            "subject_id": ["S1"],
            "message": ["odd"],
            "metadata": ["{}"],
            "state": ["open"],
            "opened_at": [WINDOW.start + timedelta(days=20, hours=5, minutes=10)],
            "closed_at": [None],
        }
    )
    warehouse.upsert(Alerts, Alerts.cast(alert))


@pytest.mark.slow
def test_days_of_events_become_itemsets_rules_and_changes_that_can_be_asked_for(
    tmp_path, warehouse
):
    lake = ParquetLake(str(tmp_path / "lake"))
    filled(lake, warehouse)
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow = MlflowClient(tracking)
    mlflow.create_experiment("event_rules", artifact_location=str(tmp_path / "artifacts"))
    handles = {
        "lake": lake,
        "warehouse": warehouse,
        "clock": StillClock(),
        "settings": Settings(_env_file=None, rule_window_days=21, first_day=FIRST),
        "model_registry": MlflowRegistry(tracking),
    }
    days = dg.materialize(
        [grid_events],
        resources={name: handles[name] for name in ("lake", "warehouse", "settings")},
        tags={
            "dagster/asset_partition_range_start": str(FIRST),
            "dagster/asset_partition_range_end": str(LAST),
        },
    )
    assert days.success
    events = lake.scan(GridEvents).collect()
    assert events.filter(pl.col("item") == "alert")["hour_start"].to_list() == [
        WINDOW.start + timedelta(days=20, hours=5)
    ]
    assert list(lake.days(GridEvents)) == list(WINDOW.days())

    outcome = dg.materialize(
        [event_itemsets, event_rules, algorithms_agree, planted_rule_found], resources=handles
    )
    assert outcome.success
    assert all(check.passed for check in outcome.get_asset_check_evaluations())
    itemsets, rules = warehouse.read(EventItemsets), warehouse.read(EventRules)
    assert itemsets["day"].unique().to_list() == [LAST]
    best = rules.sort("rank").row(0, named=True)
    assert (best["antecedent"], best["consequent"]) == ("load_peak", "voltage_low")
    assert (best["with_both"], best["conviction"]) == (best["with_antecedent"], None)
    changes = warehouse.read(EventRuleChanges, window=Window.of_day(LAST))
    assert set(changes["antecedent"]) >= set(rules["antecedent"])
    metadata = outcome.asset_materializations_for_node("event_rules")[0].metadata
    run = mlflow.get_run(metadata["mlflow_run"].value)
    assert run.info.status == "FINISHED"
    kept = {file.path for file in mlflow.list_artifacts(run.info.run_id)}
    assert {"rules.png", "rules.csv", "changes.csv"} <= kept
    assert run.data.metrics["rules"] == rules.height
