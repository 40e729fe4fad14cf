"""Assets of association rules: events that occur together on a feeder, rules, their changes."""

from datetime import date, timedelta

import dagster as dg
import polars as pl

from smartgrid_assets.domains import EVENTS, grid_asset
from smartgrid_assets.partitions import MINED_DAYS, find_last_whole_day
from smartgrid_core.contracts.events import (
    EventItemsets,
    EventRuleChanges,
    EventRules,
    GridEvents,
)
from smartgrid_core.features.events import group_into_shifts
from smartgrid_core.model_protocols import ModelRegistry
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window
from smartgrid_ml.mining.plots import embed_figure
from smartgrid_ml.mining.rules.changes import compare_rules
from smartgrid_ml.mining.rules.mine import MinedRules, RuleLimits, mine_rules
from smartgrid_ml.mining.rules.report import (
    plot_rules,
    render_changes,
    render_itemsets,
    render_rules,
)

EXPERIMENT = "event_rules"

NO_DAY = "no whole day has events yet"


def read_window_events(
    lake: Lake, *, last: date, settings: Settings
) -> tuple[Window, pl.DataFrame]:
    """The window that ends with a day, and its transactions by hour or by shift."""
    window = Window.of_days(last - timedelta(days=settings.rule_window_days - 1), last)
    events = lake.scan(GridEvents, window=window).collect()
    if settings.rule_transaction_hours == 8:
        events = group_into_shifts(events, timezone=settings.zone)
    return window, events


def mine_window(events: pl.DataFrame, *, last: date, settings: Settings) -> MinedRules:
    """Itemsets and rules of the transactions of a window."""
    return mine_rules(
        events,
        day=last,
        timezone=settings.zone,
        unit="hours" if settings.rule_transaction_hours == 1 else "shifts",
    )


@grid_asset(
    EVENTS, table=EventItemsets, deps=["grid_events"], pool=MINED_DAYS, kinds={"polars", "postgres"}
)
def event_itemsets(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """One row per feeder and set of events that often occur together in its hours.

    Hours, or shifts of eight hours where the settings say so, are those of the window that ends
    with the last whole UTC day. Only the newest window's itemsets are kept.
    """
    last = find_last_whole_day(lake, GridEvents, clock=clock)
    if last is None:
        return dg.MaterializeResult(metadata={"outcome": NO_DAY})
    window, events = read_window_events(lake, last=last, settings=settings)
    rows = warehouse.replace(
        EventItemsets, mine_window(events, last=last, settings=settings).itemsets
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "window": _format_window(window),
            "transactions": events.select("feeder_id", "hour_start").n_unique(),
            "itemsets": dg.MetadataValue.md(render_itemsets(rows.collect())),
        }
    )


@grid_asset(
    EVENTS,
    table=EventRules,
    deps=["grid_events", "event_itemsets"],
    kinds={"polars", "postgres", "mlflow"},
)
def event_rules(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    model_registry: dg.ResourceParam[ModelRegistry],
) -> dg.MaterializeResult[None]:
    """One row per window, feeder and rule "if these events, then that one", with its statistics.

    The consequent is an event that an operator acts on. Each run adds the rules of the window that
    ends with the last whole UTC day, and how they changed against the window before.
    """
    last = find_last_whole_day(lake, GridEvents, clock=clock)
    if last is None:
        return dg.MaterializeResult(metadata={"outcome": NO_DAY})
    window, events = read_window_events(lake, last=last, settings=settings)
    found = mine_window(events, last=last, settings=settings)
    before = last - timedelta(days=settings.rule_window_days)
    _, events_before = read_window_events(lake, last=before, settings=settings)
    changes = compare_rules(
        rules=found.rules,
        rules_before=mine_window(events_before, last=before, settings=settings).rules,
        events=events,
        events_before=events_before,
        day=last,
        timezone=settings.zone,
        false_discovery_rate=RuleLimits().false_discovery_rate,
    )
    moves = "There are no days before the window."
    if events_before.height:
        moves = render_changes(changes)
    rows = warehouse.replace(EventRules, found.rules, window=Window.of_day(last))
    moved = warehouse.replace(EventRuleChanges, changes, window=Window.of_day(last))
    figure = plot_rules(found.rules)
    counts = {f"changes_{change}": n for change, n in moved.count_by("change").items()}
    run_id = model_registry.log_training(
        EXPERIMENT,
        params={**_list_limits(), "transaction_hours": settings.rule_transaction_hours},
        metrics={"rules": rows.count, "hypotheses": found.hypotheses, **counts},
        data_window=window,
        figures={"rules": figure},
        tables={"rules": found.rules, "changes": changes},
        run_name=f"{last}",
    )
    model_registry.finish(run_id, "FINISHED")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "outcome": _describe_outcome(found.rules),
            "window": _format_window(window),
            "hypotheses": found.hypotheses,
            "rules": dg.MetadataValue.md(render_rules(found.rules)),
            "plot": dg.MetadataValue.md(embed_figure(figure, about="rules by strength")),
            "changes": dg.MetadataValue.md(moves),
            "mlflow_run": run_id,
        }
    )


def _describe_outcome(rules: pl.DataFrame) -> str:
    return str(rules.sort("rank")["sentence"][0]) if rules.height else "no rule is significant"


def _format_window(window: Window) -> str:
    return f"{window.start:%Y-%m-%d} .. {window.end - timedelta(days=1):%Y-%m-%d}"


def _list_limits() -> dict[str, object]:
    limits = RuleLimits()
    return {name: getattr(limits, name) for name in RuleLimits.__slots__}
