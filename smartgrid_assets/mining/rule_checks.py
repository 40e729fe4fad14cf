"""Checks of events and rules: contract, two algorithms, a planted rule where there is one."""

import dagster as dg
import polars as pl

from smartgrid_assets.mining.rules import read_window_events
from smartgrid_assets.partitions import find_last_whole_day
from smartgrid_assets.quality import make_schema_check
from smartgrid_core.contracts.events import EventItemsets, EventRules, GridEvents
from smartgrid_core.contracts.grid import GridTopology, PlantedFaults
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window
from smartgrid_ml.mining.rules.ground_truth import find_planted_rules
from smartgrid_ml.mining.rules.mine import mine_rules

MOST_FEEDERS = 20
"""Apriori is the slower of the two; more feeders would add time and no evidence."""

TOP = 5


@dg.asset_check(
    asset="event_itemsets",
    description="Apriori finds the itemsets that FP-Growth found, with the same counts.",
)
def algorithms_agree(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """Mines the window that is stored anew with the other algorithm, up to MOST_FEEDERS feeders."""
    stored = warehouse.read(EventItemsets)
    if stored.is_empty():
        return dg.AssetCheckResult(passed=True, description="there are no itemsets yet")
    last = stored["day"][0]
    _, events = read_window_events(lake, last=last, settings=settings)
    feeders = events["feeder_id"].unique().sort().head(MOST_FEEDERS).to_list()
    looked_at = pl.col("feeder_id").is_in(feeders)
    again = mine_rules(
        events.filter(looked_at), day=last, timezone=settings.zone, algorithm="apriori"
    ).itemsets
    key = EventItemsets.primary_key()
    mine, other = stored.filter(looked_at).sort(key), again.sort(key)
    missing = other.join(mine, on=[*key, "transactions"], how="anti")
    extra = mine.join(other, on=[*key, "transactions"], how="anti")
    return dg.AssetCheckResult(
        passed=missing.is_empty() and extra.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{other.height} itemsets of {len(feeders)} feeders by Apriori, "
        f"{missing.height} of them not by FP-Growth, {extra.height} only by it",
        metadata={"itemsets": other.height, "missing": missing.height, "extra": extra.height},
    )


@dg.asset_check(
    asset="event_rules",
    description="The planted rule is among the top five; passes without a truth.",
)
def planted_rule_found(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.AssetCheckResult:
    """Judges the newest rules by the ground truth of a data set that carries one, as the demo does.

    A truth with no episode within the window is none.
    """
    last = find_last_whole_day(lake, GridEvents, clock=clock)
    if last is None:
        return dg.AssetCheckResult(passed=True, description="there are no events yet")
    rules = warehouse.read(EventRules, window=Window.of_day(last))
    window, _ = read_window_events(lake, last=last, settings=settings)
    joints = find_planted_rules(
        rules,
        planted=warehouse.read(PlantedFaults),
        topology=lake.scan(GridTopology),
        window=window,
    )
    missed = [joint for joint in joints if joint.rank is None or joint.rank > TOP]
    return dg.AssetCheckResult(
        passed=not missed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(joints) - len(missed)} of {len(joints)} planted rules are among the "
        f"top {TOP}",
        metadata={
            "ranks": [
                f"{joint.feeder_id}: {joint.rank or 'no rule'}, {joint.episodes} episodes"
                for joint in joints
            ]
        },
    )


CHECKS = [make_schema_check(GridEvents), algorithms_agree, planted_rule_found]
