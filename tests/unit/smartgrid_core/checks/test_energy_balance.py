"""The judgement on energy balances: technical losses that physics allows."""

from datetime import date, timedelta

import polars as pl

from smartgrid_core.checks.energy_balance import judge_energy_balance

SCHEMA = {"node_id": pl.String, "loss_kwh": pl.Float64, "head_kwh": pl.Float64}
LAST = date(2026, 3, 28)


def days(*rows: tuple[str, float | None, float], last: date = LAST) -> pl.DataFrame:
    """One row per day, the last of them on `last`."""
    dates = [last - timedelta(days=age) for age in reversed(range(len(rows)))]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(
        day=pl.Series(dates, dtype=pl.Date)
    )


def test_losses_of_a_few_percent_are_right():
    outcome = judge_energy_balance(days(("F1", 5.0, 100.0), ("F1", 5.0, -100.0)))
    assert outcome.passed
    assert outcome.figures == {"nodes": 1, "largest_loss_share": 0.05}


def test_a_loss_below_zero_is_a_warning():
    outcome = judge_energy_balance(days(("F1", -0.1, 100.0), ("F1", 5.0, 100.0)))
    assert outcome.warnings == ("losses are below zero at F1",)


def test_a_loss_of_half_of_the_energy_is_a_warning():
    outcome = judge_energy_balance(days(("F1", 50.0, 100.0), ("F2", 1.0, 100.0)))
    assert outcome.warnings == ("losses exceed 40% of the energy: F1 50%",)


def test_what_was_mended_more_than_four_weeks_ago_is_no_warning_today():
    rows = [("F1", -5.0, 100.0), *[("F1", 5.0, 100.0)] * 28]
    assert judge_energy_balance(days(*rows)).passed
    assert not judge_energy_balance(days(*rows[:28])).passed


def test_losses_of_new_days_are_not_thinned_by_old_ones():
    rows = [*[("F1", 1.0, 100.0)] * 300, *[("F1", 50.0, 100.0)] * 28]
    assert judge_energy_balance(days(*rows)).warnings == (
        "losses exceed 40% of the energy: F1 50%",
    )


def test_nodes_whose_losses_are_not_known_are_left_out():
    outcome = judge_energy_balance(days(("F1", None, 100.0)))
    assert outcome.passed
    assert outcome.summary == "technical losses are known of 0 of 1 nodes"
    assert judge_energy_balance(days()).passed
