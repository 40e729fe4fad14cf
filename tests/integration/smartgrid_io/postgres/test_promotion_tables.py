"""What the gate and the drift watch write comes back from PostgreSQL as it went in."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
from polars.testing import assert_frame_equal

from smartgrid_core.contracts.promotion import BacktestLosses, ModelDrift, PromotionDecisions
from smartgrid_core.time import Window
from smartgrid_io.postgres.warehouse import PostgresWarehouse
from smartgrid_ml.drift.drift import DriftSign
from smartgrid_ml.drift.report import build_drift_rows
from smartgrid_ml.promotion.decision_records import build_decision_rows
from smartgrid_ml.promotion.gate import Condition, conclude_decision

NOW = datetime(2026, 3, 3, 12, 30, tzinfo=UTC)


def test_a_decision_keeps_every_line_with_its_figures_or_without(warehouse: PostgresWarehouse):
    decision = conclude_decision(
        [
            Condition("beats_naive_24h", True, 0.001, 0.05, "better than naive_24h"),
            Condition("beats_champion", False, None, 0.05, 'not "decided", yet'),
        ]
    )
    rows = build_decision_rows(
        decision, model="m", version="2", champion=None, by="promotion_decision", now=NOW
    )
    warehouse.upsert(PromotionDecisions, rows)
    warehouse.upsert(PromotionDecisions, rows)
    read = warehouse.read(PromotionDecisions)
    assert_frame_equal(read, rows.sort("condition"), check_row_order=True)
    assert set(read["decision"]) == {"refuse"}


def test_losses_of_one_backtest_take_the_place_of_others(warehouse: PostgresWarehouse):
    def losses(backtest_id: str) -> pl.DataFrame:
        rows = [
            {
                "backtest_id": backtest_id,
                "series": "F1",
                "model": "boosting",
                "issue_time": NOW - timedelta(days=day),
                "hours": 24,
                "pinball": 0.5,
                "mae": 1.0,
                "coverage": 0.8,
                "scored_at": NOW,
            }
            for day in range(3)
        ]
        return BacktestLosses.validate(pl.DataFrame(rows), cast=True)

    warehouse.replace(BacktestLosses, losses("a"))
    warehouse.replace(BacktestLosses, losses("b"))
    read = warehouse.read(BacktestLosses)
    assert_frame_equal(read, losses("b").sort(BacktestLosses.primary_key()))


def test_drift_is_read_by_day(warehouse: PostgresWarehouse):
    signs = [
        DriftSign("feature", "same_hour_1d_kw", 0.3, 0.25),
        DriftSign("error", "pinball", None, None),
    ]
    for day in (date(2026, 3, 1), date(2026, 3, 2)):
        warehouse.upsert(ModelDrift, build_drift_rows(signs, day=day, version="3"))
    read = warehouse.read(ModelDrift, window=Window.of_day(date(2026, 3, 2)))
    assert read.select("day", "kind", "figure", "is_drifted").rows() == [
        (date(2026, 3, 2), "error", None, False),
        (date(2026, 3, 2), "feature", 0.3, True),
    ]
