"""New files in the landing folder: they are landed, one run at a time."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import dagster as dg

from sensors.polling import MOST_ATTEMPTS, is_at_work, plan_attempts, read_cursor, write_cursor
from smartgrid_core.protocols import Arrival, LandingFolder

JOB = "land_files"

MOST_FILES = 2_000
"""Files of one run; the others come with the next. Small ones take some ten milliseconds each."""

MOST_BYTES = 256_000_000
"""Size of the files of one run, unless one alone is larger: a minute or two of work."""

MOST_NAMED = 5
"""Files that a sentence names."""


@dataclass(frozen=True, slots=True)
class Landing:
    """Which files a run shall land, under which key, and what the next tick shall know.

    `given_up` wait still, but were requested as often as makes sense.
    """

    names: list[str]
    run_key: str
    cursor: dict[str, int]
    given_up: list[str]


def decide_landing(arrivals: Sequence[Arrival], *, before: Mapping[str, int]) -> Landing:
    """Request what waits and was not given up; a changed file is another fact, by its identity."""
    names = {each.identity: each.name for each in arrivals}
    sizes = {each.identity: each.size_bytes for each in arrivals}
    wanted = [size for fact, size in sizes.items() if before.get(fact, 0) < MOST_ATTEMPTS]
    attempts = plan_attempts("land", list(names), before=before, batch=count_batch(wanted))
    return Landing(
        names=[names[fact] for fact in attempts.facts],
        run_key=attempts.run_key,
        cursor=attempts.cursor,
        given_up=[name for fact, name in names.items() if before.get(fact, 0) >= MOST_ATTEMPTS],
    )


def count_batch(sizes: Sequence[int]) -> int:
    """Return how many of the files, of these sizes in bytes, one run takes: at least one.

    >>> count_batch([200_000_000, 50_000_000, 50_000_000])
    2
    """
    reached = list(accumulate(sizes[:MOST_FILES]))
    return max(bisect_right(reached, MOST_BYTES), 1)


def explain_waiting(given_up: Sequence[str]) -> str:
    """Why no run is requested; files that were given up are named."""
    if not given_up:
        return "no new file has come to rest"
    more = f" and {len(given_up) - MOST_NAMED} more" if len(given_up) > MOST_NAMED else ""
    return (
        f"given up after {MOST_ATTEMPTS} attempts: {', '.join(given_up[:MOST_NAMED])}{more}; "
        f"the runs of {JOB} say why. Touch a file to have it tried again, or remove it"
    )


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def landing_arrivals(
    context: dg.SensorEvaluationContext, landing: dg.ResourceParam[LandingFolder]
) -> dg.SensorResult | dg.SkipReason:
    """Files that arrived in the landing folder and no longer grow."""
    if is_at_work(context.instance, JOB):
        return dg.SkipReason("files are being landed")
    decision = decide_landing(landing.list_arrivals(), before=read_cursor(context.cursor))
    cursor = write_cursor(decision.cursor)
    if not decision.names:
        return dg.SensorResult(skip_reason=explain_waiting(decision.given_up), cursor=cursor)
    config = {"ops": {"land_waiting_files": {"config": {"names": decision.names}}}}
    request = dg.RunRequest(run_key=decision.run_key, run_config=config)
    return dg.SensorResult(run_requests=[request], cursor=cursor)
