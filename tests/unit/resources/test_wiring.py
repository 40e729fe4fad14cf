"""All resources by their keys: they read the settings, and rest on what replaces another."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl
import pytest
from pydantic import SecretStr

from resources.wiring import build_resources
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window

KEYS = {
    "settings",
    "clock",
    "lake",
    "warehouse",
    "landing",
    "weather_source",
    "mlflow",
    "model_registry",
    "model_server",
    "model_repository",
    "alert_store",
    "quality",
}


class StillClock:
    def now(self) -> datetime:
        return datetime(2026, 3, 3, 12, tzinfo=UTC)


def start(*keys: str, **overrides: object):
    """Build the named resources as a run does."""
    wired = build_resources(**overrides)
    needed = {*keys, *overrides, "settings"}
    return dg.build_resources({key: wired[key] for key in needed})


def test_every_key_that_assets_ask_for_is_there():
    assert set(build_resources()) == KEYS


def test_a_key_that_nothing_has_is_refused_with_those_that_are():
    with pytest.raises(ConfigurationError) as refused:
        build_resources(model_shelf=object(), clock=StillClock())
    assert str(refused.value) == (
        "resources: nothing has the key model_shelf and could be replaced; the keys are settings,"
        " clock, lake, warehouse, landing, weather_source, mlflow, model_registry, model_server,"
        " model_repository, alert_store, quality"
    )


def test_the_settings_are_read_when_a_run_begins(monkeypatch):
    wired = build_resources()
    monkeypatch.setenv("SMARTGRID_METER_INTERVAL_MINUTES", "30")
    with dg.build_resources({"settings": wired["settings"]}) as built:
        assert built.settings.meter_interval_minutes == 30


def test_what_rests_on_settings_rests_on_those_handed_in(tmp_path):
    settings = Settings(_env_file=None, home=tmp_path, landing_grace_s=7.0)
    with start("landing", "quality", "weather_source", settings=settings, warehouse=object()) as at:
        assert at.landing.folder == settings.landing_place
        assert at.landing.grace.total_seconds() == 7
        assert at.quality.docs_dir == settings.data_docs_place
        assert at.weather_source.url is None
        day = Window.of_day(StillClock().now().date())
        assert isinstance(at.weather_source.fetch(day), pl.DataFrame)


def test_the_landing_folder_asks_the_clock_and_the_warehouse_handed_in(tmp_path):
    clock, warehouse = StillClock(), object()
    settings = Settings(_env_file=None, home=tmp_path)
    with start("landing", settings=settings, clock=clock, warehouse=warehouse) as built:
        assert (built.landing.clock, built.landing.warehouse) == (clock, warehouse)


def test_the_warehouse_and_its_alerts_share_one_address(tmp_path):
    url = "postgresql://user:password@127.0.0.1:1/smartgrid"
    settings = Settings(_env_file=None, home=tmp_path, database_url=SecretStr(url))
    with start("warehouse", "alert_store", settings=settings) as built:
        assert (built.warehouse.url, built.alert_store.url) == (url, url)


def test_a_warehouse_without_an_address_says_what_to_set(tmp_path):
    settings = Settings(_env_file=None, home=tmp_path, database_url=None)
    with (
        pytest.raises(dg.DagsterResourceFunctionError) as failure,
        start("warehouse", settings=settings),
    ):
        pass
    assert isinstance(failure.value.user_exception, ConfigurationError)
    assert "SMARTGRID_DATABASE_URL" in str(failure.value.user_exception)


def test_the_machines_clock_shows_utc():
    assert build_resources()["clock"].now().utcoffset().total_seconds() == 0


def test_models_are_asked_and_kept_where_the_settings_say(tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    keys = ("lake", "model_registry", "model_server", "model_repository")
    with start(*keys, settings=settings) as built:
        assert built.lake.days is not None
        assert built.model_repository.read_state("load_forecaster").labels == {}
