"""Assets, runs, steps, checks and sensors of Dagster as plain values, out of GraphQL's answers."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from smartgrid_cli.dagster_api.transport import DagsterApiError

ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
FATE_S = 30.0
"""So long after its end a failed run of which nothing was written down may still be tried again."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A node of the graph, with what is known of its content. Days are UTC days.

    Of an unpartitioned asset `is_materialized` and `is_failed` speak; of a partitioned one its
    days.

    Attributes:
        name: The asset key.
        group: The group in Dagster's UI.
        jobs: Jobs of ours that make it.
        is_partitioned: Whether it has one partition per day.
        first_day: First day of its partitions; None without partitions.
        last_day: Last day of its partitions; None without partitions.
        done: Days that are materialised.
        failed: Days whose last run failed.
        is_materialized: Whether it was ever made.
        is_failed: Whether its last run failed before it was made.
    """

    name: str
    group: str
    jobs: tuple[str, ...]
    is_partitioned: bool
    first_day: date | None
    last_day: date | None
    done: frozenset[date]
    failed: frozenset[date]
    is_materialized: bool
    is_failed: bool


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a job; times in seconds since 1970.

    Attributes:
        run_id: Dagster's id of the run.
        job: Name of the job.
        status: Dagster's status, such as QUEUED, STARTED or SUCCESS.
        tags: The tags of the run.
        created: When it was queued.
        started: When it began; None before.
        ended: When it ended; None before.
    """

    run_id: str
    job: str
    status: str
    tags: Mapping[str, str]
    created: float
    started: float | None
    ended: float | None

    @property
    def title(self) -> str:
        """The job's name for people; a run that a condition asked for has no job of ours."""
        return "automation" if self.job == "__ASSET_JOB" else self.job

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended; a failed one may still be tried again."""
        return self.status in ENDED

    @property
    def will_be_tried_again(self) -> bool:
        """Whether the run failed and a successor is announced, or may still be.

        Dagster writes down that a run failed first, and whether it is tried again a moment later.
        """
        if self.status != "FAILURE" or "dagster/auto_retry_run_id" in self.tags:
            return False
        announced = self.tags.get("dagster/will_retry")
        if announced is None:
            return time.time() - (self.ended or self.created) < FATE_S
        return announced == "true"

    @property
    def days(self) -> str:
        """The days that the run makes, for people; empty without partitions."""
        first, last = self.tags.get(RANGE_START), self.tags.get(RANGE_END)
        if first is None:
            return self.tags.get("dagster/partition", "")
        return first if first == last else f"{first} .. {last}"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a run; times in seconds since 1970.

    Attributes:
        name: The step key.
        status: Dagster's status; WAITING until Dagster knows of it.
        started: When it began; None before.
        ended: When it ended; None before.
    """

    name: str
    status: str
    started: float | None
    ended: float | None
    about: str = ""
    """How far the step is in its own words; empty if it says nothing. Plain text."""


@dataclass(frozen=True, slots=True)
class Observation:
    """An observation of an asset.

    Attributes:
        observed: When, seconds since 1970.
        facts: Its metadata by name: texts, whole numbers and floats.
    """

    observed: float
    facts: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Check:
    """The latest verdict of an asset check.

    Attributes:
        asset: The asset key.
        name: Name of the check.
        is_blocking: Whether an error of the check stops what follows.
        status: Dagster's status; None if the asset was never judged.
        severity: WARN or ERROR; None if the asset was never judged.
        description: What the check found, in words.
    """

    asset: str
    name: str
    is_blocking: bool
    status: str | None
    severity: str | None
    description: str

    @property
    def is_passed(self) -> bool:
        """Whether the asset was judged and found right."""
        return self.status == "SUCCEEDED"

    @property
    def is_refused(self) -> bool:
        """Whether the asset was judged and found wrong, or the check itself broke."""
        return self.status in ("FAILED", "EXECUTION_FAILED")

    @property
    def blocks(self) -> bool:
        """Whether a refusal is an error that stops what follows; a warning is a verdict."""
        return self.is_blocking and self.severity != "WARN"


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor that is switched on.

    Attributes:
        name: Name of the sensor.
        every_s: Least time between two ticks, s.
        last_tick: When the last finished tick began, seconds since 1970; None before the first.
        last_error: Why the last tick failed; None if it did not.
    """

    name: str
    every_s: int
    last_tick: float | None
    last_error: str | None


def join_key(key: Mapping[str, Any]) -> str:
    """Return an asset key as one text.

    >>> join_key({"path": ["lake", "weather"]})
    'lake/weather'
    """
    return "/".join(key["path"])


def to_asset(node: Mapping[str, Any], latest: Mapping[str, Any] | None) -> Asset:
    """Return a node of GraphQL's answer as an Asset."""
    keys = node["partitionKeys"] or []
    statuses = node["assetPartitionStatuses"] or {}
    run = (latest or {}).get("latestRun") or {}
    return Asset(
        name=join_key(node["assetKey"]),
        group=node["groupName"],
        jobs=tuple(job for job in node["jobNames"] if not job.startswith("__")),
        is_partitioned=node["isPartitioned"],
        first_day=date.fromisoformat(keys[0]) if keys else None,
        last_day=date.fromisoformat(keys[-1]) if keys else None,
        done=_list_days(statuses, "MATERIALIZED"),
        failed=_list_days(statuses, "FAILED"),
        is_materialized=bool((latest or {}).get("latestMaterialization")),
        is_failed=run.get("status") == "FAILURE" and node["assetKey"] in _list_failed_keys(run),
    )


def to_observation(event: Mapping[str, Any]) -> Observation:
    """Return an event of GraphQL's answer as an Observation.

    >>> entries = [{"label": "trials", "intValue": 3}, {"label": "plot", "mdStr": "![](x)"}]
    >>> to_observation({"timestamp": "1500", "metadataEntries": entries})
    Observation(observed=1.5, facts={'trials': 3})
    """
    facts = {
        entry["label"]: entry[kind]
        for entry in event["metadataEntries"]
        for kind in ("text", "intValue", "floatValue")
        if entry.get(kind) is not None
    }
    return Observation(float(event["timestamp"]) / 1000, facts)


def _list_failed_keys(run: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the assets that a failed run planned and did not materialise."""
    made = [event["assetKey"] for event in run.get("assetMaterializations", [])]
    return [key for key in run.get("assetSelection") or [] if key not in made]


def _list_days(statuses: Mapping[str, Any], status: str) -> frozenset[date]:
    """Return the days of the ranges of that status; a range's end key is included."""
    days: set[date] = set()
    for span in statuses.get("ranges", []):
        if span["status"] == status:
            first, last = date.fromisoformat(span["startKey"]), date.fromisoformat(span["endKey"])
            days.update(first + timedelta(days=n) for n in range((last - first).days + 1))
    return frozenset(days)


def sort_upstream_first(nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the nodes, upstream before downstream, otherwise as they come."""
    waiting = {join_key(node["assetKey"]): node for node in nodes}
    ordered: list[dict[str, Any]] = []
    while waiting:
        free = [
            name
            for name, node in waiting.items()
            if not any(join_key(key) in waiting for key in node["dependencyKeys"])
        ]
        if not free:
            raise DagsterApiError(f"the graph has a circle among {', '.join(waiting)}")
        ordered.extend(waiting.pop(name) for name in free)
    return ordered
