"""The list of inspections: who comes first, what comes back, and the words for it."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from smartgrid_core.contracts.inspections import EnergyBalance
from smartgrid_core.contracts.readings import ReadingFindings
from smartgrid_core.time import Window
from smartgrid_ml.mining.theft.inspection_list import rank_inspections, rank_planted_thefts
from smartgrid_ml.mining.theft.report import render_inspections
from smartgrid_ml.mining.theft.suspects import SUSPECT_SCHEMA

FIRST = date(2026, 5, 1)
JUDGED = Window.of_days(FIRST, FIRST + timedelta(days=27))
PLACES = pl.DataFrame(
    {
        "meter_id": ["M1", "M2", "M3", "M4"],
        "customer_id": None,
        "customer_kind": "household",
        "transformer_id": ["T1", "T1", "T2", "T3"],
        "feeder_id": "F1",
        "substation_id": "SUB",
    }
)
SUSPECT = {
    "meter_id": "M1",
    "node_id": "T1",
    "probability": 0.9,
    "theft_score": 4.0,
    "days_judged": 28,
    "suspected_since": FIRST,
    "follows_counted": 0.95,
    "follows_gap": 0.3,
    "gap_kwh_day": 3.0,
    "missing_kwh_day": 2.0,
    "band_kwh": 0.4,
    "night_share": 0.3,
    "day_share": 1.0,
    "pattern": "low_at_night",
}


def suspects(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([{**SUSPECT, **row} for row in rows], schema=SUSPECT_SCHEMA)


def balance(**missing: float) -> pl.DataFrame:
    """Each node misses so much on every judged day."""
    rows = [
        (node, FIRST + timedelta(days=n), kwh) for node, kwh in missing.items() for n in range(28)
    ]
    days = pl.DataFrame(rows, schema=["node_id", "day", "unexplained_kwh"], orient="row")
    return EnergyBalance.validate(
        days.select(
            "node_id",
            "day",
            "unexplained_kwh",
            node_kind=pl.when(pl.col("node_id") == "F1")
            .then(pl.lit("feeder"))
            .otherwise(pl.lit("transformer")),
            hours=24,
            head_kwh=200.0,
            metered_kwh=190.0 - pl.col("unexplained_kwh"),
            loss_kwh=10.0,
            band_kwh=0.4,
            is_beyond=pl.col("unexplained_kwh") > 0.4,
        ).select(EnergyBalance.column_names()),
        cast=True,
    )


def hours_of(balance: pl.DataFrame) -> pl.DataFrame:
    """The same, spread evenly over the hours of the days."""
    return (
        balance.join(pl.DataFrame({"hour": range(24)}), how="cross")
        .with_columns(
            hour_start=pl.col("day").cast(pl.Datetime("us", "UTC"))
            + pl.duration(hours=pl.col("hour")),
            unexplained_kwh=pl.col("unexplained_kwh") / 24,
        )
        .select("node_id", "hour_start", "unexplained_kwh")
    )


def stuck(meter: str, *, day: int = 5, hours: int = 12) -> pl.DataFrame:
    start = JUDGED.start + timedelta(days=day)
    return ReadingFindings.validate(
        pl.DataFrame(
            {
                "subject_id": [meter],
                "kind": "stuck_value",
                "start_time": start,
                "evidence": "48 intervals without any energy",
                "end_time": start + timedelta(hours=hours),
            }
        ),
        cast=True,
    )


def listed(
    suspects: pl.DataFrame | None,
    *,
    balance: pl.DataFrame,
    findings: pl.DataFrame | None = None,
) -> pl.DataFrame:
    return rank_inspections(
        suspects,
        balance=balance,
        hours=hours_of(balance),
        findings=ReadingFindings.create_empty() if findings is None else findings,
        places=PLACES,
        judged=JUDGED,
    )


def test_a_suspect_that_its_transformer_confirms_comes_with_figures():
    row = listed(suspects({}), balance=balance(T1=2.0, F1=2.0)).row(0, named=True)
    assert (row["subject_id"], row["rank"], row["suspicion"]) == ("M1", 1, "theft")
    assert row["recoverable_kwh_month"] == pytest.approx(60.0)
    assert row["basis"] == "energy_balance"
    assert row["balance_score"] == 0.95
    assert row["reason"] == (
        "It counts little between 22:00 and 5:00 since 2026-05-01: 30 % at night and 100 % by day"
        " of what its own past and its peers suggest (28 days judged). Its transformer T1 misses"
        " 2.00 kWh a day where 0.40 is usual, and the missing energy moves with what it still"
        " counts, within the same hour of the day (correlation 0.95). About 60 kWh in 30 days"
        " would come back, by what T1 misses. Probability 0.90 if one meter in 100 is wrong."
    )


def test_two_suspects_share_what_their_node_misses_by_what_each_seems_to_hide():
    rows = suspects({}, {"meter_id": "M2", "gap_kwh_day": 1.0})
    shared = dict(
        listed(rows, balance=balance(T1=2.0)).select("subject_id", "recoverable_kwh_month").rows()
    )
    assert shared == pytest.approx({"M1": 45.0, "M2": 15.0})


def test_without_a_balance_the_meters_own_past_says_what_comes_back():
    alone = {
        "meter_id": "M4",
        "node_id": None,
        "follows_counted": None,
        "follows_gap": None,
        "missing_kwh_day": None,
        "band_kwh": None,
    }
    row = listed(suspects(alone), balance=balance(T1=0.0)).row(0, named=True)
    assert (row["basis"], row["recoverable_kwh_month"]) == ("own_past", pytest.approx(90.0))
    assert "No sensor above it has a balance that could confirm it." in row["reason"]


def test_likely_suspects_come_before_faults_and_nodes_and_those_before_the_less_likely():
    rows = suspects(
        {"meter_id": "M2", "probability": 0.3, "gap_kwh_day": 99.0, "missing_kwh_day": 0.1},
        {"probability": 0.6},
    )
    table = listed(rows, balance=balance(T1=2.0, T2=1.0, F1=3.0), findings=stuck("M4"))
    assert table.select("rank", "subject_id", "suspicion").rows() == [
        (1, "M1", "theft"),
        (2, "T2", "unexplained_loss"),
        (3, "M4", "meter_fault"),
        (4, "M2", "theft"),
    ]
    assert "The balance" not in render_inspections(table)
    assert render_inspections(table).count("\n") == 5


def test_a_stuck_register_is_told_with_what_its_transformer_missed_meanwhile():
    row = listed(None, balance=balance(T3=0.24), findings=stuck("M4")).row(0, named=True)
    assert (row["suspicion"], row["recoverable_kwh_month"]) == ("meter_fault", 0.0)
    assert row["reason"] == (
        "From 2026-05-06 00:00 to 2026-05-06 12:00 UTC the register stood still (48 intervals"
        " without any energy). Meanwhile T3 missed 0.1 kWh, which can be billed as an estimate. It"
        " counts again; a fault that comes back costs again."
    )


def test_a_fault_of_a_suspect_is_told_with_the_suspicion():
    table = listed(suspects({}), balance=balance(T1=2.0), findings=stuck("M1"))
    assert table["subject_id"].to_list() == ["M1"]
    assert "the register stood still" in table["reason"][0]


def test_a_feeder_is_not_listed_for_what_its_transformer_misses():
    table = listed(None, balance=balance(T2=1.0, F1=1.0))
    assert table.select("subject_id", "recoverable_kwh_month").rows() == [("T2", 30.0)]


def test_nobody_is_listed_where_nothing_is_wrong():
    table = listed(suspects({"probability": 0.05}), balance=balance(T1=0.1))
    assert table.is_empty()
    assert render_inspections(table) == "Nobody calls for a visit."


def test_a_planted_theft_counts_if_it_lasted_half_the_window():
    planted = pl.DataFrame(
        {
            "kind": ["theft", "theft", "gap"],
            "subject_id": ["M1", "M2", "M3"],
            "start_time": [JUDGED.start, JUDGED.end - timedelta(days=3), JUDGED.start],
            "end_time": [JUDGED.end] * 3,
        }
    )
    table = listed(suspects({}), balance=balance(T1=2.0))
    assert rank_planted_thefts(table, planted=planted, judged=JUDGED).rows() == [("M1", 1)]
    none = rank_planted_thefts(table.clear(), planted=planted, judged=JUDGED)
    assert none.rows() == [("M1", None)]
    assert JUDGED.start == datetime(2026, 5, 1, tzinfo=UTC)
