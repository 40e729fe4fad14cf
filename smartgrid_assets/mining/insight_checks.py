"""The check of insights: each of them rests on rows that are there."""

import dagster as dg
import polars as pl

from smartgrid_assets.quality import to_outcome_result
from smartgrid_core.checks.insights import judge_insights
from smartgrid_core.contracts.anomalies import Anomalies
from smartgrid_core.contracts.events import EventRules
from smartgrid_core.contracts.insights import Insights
from smartgrid_core.contracts.inspections import Inspections
from smartgrid_core.contracts.segments import ConsumerOutliers, ConsumerSegments
from smartgrid_core.contracts.tables import to_table_name
from smartgrid_core.protocols import Warehouse

EVIDENCE = (Inspections, Anomalies, EventRules, ConsumerSegments, ConsumerOutliers)
"""The tables on which insights rest."""


@dg.asset_check(asset="insights", description="Every insight links to evidence that is there.")
def insights_have_evidence(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Judges the newest page."""
    insights = warehouse.read(Insights)
    newest = insights.filter(pl.col("day") == pl.col("day").max())
    named = set(newest["evidence_table"].to_list())
    evidence = {
        to_table_name(schema): warehouse.read(schema)
        for schema in EVIDENCE
        if to_table_name(schema) in named
    }
    return to_outcome_result(judge_insights(newest, evidence=evidence))


CHECKS = [insights_have_evidence]
