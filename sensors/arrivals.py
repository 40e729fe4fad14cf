"""New files in the landing folder: they are landed, one run at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from sensors.polling import is_at_work, next_attempts, read_cursor, write_cursor
from smartgrid_core.ports import Arrival, LandingFolder

JOB = "land_files"

MOST_FILES = 20
"""Files of one run; the others come with the next."""


@dataclass(frozen=True, slots=True)
class Landing:
    """Which files a run shall land, under which key, and what the next tick shall know."""

    names: list[str]
    run_key: str
    cursor: dict[str, int]


def decide(arrivals: Sequence[Arrival], *, before: Mapping[str, int]) -> Landing:
    """Request what waits and was not given up; a changed file is another fact, by its identity."""
    names = {each.identity: each.name for each in arrivals}
    attempts = next_attempts("land", list(names), before=before, batch=MOST_FILES)
    return Landing(
        names=[names[fact] for fact in attempts.facts],
        run_key=attempts.run_key,
        cursor=attempts.cursor,
    )


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def landing_arrivals(
    context: dg.SensorEvaluationContext, landing: dg.ResourceParam[LandingFolder]
) -> dg.SensorResult | dg.SkipReason:
    """Files that arrived in the landing folder and no longer grow."""
    if is_at_work(context.instance, JOB):
        return dg.SkipReason("files are being landed")
    decision = decide(landing.arrivals(), before=read_cursor(context.cursor))
    cursor = write_cursor(decision.cursor)
    if not decision.names:
        return dg.SensorResult(skip_reason="no new file has come to rest", cursor=cursor)
    config = {"ops": {"land_waiting_files": {"config": {"names": decision.names}}}}
    request = dg.RunRequest(run_key=decision.run_key, run_config=config)
    return dg.SensorResult(run_requests=[request], cursor=cursor)
