"""The check of insights: each of them rests on rows that are there."""

import dagster as dg
import dataframely as dy
import polars as pl

from smartgrid_assets.mining.insights import LOOK_BACK
from smartgrid_assets.partitions import find_last_whole_day
from smartgrid_assets.quality import to_outcome_result
from smartgrid_core.checks.insights import find_evidence_window, judge_insights
from smartgrid_core.contracts.anomalies import Anomalies, AnomalyScores
from smartgrid_core.contracts.events import EventRules
from smartgrid_core.contracts.insights import Insights
from smartgrid_core.contracts.inspections import Inspections
from smartgrid_core.contracts.segments import ConsumerOutliers, ConsumerSegments
from smartgrid_core.contracts.tables import get_table, to_table_name
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.time import Window

EVIDENCE = (Inspections, Anomalies, EventRules, ConsumerSegments, ConsumerOutliers)
"""The tables on which insights rest."""


@dg.asset_check(asset="insights", description="Every insight links to evidence that is there.")
def insights_have_evidence(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
) -> dg.AssetCheckResult:
    """Judges the newest page of the last months, by the evidence of the days to which it links."""
    day = find_last_whole_day(lake, AnomalyScores, clock=clock)
    if day is None:
        return dg.AssetCheckResult(passed=True, description="no whole day was judged yet")
    pages = warehouse.read(Insights, window=Window.of_days(day - LOOK_BACK, day))
    newest = pages.filter(pl.col("day") == pl.col("day").max())
    evidence = {
        to_table_name(schema): _read_evidence(
            warehouse,
            schema,
            insights=newest.filter(pl.col("evidence_table") == to_table_name(schema)),
        )
        for schema in EVIDENCE
    }
    return to_outcome_result(judge_insights(newest, evidence=evidence))


def _read_evidence(
    warehouse: Warehouse, schema: type[dy.Schema], *, insights: pl.DataFrame
) -> pl.DataFrame:
    """Return the rows of an evidence table to which its insights may link."""
    column = get_table(schema).day_column
    if insights.is_empty():
        return schema.create_empty()
    if column is None:
        return warehouse.read(schema)
    return warehouse.read(schema, window=find_evidence_window(insights, day_column=column))


CHECKS = [insights_have_evidence]
