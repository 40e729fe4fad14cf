"""What the assets of a subject have in common: owner, tags, columns, and how fresh they stay.

Every asset is made by `grid_asset` or `daily_asset` with its domain and its contract, and says
beside them only what is its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import dagster as dg
import dataframely as dy

from smartgrid_assets.columns import COLUMN_SCHEMA, build_column_schema
from smartgrid_assets.partitions import AGAIN, DAY, IS_CLOSED, ONE_RUN

GRID_DATA = "team:grid-data"
FORECASTING = "team:forecasting"
OPERATIONS = "team:operations"
REVENUE_PROTECTION = "team:revenue-protection"


class Cadence(StrEnum):
    """How often an asset is computed, by a job's schedule or because it follows its inputs."""

    HOURLY = "hourly"
    """By `refresh_days`, at ten past every hour."""
    FOLLOWING = "following"
    """By itself, whenever an input was computed."""
    NIGHTLY = "nightly"
    """For the day that begins: people plan with it in the morning."""
    DAILY = "daily"
    """By a schedule, with the night's late readings in."""
    CLOSED_DAYS = "closed_days"
    """Once a day is over: by itself, or by `mine_days` in a closed data set."""
    WEEKLY = "weekly"
    """With every training."""
    ON_OCCASION = "on_occasion"
    """When a sensor finds something to do: long silence is good news."""


FRESHNESS: Mapping[Cadence, dg.FreshnessPolicy] = {
    Cadence.HOURLY: dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=4), warn_window=timedelta(hours=2)
    ),
    Cadence.FOLLOWING: dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=6), warn_window=timedelta(hours=3)
    ),
    Cadence.NIGHTLY: dg.FreshnessPolicy.cron(
        deadline_cron="0 3 * * *", lower_bound_delta=timedelta(hours=3)
    ),
    Cadence.DAILY: dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
    Cadence.CLOSED_DAYS: dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
    Cadence.WEEKLY: dg.FreshnessPolicy.time_window(
        fail_window=timedelta(days=9), warn_window=timedelta(days=8)
    ),
    Cadence.ON_OCCASION: dg.FreshnessPolicy.time_window(fail_window=timedelta(days=366)),
}
"""A schedule that was missed once warns, twice fails: the next round, and room for its run.

What has no schedule is asked about after a year: by then every grid should have had an occasion.
"""


CLOSED_FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=366))
"""A closed data set gets no news: what was computed once stands. A year later one may ask why."""


def choose_freshness(cadence: Cadence, *, is_closed: bool = IS_CLOSED) -> dg.FreshnessPolicy:
    """Return how fresh an asset has to stay, in an open or in a closed data set."""
    return CLOSED_FRESHNESS if is_closed else FRESHNESS[cadence]


@dataclass(frozen=True, slots=True)
class Domain:
    """A subject of the graph."""

    name: str
    """The tag `domain` of its assets."""
    group: str
    """The group in which Dagster draws them."""
    layer: str
    """The tag `layer`: how far from the raw readings they are."""
    owner: str
    """The team that is asked when they are wrong."""
    cadence: Cadence
    """How often most of them are computed."""


READINGS = Domain("readings", "readings", "raw", GRID_DATA, Cadence.HOURLY)
AGGREGATES = Domain("aggregates", "aggregates", "truth", GRID_DATA, Cadence.HOURLY)
FINDINGS = Domain("findings", "findings", "truth", GRID_DATA, Cadence.DAILY)
FEATURES = Domain("features", "features", "features", FORECASTING, Cadence.FOLLOWING)
MODELS = Domain("models", "models", "models", FORECASTING, Cadence.WEEKLY)
SERVING = Domain("serving", "serving", "forecasts", FORECASTING, Cadence.NIGHTLY)
ALERTS = Domain("alerts", "alerts", "forecasts", OPERATIONS, Cadence.NIGHTLY)
EVENTS = Domain("events", "mining", "mining", OPERATIONS, Cadence.DAILY)
ANOMALIES = Domain("anomalies", "mining", "mining", OPERATIONS, Cadence.CLOSED_DAYS)
INSPECTIONS = Domain("inspections", "mining", "mining", REVENUE_PROTECTION, Cadence.DAILY)
SEGMENTS = Domain("segments", "mining", "mining", REVENUE_PROTECTION, Cadence.DAILY)
INSIGHTS = Domain("insights", "mining", "mining", OPERATIONS, Cadence.DAILY)


def grid_asset(
    domain: Domain,
    *,
    table: type[dy.Schema],
    columns: Sequence[str] | None = None,
    cadence: Cadence | None = None,
    code_version: str = "1",
    **own: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return `dg.asset` with all that is the same for every asset of a domain.

    Args:
        domain: Its subject, from which group, owner and tags follow.
        table: The contract of the rows that it makes, or that say what it did.
        columns: The columns of `table` that it answers with; all of them for None.
        cadence: How often it is computed, where that is not its domain's usual cadence.
        code_version: To be raised when the same inputs give other rows from now on.
        own: Further arguments of `dg.asset`.

    Returns:
        The decorator for the asset's function.
    """
    rhythm = domain.cadence if cadence is None else cadence
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        group_name=domain.group,
        owners=[domain.owner],
        tags={"layer": domain.layer, "domain": domain.name, "cadence": rhythm.value},
        code_version=code_version,
        metadata={COLUMN_SCHEMA: build_column_schema(table, columns=columns)},
        freshness_policy=choose_freshness(rhythm),
        **own,
    )
    return decorate


def daily_asset(
    domain: Domain, *, table: type[dy.Schema], **own: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return `grid_asset` with one UTC day per partition, many of them in one run."""
    return grid_asset(
        domain,
        table=table,
        partitions_def=DAY,
        backfill_policy=ONE_RUN,
        retry_policy=AGAIN,
        **own,
    )
