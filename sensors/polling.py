"""What every sensor needs: is a job at work, which attempt is this, and a small JSON cursor."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

AT_WORK = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

MOST_ATTEMPTS = 3
"""Requests for one fact. Runs retry by themselves; what fails three of them needs a person."""


def is_at_work(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Whether a run of the job waits or works: what it will find need not be requested again."""
    return instance.get_runs_count(dg.RunsFilter(job_name=job_name, statuses=AT_WORK)) > 0


@dataclass(frozen=True, slots=True)
class Attempts:
    """Which facts to request now, under which key, and the attempts that the cursor keeps."""

    facts: list[str]
    run_key: str
    cursor: dict[str, int]


def plan_attempts(
    kind: str,
    facts: Sequence[str],
    *,
    before: Mapping[str, int],
    most: int | None = MOST_ATTEMPTS,
    batch: int | None = None,
) -> Attempts:
    """Request up to `batch` of the facts that are there, each up to `most` times (None: always).

    The key is the identity of the facts plus their attempts: the same request is the same run. A
    fact that is gone is forgotten.

    Args:
        kind: The beginning of the run key.
        facts: Identities of what is there now, in the order in which to request it.
        before: How often each fact was requested so far.
        most: How often a fact is requested; None for always.
        batch: How many facts one request takes; None for all.
    """
    wanted = [fact for fact in facts if most is None or before.get(fact, 0) < most][:batch]
    attempts = {fact: before[fact] for fact in facts if fact in before}
    attempts |= {fact: before.get(fact, 0) + 1 for fact in wanted}
    text = json.dumps([[fact, attempts[fact]] for fact in wanted])
    return Attempts(
        facts=wanted,
        run_key=f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}",
        cursor=attempts,
    )


def read_cursor(cursor: str | None) -> dict[str, int]:
    """The numbers that the previous tick left; none before the first."""
    return {str(name): int(number) for name, number in json.loads(cursor or "{}").items()}


def write_cursor(numbers: Mapping[str, int]) -> str:
    """Small JSON."""
    return json.dumps(dict(numbers))
