"""Checks of what people are warned of: exceedances with ground, an alert for each."""

from dataclasses import replace

import dagster as dg

from smartgrid_assets.quality import choose_checked_window, to_outcome_result
from smartgrid_core.alerts.decide import decide_limit_alerts
from smartgrid_core.alerts.record_names import JUDGED_FROM, JUDGED_TO
from smartgrid_core.checks.alerts import judge_alerts
from smartgrid_core.checks.forecasts import judge_limit_exceedances
from smartgrid_core.contracts.alerts import Alerts, LimitExceedances
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window
from smartgrid_core.topology import list_feeder_ratings


@dg.asset_check(
    asset="limit_exceedances",
    blocking=True,
    description="Each is a probability about a known rating and the stored forecast of its issue.",
)
def exceedances_have_ground(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """Judges the run's days; for a run without days the newest one that was forecast.

    Which days stands in its figures: the sensor `new_exceedances` warns nobody of a day whose
    newest verdict is an error, and a run that makes alerts along with their exceedances ends here.
    """
    window = choose_checked_window(context.run.tags, lake=lake, schema=LoadFeatures)
    outcome = judge_limit_exceedances(
        warehouse.read(LimitExceedances, window=window),
        forecast=warehouse.read(LoadForecasts, window=window),
        ratings=list_feeder_ratings(lake.scan(GridTopology)),
    )
    return to_outcome_result(
        replace(outcome, figures={**outcome.figures, **_name_judged_days(window)})
    )


def _name_judged_days(window: Window | None) -> dict[str, str]:
    if window is None:
        return {}
    days = list(window.days())
    return {JUDGED_FROM: days[0].isoformat(), JUDGED_TO: days[-1].isoformat()}


@dg.asset_check(
    asset="alerts",
    description="Each exceedance spell has its alert; how many are open is counted.",
)
def spells_have_one_alert(
    context: dg.AssetCheckExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.AssetCheckResult:
    """Judges the alerts on record by what the run's days call for."""
    window = choose_checked_window(context.run.tags, lake=lake, schema=LoadFeatures)
    called_for = decide_limit_alerts(
        warehouse.read(LimitExceedances, window=window), now=clock.now(), timezone=settings.zone
    )
    return to_outcome_result(
        judge_alerts(
            warehouse.read(Alerts),
            called_for=called_for["dedupe_key"].to_list(),
            now=clock.now(),
        )
    )


CHECKS = [exceedances_have_ground, spells_have_one_alert]
