"""Every column says what it holds, for whoever sees the table in Dagster."""

import importlib
import inspect
import pkgutil
import re

import dataframely as dy
import pytest

from smartgrid_core import contracts

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.iter_modules(contracts.__path__, f"{contracts.__name__}.")
]
SCHEMAS = sorted(
    {
        found
        for module in MODULES
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, dy.Schema) and found is not dy.Schema
    },
    key=lambda schema: schema.__name__,
)

UNITS = {
    "_kwh": "kWh",
    "_kwh_month": "kWh",
    "_kw": "kW",
    "_ms": r"milliseconds|m/s",
    "_s": "seconds",
    "_mb": "MB",
    "_bytes": "bytes",
    "_minutes": "minutes",
    "_c": "degrees Celsius",
    "_pct": "percent",
    "_wm2": "W/m2",
    "_v": r"\bV\b",
}
"""What the description of a column says whose name ends so."""


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_every_column_of_every_contract_is_described(schema: type[dy.Schema]):
    unclear = {
        name: column.description
        for name, column in schema.columns().items()
        if not re.fullmatch(r"[A-Z`(0-9a-z|].*\.", column.description or "")
    }
    assert unclear == {}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_a_description_repeats_the_unit_of_the_name(schema: type[dy.Schema]):
    silent = {
        name: column.description
        for name, column in schema.columns().items()
        for ending, unit in UNITS.items()
        if name.endswith(ending) and not re.search(unit, column.description or "")
    }
    assert silent == {}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_an_instant_says_that_it_is_utc(schema: type[dy.Schema]):
    silent = {
        name: column.description
        for name, column in schema.columns().items()
        if isinstance(column, dy.Datetime) and "UTC" not in (column.description or "")
    }
    assert silent == {}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_a_column_that_may_be_null_says_when(schema: type[dy.Schema]):
    silent = {
        name: column.description
        for name, column in schema.columns().items()
        if column.nullable and "null" not in (column.description or "").lower()
    }
    says_it_of_all = re.search(r"\bnull\b", schema.__doc__ or "")
    assert silent == {} or says_it_of_all


def test_contracts_are_found_at_all():
    assert len(SCHEMAS) >= 45
