"""The page of insights against a real lake and a real PostgreSQL."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from smartgrid_assets.mining.insights import insights
from smartgrid_core.contracts.anomalies import Anomalies, AnomalyScores
from smartgrid_core.contracts.insights import InsightPages, Insights
from smartgrid_core.contracts.inspections import EnergyBalance, Inspections
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window, midnight
from smartgrid_io.parquet_lake import ParquetLake

DAY = date(2026, 2, 8)
NOON = midnight(DAY) + timedelta(hours=12)


class StillClock:
    def now(self) -> datetime:
        return datetime(2026, 2, 9, 1, tzinfo=UTC)


def page_made(lake: ParquetLake, warehouse: Any) -> Any:
    outcome = dg.materialize(
        [insights],
        resources={
            "lake": lake,
            "warehouse": warehouse,
            "clock": StillClock(),
            "settings": Settings(_env_file=None, dagster_ui_url="http://ui.example:3000"),
        },
    )
    assert outcome.success
    return outcome.asset_materializations_for_node("insights")[0].metadata


def test_before_any_day_was_judged_there_is_no_page(tmp_path, warehouse):
    metadata = page_made(ParquetLake(str(tmp_path)), warehouse)

    assert metadata["outcome"].value == "no whole day was judged yet"
    assert warehouse.read(InsightPages).is_empty()


def test_a_page_is_made_of_whatever_was_found_and_made_again_it_is_the_same(tmp_path, warehouse):
    lake = ParquetLake(str(tmp_path))
    scores = pl.DataFrame(
        {
            "subject_id": "S-1",
            "quantity": "voltage",
            "time": [NOON - timedelta(hours=1), NOON, NOON + timedelta(hours=1)],
            "value": [230.0, 180.0, 230.0],
            "lower_value": 220.0,
            "upper_value": 240.0,
            "score": [0.0, 5.0, 0.0],
        }
    )
    lake.replace(AnomalyScores, AnomalyScores.cast(scores), window=Window.of_day(DAY))
    sag = {
        "subject_id": ["S-1"],
        "quantity": ["voltage"],
        "start_time": [NOON],
        "end_time": [NOON + timedelta(hours=1)],
        "subject_kind": ["sensor"],
        "kind": ["out_of_band"],
        "worst_time": [NOON],
        "value": [180.0],
        "lower_value": [220.0],
        "upper_value": [240.0],
        "score": [5.0],
        "reason": ["180 V, expected 220 to 240 V."],
    }
    warehouse.upsert(Anomalies, Anomalies.cast(pl.DataFrame(sag)))
    suspect = {
        "subject_id": ["M-7"],
        "subject_kind": ["meter"],
        "rank": [1],
        "suspicion": ["theft"],
        "pattern": ["night_time"],
        "probability": [0.9],
        "theft_score": [2.0],
        "balance_score": [0.8],
        "node_id": ["F1"],
        "suspected_since": [DAY - timedelta(days=20)],
        "days_judged": [28],
        "recoverable_kwh_month": [120.0],
        "basis": ["energy_balance"],
        "reason": ["Counts little at night, and F1 misses as much."],
        "judged_from": [NOON - timedelta(days=28)],
        "judged_to": [NOON],
    }
    warehouse.replace(Inspections, Inspections.cast(pl.DataFrame(suspect)))
    balance = {
        "node_id": ["F1"],
        "day": [DAY],
        "node_kind": ["feeder"],
        "hours": [24],
        "head_kwh": [100.0],
        "metered_kwh": [92.0],
        "loss_kwh": [2.0],
        "unexplained_kwh": [6.0],
        "band_kwh": [1.0],
        "is_beyond": [True],
    }
    warehouse.upsert(EnergyBalance, EnergyBalance.cast(pl.DataFrame(balance)))

    metadata = page_made(lake, warehouse)

    assert metadata["anomalies"].value == "1 anomaly in seven days (1 out of band)."
    assert metadata["rules"].value == "No rule that chance would not explain."
    assert metadata["segments"].value == "No segments yet."
    assert "(/assets/inspections)" in metadata["page"].value
    rows, page = warehouse.read(Insights), warehouse.read(InsightPages)
    assert rows.select("section", "position", "subject_id", "figure").rows() == [
        ("anomalies", 1, "S-1", 5.0),
        ("inspections", 1, "M-7", 120.0),
    ]
    assert json.loads(rows["evidence_key"][0])["start_time"] == NOON.isoformat()
    assert page["day"].to_list() == [DAY]
    markdown = page["markdown"].item()
    assert "(http://ui.example:3000/assets/anomalies?partition=2026-02-08)" in markdown
    assert markdown.count("(data:image/png;base64,") == 2

    page_made(lake, warehouse)
    assert warehouse.read(Insights).equals(rows)
    assert warehouse.read(InsightPages).equals(page)
