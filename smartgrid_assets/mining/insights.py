"""The asset that puts the results of mining on one page."""

from datetime import date, timedelta
from typing import cast

import dagster as dg
import polars as pl

from smartgrid_assets.domains import INSIGHTS, grid_asset
from smartgrid_assets.partitions import find_last_whole_day
from smartgrid_core.contracts.anomalies import Anomalies, AnomalyScores
from smartgrid_core.contracts.events import EventItemsets, EventRuleChanges, EventRules
from smartgrid_core.contracts.insights import InsightPages, Insights
from smartgrid_core.contracts.inspections import EnergyBalance, Inspections
from smartgrid_core.contracts.segments import (
    ConsumerOutliers,
    ConsumerSegments,
    SegmentBands,
    SegmentHistory,
)
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window
from smartgrid_ml.mining.anomalies.report import plot_worst_anomaly
from smartgrid_ml.mining.insights.page import (
    Section,
    build_insight_rows,
    build_page_rows,
    render_page,
)
from smartgrid_ml.mining.insights.select import (
    select_anomalies,
    select_inspections,
    select_recent,
    select_rules,
    select_segments,
)
from smartgrid_ml.mining.plots import embed_figure
from smartgrid_ml.mining.rules.report import plot_rules
from smartgrid_ml.mining.segments.report import plot_bands
from smartgrid_ml.mining.theft.report import plot_balance

LOOK_BACK = timedelta(days=62)
"""Two months: an anomaly that ended in the week of the page may have begun so long before."""


@grid_asset(
    INSIGHTS,
    table=Insights,
    deps=["anomalies", "event_rules", "consumer_segments", "consumer_outliers", "inspections"],
    kinds={"polars", "postgres"},
)
def insights(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """One row per thing worth knowing on the page of the last whole UTC day, the most urgent first.

    The page has meters to inspect, anomalies, association rules and segments of consumers; each
    links to the asset that found it.
    """
    day = find_last_whole_day(lake, AnomalyScores, clock=clock)
    if day is None:
        return dg.MaterializeResult(metadata={"outcome": "no whole day was judged yet"})
    sections = [
        _build_inspection_section(warehouse, day=day),
        _build_anomaly_section(lake, warehouse, day=day),
        _build_rule_section(warehouse),
        _build_segment_section(warehouse),
    ]
    rows = warehouse.replace(Insights, build_insight_rows(day, sections), window=Window.of_day(day))
    forwarded = render_page(day, sections, ui=settings.dagster_ui_url)
    warehouse.upsert(InsightPages, build_page_rows(day, forwarded))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "day": str(day),
            **{section.name: section.lead for section in sections},
            "page": dg.MetadataValue.md(render_page(day, sections)),
        }
    )


def _build_inspection_section(warehouse: Warehouse, *, day: date) -> Section:
    listed = warehouse.read(Inspections)
    first = listed.filter(pl.col("node_id").is_not_null()).sort("rank").head(1)
    if first.is_empty():
        return select_inspections(listed)
    node_id = first["node_id"].item()
    balance = warehouse.read(EnergyBalance, window=Window.of_days(day - LOOK_BACK, day))
    figure = plot_balance(balance, node_id=node_id)
    picture = embed_figure(figure, about=f"energy that {node_id} misses")
    return select_inspections(listed, pictures=[picture])


def _build_anomaly_section(lake: Lake, warehouse: Warehouse, *, day: date) -> Section:
    rows = warehouse.read(Anomalies, window=Window.of_days(day - LOOK_BACK, day))
    recent = select_recent(rows, day=day)
    pictures = []
    if recent.height:
        worst = recent.head(1)
        began = max(worst["start_time"].item().date(), day - LOOK_BACK)
        scores = lake.scan(AnomalyScores, window=Window.of_days(began - timedelta(days=1), day))
        figure = plot_worst_anomaly(worst, scores)
        pictures.append(embed_figure(figure, about="the strongest anomaly and what was expected"))
    return select_anomalies(rows, day=day, pictures=pictures)


def _build_rule_section(warehouse: Warehouse) -> Section:
    # The itemsets are those of the newest window; a window may have no rule at all.
    newest = _find_newest_window(warehouse.read(EventItemsets))
    rules = warehouse.read(EventRules, window=newest)
    changes = warehouse.read(EventRuleChanges, window=newest)
    pictures = []
    if rules.height:
        pictures.append(embed_figure(plot_rules(rules), about="rules by strength"))
    return select_rules(rules, changes, pictures=pictures)


def _build_segment_section(warehouse: Warehouse) -> Section:
    newest = _find_newest_window(warehouse.read(ConsumerSegments))
    history = warehouse.read(SegmentHistory, window=newest)
    bands = warehouse.read(SegmentBands, window=newest)
    pictures = []
    if bands.height:
        figure = plot_bands(bands, history)
        pictures.append(embed_figure(figure, about="typical days of every segment"))
    return select_segments(history, warehouse.read(ConsumerOutliers), pictures=pictures)


def _find_newest_window(rows: pl.DataFrame) -> Window:
    """Return the newest day of the rows as a window; 1 January 1970 for no rows."""
    return Window.of_day(cast(date | None, rows["day"].max()) or date(1970, 1, 1))
