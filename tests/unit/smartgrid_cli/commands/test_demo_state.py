from datetime import date
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from smartgrid_cli.commands.demo import run_demo
from smartgrid_cli.commands.demo_state import DemoPlan, DemoState
from smartgrid_cli.machine.home import Home, HomeInUseError
from smartgrid_cli.main import app
from smartgrid_core.errors import ConfigurationError

TODAY = date(2026, 11, 22)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path).make()


def test_the_first_run_decides_and_later_ones_keep_to_it(home: Home):
    plan = DemoState(home).decide(days=None, end=None, today=TODAY)
    assert plan == DemoPlan(TODAY, 60, 7)
    DemoState(home).keep_plan(plan)
    assert DemoState(home).decide(days=60, end=None, today=date(2026, 12, 24)) == plan


def test_the_readings_end_the_day_before_the_forecast():
    plan = DemoPlan(TODAY, 60, 7)
    assert (plan.first_day, plan.last_day) == (date(2026, 9, 23), date(2026, 11, 21))
    assert plan.environment == {
        "SMARTGRID_FIRST_DAY": "2026-09-23",
        "SMARTGRID_LAST_DAY": "2026-11-22",
        "SMARTGRID_READINGS_END": "2026-11-22",
    }


def test_another_wish_for_the_same_home_is_refused_with_the_mend(home: Home):
    DemoState(home).keep_plan(DemoPlan(TODAY, 60, 7))
    with pytest.raises(ConfigurationError, match=r"60 days before 2026-11-22.*make clean-state"):
        DemoState(home).decide(days=366, end=None, today=TODAY)


@pytest.mark.parametrize(("days", "end"), [(0, None), (3, None), (60, date(2027, 1, 1))])
def test_a_plan_that_cannot_be_is_refused(home: Home, days: int, end: date | None):
    with pytest.raises(ConfigurationError):
        DemoState(home).decide(days=days, end=end, today=TODAY)


def test_a_killed_demo_knows_which_steps_are_behind_it(home: Home):
    state = DemoState(home)
    state.keep_plan(state.decide(days=7, end=None, today=TODAY))
    state.finish("written", first=["a.csv"])
    again = DemoState(home)
    assert again.is_done("written")
    assert again.read_facts("written") == {"first": ["a.csv"]}
    assert not again.is_done("landed")
    assert again.plan == DemoPlan(TODAY, 7, 7)


def test_a_demo_that_is_refused_leaves_a_running_home_as_it_was(home: Home):
    wish = {"days": 7, "end": None, "today": TODAY, "stays": False}
    with home.hold(), pytest.raises(HomeInUseError):
        run_demo(home, **wish, console=Console(quiet=True))
    assert DemoState(home).plan is None
    assert not home.demo.exists()


def test_no_days_are_an_error():
    result = CliRunner().invoke(app, ["demo", "--days", "0"])
    assert result.exit_code == 2
    assert "Invalid value for '--days'" in result.output
