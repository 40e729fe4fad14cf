"""Checks of energy balances, and of the list of inspections against a known truth."""

import dagster as dg
import polars as pl

from smartgrid_assets.mining.inspections import choose_judged_window
from smartgrid_assets.partitions import find_last_whole_day
from smartgrid_assets.quality import make_schema_check, to_outcome_result
from smartgrid_core.checks.energy_balance import judge_energy_balance
from smartgrid_core.contracts.aggregates import MeterConsumption
from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.contracts.inspections import EnergyBalance, HeadEnergy, Inspections
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_ml.mining.theft.inspection_list import rank_planted_thefts

TOP = 3
"""A crew that sets out today visits so many."""


@dg.asset_check(
    asset="inspections",
    description="Planted thefts are at the top of the list; passes without a truth.",
)
def planted_theft_found(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.AssetCheckResult:
    """Judges the list by the ground truth of a data set that carries one, as the demo does.

    A theft that did not last for at least half of the judged window is none.
    """
    last = find_last_whole_day(lake, MeterConsumption, clock=clock)
    if last is None:
        return dg.AssetCheckResult(passed=True, description="no whole day has energy yet")
    listed = warehouse.read(Inspections)
    ranks = rank_planted_thefts(
        listed,
        planted=warehouse.read(PlantedFaults),
        judged=choose_judged_window(last, settings=settings),
    )
    missed = ranks.filter(pl.col("rank").is_null() | (pl.col("rank") > TOP - 1 + ranks.height))
    likely = listed.filter(pl.col("suspicion") == "theft", pl.col("probability") >= 0.5)
    false = likely.filter(~pl.col("subject_id").is_in(ranks["subject_id"].to_list()))
    return dg.AssetCheckResult(
        passed=missed.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{ranks.height - missed.height} of {ranks.height} planted thefts are at the"
        " top of the list",
        metadata={
            "ranks": [
                f"{subject}: {rank or 'not listed'}"
                for subject, rank in ranks.select("subject_id", "rank").rows()
            ],
            "likely_suspects_not_planted": false["subject_id"].to_list() if ranks.height else [],
        },
    )


@dg.asset_check(
    asset="energy_balance",
    description="Technical losses are not negative, and no node loses most of its energy.",
)
def losses_are_possible(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Judges the newest weeks that are on record."""
    return to_outcome_result(judge_energy_balance(warehouse.read(EnergyBalance)))


CHECKS = [losses_are_possible, make_schema_check(HeadEnergy), planted_theft_found]
