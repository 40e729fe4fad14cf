"""What is wrong with the readings, gathered and held to a known truth."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl

from smartgrid_assets.findings.assets import reading_findings
from smartgrid_assets.findings.checks import planted_faults_found
from smartgrid_core.contracts.aggregates import MeterConsumption
from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.contracts.readings import ReadingFindings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)

RESET_AT_NOON = pl.DataFrame(
    {
        "meter_id": "M1",
        "interval_start": [NOON - QUARTER, NOON, NOON + QUARTER],
        "interval_minutes": 15,
        "energy_kwh": [0.1, 0.2, 0.1],
        "is_estimated": [False, True, False],
        "quality": ["measured", "reset", "measured"],
    }
)


def planted(kind: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "fault_id": "fault-1",
            "kind": kind,
            "subject_kind": "meter",
            "subject_id": "M1",
            "start_time": NOON,
            "end_time": NOON + QUARTER,
            "magnitude": None,
            "description": "planted",
        },
        schema_overrides={"magnitude": pl.Float64},
    )


def materialised(store, handles) -> dg.AssetCheckEvaluation:
    outcome = dg.materialize([reading_findings, planted_faults_found], resources=handles)
    assert outcome.success
    return outcome.get_asset_check_evaluations()[0]


def test_a_planted_reset_is_found_with_its_evidence(store, handles):
    store.upsert(MeterConsumption, RESET_AT_NOON)
    store.upsert(PlantedFaults, planted("register_reset"))

    check = materialised(store, handles)

    assert check.passed
    assert check.description == "1 of 1 planted faults are found"
    assert store.read(ReadingFindings).to_dicts() == [
        {
            "subject_id": "M1",
            "kind": "register_reset",
            "start_time": NOON,
            "evidence": "1 intervals with 0.2 kWh in all",
            "end_time": NOON + QUARTER,
        }
    ]


def test_a_planted_fault_that_nothing_shows_fails_the_check(store, handles):
    store.upsert(MeterConsumption, RESET_AT_NOON)
    store.upsert(PlantedFaults, planted("unit_slip"))

    check = materialised(store, handles)

    assert not check.passed
    assert check.metadata["missed"].value == ["unit_slip at M1"]
