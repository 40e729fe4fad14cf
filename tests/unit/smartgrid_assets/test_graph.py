"""The graph as a whole: what every asset says of itself, and which assets a job computes."""

import re
from datetime import timedelta

import dagster as dg
import pytest

from smartgrid_assets.columns import COLUMN_SCHEMA, build_column_schema
from smartgrid_assets.definitions import build_definitions
from smartgrid_assets.domains import FRESHNESS, Cadence, choose_freshness
from smartgrid_core.contracts.alerts import Alerts
from smartgrid_core.contracts.forecasts import LoadForecasts

TEAMS = {"team:grid-data", "team:forecasting", "team:operations", "team:revenue-protection"}
LAYERS = {"raw", "truth", "features", "models", "forecasts", "mining"}

JOBS = {
    "refresh_days": {
        "sensor_data",
        "meter_readings",
        "register_brackets",
        "weather",
        "sensor_aggregates",
        "meter_consumption",
        "feeder_load",
    },
    "sum_local_days": {"daily_consumption"},
    "judge_readings": {"reading_findings"},
    "read_topology": {"grid_topology"},
    "build_features": {"load_features"},
    "train_models": {"load_backtest", "load_model", "promotion_decision", "served_model"},
    "forecast_day": {"load_features", "load_forecast", "limit_exceedances"},
    "compare_variants": {"variant_comparison"},
    "watch_drift": {"model_drift"},
    "raise_alerts": {"alerts"},
    "mine_days": {"grid_events", "head_energy", "anomalies"},
    "mine_grid": {
        "consumer_profiles",
        "consumer_outliers",
        "consumer_segments",
        "event_itemsets",
        "event_rules",
        "energy_balance",
        "inspections",
        "insights",
    },
}

ACTED_ON = {
    "load_forecast",
    "limit_exceedances",
    "alerts",
    "served_model",
    "load_model",
    "load_backtest",
    "model_drift",
    "energy_balance",
    "consumer_profiles",
    "consumer_outliers",
    "insights",
}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions()


@pytest.fixture(scope="module")
def specs(definitions) -> list[dg.AssetSpec]:
    return list(definitions.resolve_all_asset_specs())


def test_every_asset_says_who_owns_it_and_where_it_belongs(specs):
    assert len(specs) == 31
    for spec in specs:
        assert set(spec.owners) <= TEAMS, spec.key
        assert len(spec.owners) == 1, spec.key
        assert spec.tags["layer"] in LAYERS, spec.key
        assert spec.tags["domain"], spec.key
        assert spec.kinds, spec.key
        assert spec.code_version, spec.key


def test_every_description_begins_with_what_a_row_is(specs):
    for spec in specs:
        sentence = spec.description.partition("\n")[0]
        assert re.match(r"One (row|version) per ", sentence), (spec.key, sentence)
        assert sentence.endswith("."), (spec.key, sentence)


def test_every_asset_shows_its_columns_in_words(specs):
    for spec in specs:
        shown = spec.metadata[COLUMN_SCHEMA]
        assert isinstance(shown, dg.TableSchema), spec.key
        assert shown.columns, spec.key
        silent = [column.name for column in shown.columns if not column.description]
        assert silent == [], spec.key


def test_every_asset_has_to_stay_fresh(specs):
    for spec in specs:
        assert spec.freshness_policy == FRESHNESS[Cadence(spec.tags["cadence"])], spec.key


def test_a_closed_data_set_gets_no_news_and_need_not_be_fresh():
    assert {
        choose_freshness(each, is_closed=True).fail_window.to_timedelta() for each in Cadence
    } == {timedelta(days=366)}


def test_a_missed_hour_warns_before_it_fails():
    hourly = choose_freshness(Cadence.HOURLY, is_closed=False)
    assert hourly.warn_window.to_timedelta() == timedelta(hours=2)
    assert hourly.fail_window.to_timedelta() == timedelta(hours=4)


def test_every_job_computes_its_assets_and_no_other(definitions):
    computed = {
        job.name: {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
        for job in definitions.resolve_all_job_defs()
        if not job.name.startswith("__")
    }
    assert {name: assets for name, assets in computed.items() if assets} == JOBS


def test_whatever_people_act_on_has_a_check(definitions):
    checked = {
        key.asset_key.to_user_string() for key in definitions.resolve_asset_graph().asset_check_keys
    }
    assert checked >= ACTED_ON


def test_columns_are_shown_as_their_contract_has_them():
    columns = {column.name: column for column in build_column_schema(Alerts).columns}
    assert list(columns) == Alerts.column_names()
    assert columns["alert_id"].constraints.unique
    assert not columns["alert_id"].constraints.nullable
    assert columns["closed_at"].constraints.nullable
    assert columns["severity"].constraints.other == ["one of info, warning, critical"]
    assert columns["metadata"].description == "The evidence, as JSON text."


def test_a_part_of_a_table_is_shown_in_the_order_asked_for():
    shown = build_column_schema(LoadForecasts, columns=("p90", "p10"))
    assert [(column.name, column.type) for column in shown.columns] == [
        ("p90", "Float64"),
        ("p10", "Float64"),
    ]
    assert list(shown.constraints.other) == []
    whole = build_column_schema(LoadForecasts)
    assert list(whole.constraints.other) == ["(feeder_id, issue_time, hour_start) is unique"]
