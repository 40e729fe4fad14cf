"""Rows on their way into the stores, over stores in memory."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from smartgrid_assets.storing import DAYS_IN_MEMORY, copy_to_lake, replace_in_both
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.grid import Weather
from smartgrid_core.errors import ContractError
from smartgrid_core.time import Window

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = Window.of_days(date(2026, 3, 1), date(2026, 3, 7))


def load(hours: int) -> pl.DataFrame:
    return FeederLoad.validate(
        pl.DataFrame(
            {
                "feeder_id": "F1",
                "hour_start": [FIRST + timedelta(hours=n) for n in range(hours)],
                "load_kw": [float(n) for n in range(hours)],
                "meters": 1,
                "expected_meters": 1,
                "estimated_share": 0.0,
            }
        ),
        cast=True,
    )


def test_what_is_computed_once_stands_in_both_stores(store):
    lake, warehouse = store, type(store)()
    computed = []
    rows = load(30).lazy().map_batches(lambda frame: computed.append(1) or frame)

    written = replace_in_both(FeederLoad, rows, lake=lake, warehouse=warehouse, window=DAYS)

    assert written.count == 30
    assert lake.read(FeederLoad).equals(load(30))
    assert warehouse.read(FeederLoad).equals(load(30))
    assert computed == [1]


def test_rows_that_the_database_refuses_do_not_reach_the_lake_either(store):
    class Refusing(type(store)):
        def replace(self, schema, rows, *, window=None):
            raise ContractError("feeder_load: load_kw is out of range")

    with pytest.raises(ContractError):
        replace_in_both(
            FeederLoad, load(3), lake=store, warehouse=Refusing(), window=Window(FIRST, FIRST)
        )
    assert store.read(FeederLoad).is_empty()


def test_a_long_window_is_copied_some_days_at_a_time(store):
    weather = {name: [None] * 168 for name in Weather.column_names()}
    weather |= {
        "station_id": ["S1"] * 168,
        "hour_start": [FIRST + timedelta(hours=n) for n in range(168)],
        "known_at": [FIRST] * 168,
        "temperature_c": [1.0] * 168,
    }
    warehouse = type(store)()
    warehouse.replace(Weather, Weather.validate(pl.DataFrame(weather), cast=True))
    asked = []
    read = warehouse.read
    warehouse.read = lambda schema, *, window=None: (
        asked.append(window) or read(schema, window=window)
    )

    written = copy_to_lake(Weather, warehouse=warehouse, lake=store, window=DAYS)

    assert written.count == 168
    assert store.read(Weather).height == 168
    assert asked == list(DAYS.parts(days=DAYS_IN_MEMORY))
