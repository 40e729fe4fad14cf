"""The examples in docstrings are right: every module that has one is run by doctest."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("smartgrid_core", "smartgrid_ml", "smartgrid_io", "resources", "sensors"),
    *("smartgrid_assets", "smartgrid_services", "smartgrid_cli", "demo"),
)
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text()
)


def test_what_other_packages_call_has_examples():
    assert "smartgrid_core.time" in WITH_EXAMPLES


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_are_right(name: str):
    outcome = doctest.testmod(importlib.import_module(name))

    assert outcome.attempted > 0
    assert outcome.failed == 0
