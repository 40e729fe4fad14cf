"""The asset that says on one page what was mined."""

from datetime import date, timedelta

import dagster as dg
import polars as pl

from smartgrid_assets.partitions import last_whole_day
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
from smartgrid_ml.mining.anomalies.report import anomaly_figure
from smartgrid_ml.mining.insights.page import Section, insight_rows, page_markdown, page_rows
from smartgrid_ml.mining.insights.select import (
    anomaly_section,
    inspection_section,
    of_the_week,
    rule_section,
    segment_section,
)
from smartgrid_ml.mining.plots import figure_markdown
from smartgrid_ml.mining.rules.report import rules_figure
from smartgrid_ml.mining.segments.report import bands_figure
from smartgrid_ml.mining.theft.report import balance_figure

LOOK_BACK = timedelta(days=62)
"""What may have begun long before the week that is told is read for so long."""


@dg.asset(
    deps=["anomalies", "event_rules", "consumer_segments", "consumer_outliers", "inspections"],
    group_name="mining",
    kinds={"polars", "postgres"},
)
def insights(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult:
    """Whom to inspect, what is out of place, what goes together, what kinds of consumers there are.

    The page up to the last whole day; each thing on it links to the asset that found it.
    """
    day = last_whole_day(lake, AnomalyScores, clock=clock)
    if day is None:
        return dg.MaterializeResult(metadata={"outcome": "no whole day was judged yet"})
    sections = [
        _inspections(warehouse, day=day),
        _anomalies(lake, warehouse, day=day),
        _rules(warehouse),
        _segments(warehouse),
    ]
    rows = warehouse.replace(Insights, insight_rows(day, sections), window=Window.of_day(day))
    forwarded = page_markdown(day, sections, ui=settings.dagster_ui_url)
    warehouse.upsert(InsightPages, page_rows(day, forwarded))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "day": str(day),
            **{section.name: section.lead for section in sections},
            "page": dg.MetadataValue.md(page_markdown(day, sections)),
        }
    )


def _inspections(warehouse: Warehouse, *, day: date) -> Section:
    listed = warehouse.read(Inspections)
    first = listed.filter(pl.col("node_id").is_not_null()).sort("rank").head(1)
    if first.is_empty():
        return inspection_section(listed)
    node_id = first["node_id"].item()
    balance = warehouse.read(EnergyBalance, window=Window.of_days(day - LOOK_BACK, day))
    figure = balance_figure(balance, node_id=node_id)
    picture = figure_markdown(figure, about=f"energy that {node_id} misses")
    return inspection_section(listed, pictures=[picture])


def _anomalies(lake: Lake, warehouse: Warehouse, *, day: date) -> Section:
    rows = warehouse.read(Anomalies, window=Window.of_days(day - LOOK_BACK, day))
    recent = of_the_week(rows, day=day)
    pictures = []
    if recent.height:
        worst = recent.head(1)
        began = max(worst["start_time"].item().date(), day - LOOK_BACK)
        scores = lake.scan(AnomalyScores, window=Window.of_days(began - timedelta(days=1), day))
        figure = anomaly_figure(worst, scores)
        pictures.append(
            figure_markdown(figure, about="the strongest anomaly and what was expected")
        )
    return anomaly_section(rows, day=day, pictures=pictures)


def _rules(warehouse: Warehouse) -> Section:
    # The itemsets are those of the newest window; a window may have no rule at all.
    newest = _window_of_newest(warehouse.read(EventItemsets))
    rules = warehouse.read(EventRules, window=newest)
    changes = warehouse.read(EventRuleChanges, window=newest)
    pictures = []
    if rules.height:
        pictures.append(figure_markdown(rules_figure(rules), about="rules by strength"))
    return rule_section(rules, changes, pictures=pictures)


def _segments(warehouse: Warehouse) -> Section:
    newest = _window_of_newest(warehouse.read(ConsumerSegments))
    history = warehouse.read(SegmentHistory, window=newest)
    bands = warehouse.read(SegmentBands, window=newest)
    pictures = []
    if bands.height:
        figure = bands_figure(bands, history)
        pictures.append(figure_markdown(figure, about="typical days of every segment"))
    return segment_section(history, warehouse.read(ConsumerOutliers), pictures=pictures)


def _window_of_newest(rows: pl.DataFrame) -> Window:
    """The day of which all rows are; for none a day long before there was anything to know."""
    return Window.of_day(rows["day"].max() or date(1970, 1, 1))
