"""What a file's columns mean."""

import pytest

from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.errors import LandingError
from smartgrid_core.readings.parsing import Dialect
from smartgrid_core.settings import Settings
from smartgrid_io.landing.layout import LandingLayout, WideColumn, recognise_columns

LAYOUT = LandingLayout()


@pytest.mark.parametrize(
    ("columns", "schema"),
    [
        (["meter_id", "reading", "timestamp"], MeterReadings),
        (["Meter ID", "Value", "Event Time", "unit"], MeterReadings),
        (["sensor_id", "sensor_type", "value", "lat", "lon", "ts"], SensorData),
        (["station_id", "time", "temperature_c"], Weather),
        (["node_id", "node_kind", "parent_id", "name", "latitude", "longitude"], GridTopology),
    ],
)
def test_a_table_is_known_by_its_columns(columns: list[str], schema: type):
    plan = recognise_columns(columns, layout=LAYOUT)
    assert (plan.schema, plan.shape) == (schema, "long")


def test_columns_are_named_by_the_settings_first():
    layout = LandingLayout(columns={"Nr": "meter_id", "kWh": "reading", "time": "timestamp"})
    assert recognise_columns(["Nr", "kWh", "time", "remark"], layout=layout).names == {
        "Nr": "meter_id",
        "kWh": "reading",
        "time": "timestamp",
    }


def test_a_time_column_and_unknown_names_are_a_wide_table_of_meters():
    plan = recognise_columns(
        ["timestamp", "MAC1", "MAC2"], layout=LandingLayout(columns={"MAC2": "-"})
    )
    assert (plan.schema, plan.wide) == (MeterReadings, (WideColumn("MAC1", "MAC1"),))


def test_wide_sensors_need_to_say_what_they_measure():
    typed = LandingLayout(dialect=Dialect(sensor_type="voltage"))
    assert recognise_columns(["time", "s1"], layout=typed).wide == (
        WideColumn("s1", "s1", "voltage"),
    )
    mapped = LandingLayout(columns={"U": "house:voltage"})
    assert recognise_columns(["time", "U", "other"], layout=mapped).wide == (
        WideColumn("U", "house", "voltage"),
    )
    with pytest.raises(LandingError, match="what does column 's1' measure"):
        recognise_columns(["time", "s1"], layout=LandingLayout(dataset="sensor_data"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["timestamp", "reading", "unit"], "column 'meter_id' is missing: a meter_readings file"),
        (["sensor_id", "value"], "column 'sensor_type' is missing: a sensor_data file"),
        (["time", "temperature_c"], "column 'station_id' is missing: a weather file"),
        (["MAC1", "MAC2"], "no time column"),
        (["timestamp"], "no meter or sensor column"),
        (["a", "a"], "column 'a' is there twice"),
    ],
)
def test_a_table_that_lacks_a_column_is_refused_by_its_name(columns: list[str], message: str):
    with pytest.raises(LandingError, match=message):
        recognise_columns(columns, layout=LAYOUT)


def test_the_layout_comes_from_the_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SMARTGRID_LANDING_COLUMNS", '{"Nr": "meter_id"}')
    monkeypatch.setenv("SMARTGRID_LANDING_TIMEZONE", "Europe/Berlin")
    layout = LandingLayout.from_settings(Settings())
    assert layout.columns == {"Nr": "meter_id"}
    assert layout.dialect == Dialect(timezone="Europe/Berlin")
    monkeypatch.setenv("SMARTGRID_LANDING_OLDEST_DAYS", "365")
    assert LandingLayout.from_settings(Settings()).dialect.oldest_days == 365


def test_an_unknown_dataset_is_refused():
    with pytest.raises(LandingError, match="dataset 'meters' is not one of meter_readings"):
        LandingLayout(dataset="meters")
