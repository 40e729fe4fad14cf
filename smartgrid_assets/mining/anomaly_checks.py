"""Checks of the anomalies against a known truth, where there is one."""

import dagster as dg
import polars as pl

from smartgrid_core.contracts.anomalies import Anomalies, AnomalyScores
from smartgrid_core.contracts.grid import GridTopology, PlantedFaults
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.time import midnight
from smartgrid_ml.mining.anomalies.evaluation.ground_truth import (
    count_most_per_month,
    find_false_alarms,
    match_faults,
)

MOST_FALSE_ALARMS = 1
"""Of one sensor in 30 days: what an operator takes without switching the alarms off."""


@dg.asset_check(
    asset="anomalies",
    description="Planted faults that readings can show are found, with at most one false alarm per "
    "sensor and month; passes without a truth.",
)
def planted_anomalies_found(
    lake: dg.ResourceParam[Lake], warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """Judges the anomalies by the ground truth of a data set that carries one, as the demo does.

    Faults count once the days up to their end were judged.
    """
    planted = warehouse.read(PlantedFaults)
    days = lake.days(AnomalyScores)
    if planted.is_empty() or not days:
        return dg.AssetCheckResult(passed=True, description="no truth is known")
    topology, anomalies = lake.scan(GridTopology).collect(), warehouse.read(Anomalies)
    judged = planted.filter(
        pl.col("start_time") >= midnight(days[0]), pl.col("end_time").dt.date() <= days[-1]
    )
    faults = match_faults(anomalies, judged, topology=topology)
    missed = faults.filter(~pl.col("found"))
    alarms = find_false_alarms(anomalies, planted, topology=topology)
    most = count_most_per_month(alarms.filter(pl.col("subject_kind") == "sensor"))
    return dg.AssetCheckResult(
        passed=missed.is_empty() and most <= MOST_FALSE_ALARMS,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{faults.height - missed.height} of {faults.height} planted faults are found; "
        f"at most {most} false alarms per sensor and month",
        metadata={
            "missed": [
                f"{kind} at {at}" for kind, at in missed.select("kind", "subject_id").rows()
            ],
            **{
                f"false_alarms/{kind}": alarms.filter(pl.col("subject_kind") == kind).height
                for kind in ("sensor", "meter")
            },
        },
    )


CHECKS = [planted_anomalies_found]
