"""Events, itemsets and rules in the graph: what is written, what is said, what is checked."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from smartgrid_assets.mining.events import grid_events
from smartgrid_assets.mining.rule_checks import algorithms_agree, planted_rule_found
from smartgrid_assets.mining.rules import event_itemsets, event_rules
from smartgrid_core.contracts.aggregates import FeederLoad, SensorAggregates
from smartgrid_core.contracts.alerts import LimitExceedances
from smartgrid_core.contracts.events import (
    EventItemsets,
    EventRuleChanges,
    EventRules,
    GridEvents,
)
from smartgrid_core.contracts.grid import GridTopology, PlantedFaults, Weather
from smartgrid_core.settings import Settings

LAST = date(2026, 3, 2)
"""The clock stands at noon of the day after."""
END = datetime(2026, 3, 3, tzinfo=UTC)
DAYS = 56

TREE = GridTopology.cast(
    pl.DataFrame(
        [
            ("SUB1", "substation", None, 20_000.0),
            ("F1", "feeder", "SUB1", 20_000.0),
            ("T1", "transformer", "F1", 400.0),
            ("S-T1", "sensor", "T1", 400.0),
        ],
        schema=["node_id", "node_kind", "parent_id", "nominal_voltage_v"],
        orient="row",
    ).with_columns(
        name=pl.lit("node"),
        latitude=41.3,
        longitude=19.8,
        rating_kw=None,
        customer_id=None,
        customer_kind=None,
    )
)


class Registry:
    """Keeps what is written down, and how it ended."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []

    def log_training(self, experiment: str, **written: Any) -> str:
        self.runs.append({"experiment": experiment, **written})
        return f"run-{len(self.runs)}"

    def finish(self, run_id: str, status: str) -> None:
        self.runs[-1]["status"] = status


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def run(handles, registry):
    """Materialise the unpartitioned assets and evaluate their checks."""

    def of(**settings: object) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        result = dg.materialize(
            [event_itemsets, event_rules, algorithms_agree, planted_rule_found],
            resources={
                **handles,
                "settings": Settings(_env_file=None, **settings),
                "model_registry": registry,
            },
        )
        said = {
            event.asset_key.to_user_string(): {
                name: each.value for name, each in event.materialization.metadata.items()
            }
            for event in result.get_asset_materialization_events()
        }
        checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
        return said, checks

    return of


def filled(store, *, joint_since: datetime = END - timedelta(days=28)) -> None:
    """Eight weeks of events: peaks on six evenings in ten, which the joint then lets down."""
    rng = np.random.default_rng(1)
    start = END - timedelta(days=DAYS)
    rows, episodes = [], []
    peaks = rng.random(DAYS) < 0.6
    for number in range(DAYS * 24):
        at = start + timedelta(hours=number)
        rows += [("F1", at, "evening" if 16 <= at.hour < 21 else "night"), ("F1", at, "workday")]
        odd = rng.random() < 0.02
        peak = peaks[number // 24] and at.hour in (18, 19)
        if peak or (at.hour == 8 and rng.random() < 0.3):
            rows.append(("F1", at, "load_peak"))
        if (peak and at >= joint_since) or odd:
            rows.append(("F1", at, "voltage_low"))
        if peak and at >= joint_since and at.hour == 18:
            episodes.append(at)
    events = pl.DataFrame(rows, schema=["feeder_id", "hour_start", "item"], orient="row")
    store.tables[GridEvents] = GridEvents.cast(events)
    store.tables[GridTopology] = TREE
    store.tables[PlantedFaults] = PlantedFaults.cast(
        pl.DataFrame(
            {
                "fault_id": [f"fault-{n}" for n in range(len(episodes))],
                "kind": "weak_joint",
                "subject_kind": "sensor",
                "subject_id": "S-T1",
                "start_time": episodes,
                "end_time": [at + timedelta(hours=2) for at in episodes],
                "magnitude": 20.0,
                "description": "planted",
            }
        )
    )


def test_a_day_of_events_is_made_from_what_the_stores_hold(store, handles):
    hours = [END - timedelta(days=1) + timedelta(hours=n) for n in range(24)]
    store.tables[GridTopology] = TREE
    store.tables[FeederLoad] = FeederLoad.cast(
        pl.DataFrame({"hour_start": hours}).with_columns(
            feeder_id=pl.lit("F1"),
            load_kw=pl.lit(5.0),
            meters=10,
            expected_meters=10,
            estimated_share=0.0,
        )
    )
    store.tables[SensorAggregates] = SensorAggregates.cast(
        pl.DataFrame({"hour_bucket": hours}).with_columns(
            sensor_id=pl.lit("S-T1"),
            sensor_type=pl.lit("voltage"),
            avg_value=pl.when(pl.col("hour_bucket") == hours[3]).then(215.0).otherwise(230.0),
            min_value=215.0,
            max_value=230.0,
            stddev_value=1.0,
            count=4,
            expected_count=4,
        )
    )
    store.tables[Weather] = Weather.cast(
        pl.DataFrame({"hour_start": hours}).with_columns(
            station_id=pl.lit("W"),
            temperature_c=-3.0,
            humidity_pct=None,
            wind_speed_ms=None,
            irradiance_wm2=None,
            cloud_cover_pct=None,
            known_at=None,
        )
    )
    store.tables[LimitExceedances] = LimitExceedances.cast(
        pl.DataFrame({"hour_start": [hours[19]], "issue_time": [hours[0] - timedelta(days=1)]})
        .with_columns(
            feeder_id=pl.lit("F1"),
            rating_kw=10.0,
            p50_kw=11.0,
            p90_kw=12.0,
            probability=0.8,
            model=pl.lit("m"),
        )
        .select(LimitExceedances.column_names())
    )
    wanted = {name: handles[name] for name in ("lake", "warehouse", "settings")}
    result = dg.materialize([grid_events], partition_key=str(LAST), resources=wanted)

    found = store.read(GridEvents)
    at = {
        item: found.filter(pl.col("item") == item)["hour_start"].to_list()
        for item in ("voltage_low", "freezing", "limit_exceedance", "workday")
    }
    assert at == {
        "voltage_low": [hours[3]],
        "freezing": hours,
        "limit_exceedance": [hours[19]],
        "workday": hours,
    }
    metadata = result.asset_materializations_for_node("grid_events")[0].metadata
    assert metadata["dagster/row_count"].value == found.height
    assert metadata["hours/voltage_low"].value == 1


def test_a_joint_that_got_loose_is_the_first_rule_and_new(store, run, registry):
    filled(store)
    said, checks = run()

    best = store.read(EventRules).sort("rank").row(0, named=True)
    assert (best["day"], best["antecedent"], best["consequent"]) == (
        LAST,
        "evening & load_peak",
        "voltage_low",
    )
    change = store.read(EventRuleChanges).row(
        by_predicate=pl.col("antecedent") == best["antecedent"], named=True
    )
    assert change["change"] == "new"
    rules = said["event_rules"]
    assert rules["outcome"] == best["sentence"]
    assert rules["window"] == "2026-02-03 .. 2026-03-02"
    assert best["sentence"] in rules["rules"]
    assert rules["plot"].startswith("![rules by strength](data:image/png;base64,")
    assert "| new | F1 | evening & load_peak → voltage_low |" in rules["changes"]
    assert said["event_itemsets"]["transactions"] == 28 * 24
    assert {name: check.passed for name, check in checks.items()} == {
        "algorithms_agree": True,
        "planted_rule_found": True,
    }
    assert checks["planted_rule_found"].metadata["ranks"].value[0].startswith("F1: 1, ")
    (written,) = registry.runs
    assert (written["experiment"], written["status"]) == ("event_rules", "FINISHED")
    assert written["metrics"]["changes_new"] >= 1
    assert set(written["figures"]) == {"rules"}
    assert set(written["tables"]) == {"rules", "changes"}


def test_a_planted_rule_that_is_not_found_fails_its_check(store, run):
    filled(store)
    events = store.tables[GridEvents]
    store.tables[GridEvents] = events.filter(pl.col("item") != "voltage_low")
    check = run()[1]["planted_rule_found"]

    assert not check.passed
    assert check.metadata["ranks"].value[0].startswith("F1: no rule, ")


def test_without_a_truth_or_with_too_few_evenings_the_check_passes(store, run):
    filled(store)
    few = store.tables[PlantedFaults].head(9)
    store.tables[GridEvents] = store.tables[GridEvents].filter(pl.col("item") != "voltage_low")
    for truth in (few, few.clear()):
        store.tables[PlantedFaults] = truth
        check = run()[1]["planted_rule_found"]
        assert check.passed
        assert check.description == "0 of 0 planted rules are among the top 5"


def test_itemsets_that_apriori_does_not_find_fail_the_check(store, handles):
    filled(store)
    wanted = {name: handles[name] for name in ("lake", "warehouse", "settings", "clock")}
    dg.materialize([event_itemsets], resources=wanted)
    rows = store.tables[EventItemsets]
    store.tables[EventItemsets] = rows.with_columns(
        transactions=pl.col("transactions") + (pl.col("items") == "evening").cast(pl.Int64)
    )
    result = algorithms_agree(**{name: handles[name] for name in ("lake", "warehouse", "settings")})

    assert not result.passed
    assert (result.metadata["missing"].value, result.metadata["extra"].value) == (1, 1)


def test_shifts_are_mined_the_same_way(store, run):
    filled(store)
    said, checks = run(rule_transaction_hours=8)

    assert said["event_itemsets"]["transactions"] == 3 * 28 + 1
    assert checks["algorithms_agree"].passed
    best = store.read(EventRules).sort("rank").row(0, named=True)
    assert best["consequent"] in ("voltage_low", "load_peak")
    assert "shifts (" in best["sentence"]


def test_an_empty_lake_is_told_and_nothing_is_written(store, run, registry):
    said, checks = run()

    assert {name: each["outcome"] for name, each in said.items()} == {
        "event_itemsets": "no whole day has events yet",
        "event_rules": "no whole day has events yet",
    }
    assert all(check.passed for check in checks.values())
    assert registry.runs == []
    assert EventRules not in store.tables


def test_a_first_window_has_nothing_before_it(store, run):
    filled(store)
    store.tables[GridEvents] = store.tables[GridEvents].filter(
        pl.col("hour_start") >= END - timedelta(days=20)
    )
    said, _ = run()

    assert said["event_rules"]["changes"] == "There are no days before the window."


@pytest.mark.slow
def test_the_same_events_give_the_same_tables(store, run):
    filled(store)
    run()
    first = {schema: store.read(schema) for schema in (EventItemsets, EventRules, EventRuleChanges)}
    run()

    assert all(store.read(schema).equals(rows) for schema, rows in first.items())
