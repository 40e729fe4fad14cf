"""Checks of the findings against a known truth, where there is one."""

import dagster as dg
import polars as pl

from smartgrid_assets.findings.assets import choose_findings_window
from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.contracts.readings import ReadingFindings
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.readings.findings import score_findings, select_unexplained_findings


@dg.asset_check(
    asset="reading_findings",
    description="Every planted fault that readings give away is found; passes without a truth.",
)
def planted_faults_found(
    lake: dg.ResourceParam[Lake], warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """Judges the findings by the ground truth of a data set that carries one, as the demo does."""
    window = choose_findings_window(lake)
    findings = warehouse.read(ReadingFindings)
    planted = warehouse.read(PlantedFaults).filter(
        pl.col("start_time") >= (window.start if window else None)
    )
    score = score_findings(findings, planted)
    missed = score.filter(~pl.col("found"))
    return dg.AssetCheckResult(
        passed=missed.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{score.height - missed.height} of {score.height} planted faults are found",
        metadata={
            "missed": [
                f"{kind} at {subject}"
                for kind, subject in missed.select("kind", "subject_id").rows()
            ],
            "not_planted": select_unexplained_findings(findings, planted).height,
        },
    )


CHECKS = [planted_faults_found]
