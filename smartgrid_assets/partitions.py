"""How the graph is cut: one UTC day per partition, and which window a run is about.

The first and last day are read from the settings when the code location loads: a partitions
definition is part of an asset and cannot change within a process.
"""

from datetime import date, timedelta
from typing import Any

import dagster as dg
import dataframely as dy

from smartgrid_core.protocols import Clock, Lake
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window


def build_daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """UTC days from `first_day` to today, or to `last_day` for a closed data set."""
    end = settings.last_day + timedelta(days=1) if settings.last_day else None
    return dg.DailyPartitionsDefinition(
        start_date=settings.first_day.isoformat(),
        end_date=end.isoformat() if end else None,
        end_offset=1,
    )


DAY = build_daily_partitions(Settings())
"""Key `2026-03-01` is the window [2026-03-01T00:00Z, 2026-03-02T00:00Z). Today's is open."""

IS_CLOSED = Settings().last_day is not None
"""A closed data set has no open day, and an end at which all of it has come."""

ONE_RUN = dg.BackfillPolicy.single_run()
"""A backfill of many days is one run over one window: 60 days cost little more than one."""

AGAIN = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""A store that is away for a moment costs a step seconds, not its days."""

MINED_DAYS = "mined_days"
"""The pool of those who write what days say and of those who read it twice: one run at a time."""


Condition = dg.AutomationCondition[Any]

NEWS = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
"""An input was computed since the last look, by whatever run."""


def _hold_until_requested(
    news: Condition,
) -> Condition:
    """True from the news on, until a run was asked for that begins after it.

    Dagster's `since_last_handled` also lets any update end it: that of a run which had read its
    inputs before the news, and whose rows would stay old for ever. The price: what a person or
    another job computes after the news is computed once more. So no job of ours has an asset that
    follows together with its inputs.
    """
    asked_for = dg.AutomationCondition.newly_requested() & ~news
    return news.since(asked_for | dg.AutomationCondition.initial_evaluation())


def _run_one_at_a_time(
    wanted: Condition,
) -> Condition:
    """Not while it, or what it reads, is being computed."""
    return (
        wanted
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )


FOLLOW = _run_one_at_a_time(_hold_until_requested(NEWS))
"""Computed again when an input was, old days like new ones; it does not wait for missing days.

For what reaches beyond the days that the job `refresh_days` computes.
"""


def follow_closed_days(*assets: str) -> Condition | None:
    """Computed again when one of these inputs was after the day had ended.

    For what judges whole days: a day that is still open would look as if its rest were missing. The
    refresh of its last hour, after midnight, is what counts. Other inputs, such as the tree, say
    nothing new of old days. None for a closed data set: its days are judged when all of them are
    there, by the job `mine_days`.
    """
    if IS_CLOSED:
        return None
    return _run_one_at_a_time(
        _hold_until_requested(
            NEWS.allow(dg.AssetSelection.assets(*assets))
            & ~dg.AutomationCondition.in_latest_time_window()
        )
    )


def get_run_window(context: dg.AssetExecutionContext) -> Window:
    """The UTC window of the run: one day, or the whole range of a backfill."""
    span = context.partition_time_window
    return Window(span.start, span.end)


def find_last_whole_day(lake: Lake, schema: type[dy.Schema], *, clock: Clock) -> date | None:
    """The last UTC day that is over and of which the lake has rows; None if there is none."""
    whole = [day for day in lake.days(schema) if day < clock.now().date()]
    return whole[-1] if whole else None
