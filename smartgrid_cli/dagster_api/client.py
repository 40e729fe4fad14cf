"""What commands ask of a running Dagster over GraphQL, as plain values; Dagster is not imported."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Self

from smartgrid_cli.dagster_api import queries
from smartgrid_cli.dagster_api.records import (
    RANGE_END,
    RANGE_START,
    Asset,
    Check,
    Observation,
    Run,
    Sensor,
    Step,
    join_key,
    sort_upstream_first,
    to_asset,
    to_observation,
)
from smartgrid_cli.dagster_api.transport import (
    PATIENCE_S,
    DagsterApiError,
    DagsterUnreachableError,
    GraphQLTransport,
)

LAUNCH = "smartgrid/launch"
"""The tag by which a launch is found again whose answer was lost."""
LOOKUPS = 3
"""How often it is looked for before it is launched again."""
LOOKUP_PAUSE_S = 1.0
"""How long before each look, in s: a launch that hung is on record a bit later."""


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
            join_key(info["assetKey"]): info
            for info in self._client.ask(queries.LATEST, keys=keys)["assetsLatestInfo"]
        }
        return [
            to_asset(node, latest.get(join_key(node["assetKey"])))
            for node in sort_upstream_first(nodes)
        ]

    def list_materialization_times(self, asset: str, *, after: float) -> list[float]:
        """Return when a day of the asset was made since then, both in seconds since 1970."""
        found = self._client.ask(
            queries.MATERIALIZATIONS, key={"path": [asset]}, after=str(int(after * 1000))
        )["assetOrError"]
        return [float(each["timestamp"]) / 1000 for each in found.get("assetMaterializations", [])]

    def list_observations(
        self, asset: str, *, run_id: str, after: float, limit: int = 50
    ) -> list[Observation]:
        """Return what a run observed of the asset since then, oldest first.

        Args:
            asset: The asset key; of one that is not known nothing was observed.
            run_id: Only observations of this run.
            after: Seconds since 1970; an observation of that very moment is returned again.
            limit: The newest so many at most.
        """
        found = self._client.ask(
            queries.OBSERVATIONS,
            key={"path": asset.split("/")},
            # Dagster takes whole milliseconds, and those that lie after them.
            after=str(int(after * 1000) - 1),
            limit=limit,
        )["assetOrError"]
        return sorted(
            (
                to_observation(event)
                for event in found.get("assetObservations", [])
                if event["runId"] == run_id
            ),
            key=lambda observation: observation.observed,
        )

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
        return sorted({join_key(key) for keys in chosen for key in keys})

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
                        asset=join_key(node["assetKey"]),
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
