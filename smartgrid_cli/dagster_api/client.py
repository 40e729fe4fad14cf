"""What commands ask of a running Dagster over GraphQL, as plain values; Dagster is not imported."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from smartgrid_cli.dagster_api import queries
from smartgrid_cli.dagster_api.transport import (
    PATIENCE_S,
    DagsterApiError,
    DagsterUnreachableError,
    GraphQLTransport,
)

ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
LAUNCH = "smartgrid/launch"
"""The tag by which a launch is found again whose answer was lost."""
FATE_S = 30.0
"""So long after its end a failed run of which nothing was written down may still be tried again."""
LOOKUPS = 3
"""How often it is looked for before it is launched again."""
LOOKUP_PAUSE_S = 1.0
"""How long before each look, in s: a launch that hung is on record a bit later."""


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


class DagsterClient:
    """One Dagster with one code location. Raises DagsterApiError for whatever it refuses.

    Args:
        url: The web server's URL.
        location: Name of the code location.
        patience_s: How long a question is repeated while Dagster is away, s.
        while_away: Called before a question is repeated; raises when that has become pointless.
        look_s: Pause before each look for a launch whose answer was lost, s.
    """

    def __init__(
        self,
        url: str,
        *,
        location: str = "smartgrid",
        patience_s: float = PATIENCE_S,
        while_away: Callable[[], None] = lambda: None,
        look_s: float = LOOKUP_PAUSE_S,
    ) -> None:
        self._client = GraphQLTransport(url, patience_s=patience_s, while_away=while_away)
        self._patience_s = patience_s
        self._look_s = look_s
        self._selector = {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def read_load_error(self) -> str | None:
        """Return why the code location is not loaded; None if it is."""
        result = self._client.ask(queries.LOCATION, name=self._selector["repositoryLocationName"])
        entry = result["workspaceLocationEntryOrError"]
        if entry is None or entry["__typename"] != "WorkspaceLocationEntry":
            return "the code location is not known yet"
        loaded = entry["locationOrLoadError"]
        if loaded is None:
            return "the code location is loading"
        return None if loaded["__typename"] == "RepositoryLocation" else str(loaded["message"])

    def list_assets(self) -> list[Asset]:
        """Return every asset that can be materialised, upstream before downstream."""
        nodes = [
            node
            for node in self._client.ask(queries.ASSETS, selector=self._selector)[
                "repositoryOrError"
            ]["assetNodes"]
            if node["isMaterializable"]
        ]
        keys = [{"path": node["assetKey"]["path"]} for node in nodes]
        latest = {
            _join_key(info["assetKey"]): info
            for info in self._client.ask(queries.LATEST, keys=keys)["assetsLatestInfo"]
        }
        return [
            _to_asset(node, latest.get(_join_key(node["assetKey"])))
            for node in _sort_upstream_first(nodes)
        ]

    def launch(
        self, job: str, *, days: tuple[date, date] | None = None, tags: Mapping[str, str]
    ) -> str:
        """Queue a run of the job, over the days from first to last; returns its id.

        It is queued once, although the answer may be lost on the way and be asked for again.
        """
        span = {} if days is None else {RANGE_START: str(days[0]), RANGE_END: str(days[1])}
        mark = uuid.uuid4().hex
        params = {
            "selector": {**self._selector, "pipelineName": job},
            "runConfigData": {},
            "executionMetadata": {
                "tags": [{"key": k, "value": v} for k, v in {**tags, **span, LAUNCH: mark}.items()]
            },
        }
        end = time.monotonic() + self._patience_s
        result = None
        while result is None:
            try:
                result = self._client.tell(queries.LAUNCH, params=params)["launchRun"]
            except DagsterUnreachableError:
                launched = self._find_launched(mark)
                if launched is not None:
                    return launched
                if time.monotonic() > end:
                    raise
        if result["__typename"] != "LaunchRunSuccess":
            raise DagsterApiError(f"Dagster does not start {job}: {result.get('message', result)}")
        return str(result["run"]["runId"])

    def _find_launched(self, mark: str) -> str | None:
        """Return the run of a launch whose answer was lost; it may be on record a bit later."""
        for _ in range(LOOKUPS):
            time.sleep(self._look_s)
            if runs := self.list_runs(tags={LAUNCH: mark}):
                return runs[0].run_id
        return None

    def list_runs(
        self,
        *,
        ids: Sequence[str] | None = None,
        statuses: Iterable[str] | None = None,
        created_after: float | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int = 500,
    ) -> list[Run]:
        """Return runs, newest first.

        Args:
            ids: Only runs of these ids.
            statuses: Only runs in one of these statuses.
            created_after: Only runs that were queued later, seconds since 1970.
            tags: Only runs that have all of these tags.
            limit: How many at most.
        """
        wanted: dict[str, Any] = {}
        if ids is not None:
            wanted["runIds"] = list(ids)
        if statuses is not None:
            wanted["statuses"] = list(statuses)
        if created_after is not None:
            wanted["createdAfter"] = created_after
        if tags is not None:
            wanted["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        found = self._client.ask(queries.RUNS, filter=wanted, limit=limit)["runsOrError"]
        return [
            Run(
                run_id=run["runId"],
                job=run["jobName"],
                status=run["status"],
                tags={tag["key"]: tag["value"] for tag in run["tags"]},
                created=run["creationTime"],
                started=run["startTime"],
                ended=run["endTime"],
            )
            for run in found["results"]
        ]

    def list_backfilled(self) -> list[str]:
        """Return the assets of open backfills: their runs are still to be launched or to end."""
        found = self._client.ask(queries.BACKFILLS)["partitionBackfillsOrError"]
        chosen = [backfill["assetSelection"] or [] for backfill in found["results"]]
        return sorted({_join_key(key) for keys in chosen for key in keys})

    def list_steps(self, run_id: str) -> list[Step]:
        """Return the steps that have begun, in order of their beginning."""
        found = self._client.ask(queries.STEPS, run=run_id)["runOrError"].get("stepStats", [])
        steps = [
            Step(step["stepKey"], step["status"] or "WAITING", step["startTime"], step["endTime"])
            for step in found
        ]
        return sorted(steps, key=lambda step: step.started or float("inf"))

    def explain_failure(self, run_id: str) -> str:
        """Return the first error of a run in one line."""
        events = self._client.ask(queries.FAILURES, run=run_id)["logsForRun"].get("events", [])
        for event in events:
            if event["__typename"] in ("ExecutionStepFailureEvent", "RunFailureEvent"):
                error = event.get("error") or {}
                while error.get("cause"):
                    error = error["cause"]
                words = (error.get("message") or event.get("message") or "").strip()
                step = f"{event['stepKey']}: " if event.get("stepKey") else ""
                return step + (words.splitlines() or ["no reason was recorded"])[0]
        return "no reason was recorded"

    def list_checks(self) -> list[Check]:
        """Return the latest verdict of every check."""
        found = self._client.ask(queries.CHECKS, selector=self._selector)["repositoryOrError"]
        checks = []
        for node in found["assetNodes"]:
            for check in (node["assetChecksOrError"] or {}).get("checks", []):
                execution = check["executionForLatestMaterialization"]
                verdict = (execution or {}).get("evaluation") or {}
                checks.append(
                    Check(
                        asset=_join_key(node["assetKey"]),
                        name=check["name"],
                        is_blocking=check["blocking"],
                        status=(execution or {}).get("status"),
                        severity=verdict.get("severity"),
                        description=verdict.get("description") or "",
                    )
                )
        return checks

    def list_sensors(self) -> list[Sensor]:
        """Return the sensors that are switched on, each with its last finished tick."""
        found = self._client.ask(queries.SENSORS, selector=self._selector)["repositoryOrError"]
        running = [s for s in found["sensors"] if s["sensorState"]["status"] == "RUNNING"]
        sensors = []
        for sensor in running:
            ticks = [t for t in sensor["sensorState"]["ticks"] if t["status"] != "STARTED"]
            last: dict[str, Any] = max(ticks, key=lambda tick: tick["timestamp"], default={})
            sensors.append(
                Sensor(
                    name=sensor["name"],
                    every_s=sensor["minIntervalSeconds"],
                    last_tick=last.get("timestamp"),
                    last_error=(last.get("error") or {}).get("message"),
                )
            )
        return sensors


def _join_key(key: Mapping[str, Any]) -> str:
    return "/".join(key["path"])


def _to_asset(node: Mapping[str, Any], latest: Mapping[str, Any] | None) -> Asset:
    """Return a node of GraphQL's answer as an Asset."""
    keys = node["partitionKeys"] or []
    statuses = node["assetPartitionStatuses"] or {}
    run = (latest or {}).get("latestRun") or {}
    return Asset(
        name=_join_key(node["assetKey"]),
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


def _sort_upstream_first(nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the nodes, upstream before downstream, otherwise as they come."""
    waiting = {_join_key(node["assetKey"]): node for node in nodes}
    ordered: list[dict[str, Any]] = []
    while waiting:
        free = [
            name
            for name, node in waiting.items()
            if not any(_join_key(key) in waiting for key in node["dependencyKeys"])
        ]
        if not free:
            raise DagsterApiError(f"the graph has a circle among {', '.join(waiting)}")
        ordered.extend(waiting.pop(name) for name in free)
    return ordered


def to_instant(seconds: float) -> datetime:
    """Return seconds since 1970 as UTC.

    >>> to_instant(86400.0)
    datetime.datetime(1970, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromtimestamp(seconds, tz=UTC)
