"""The canary under watch: settled when its calls or its comparison call for it, once."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from sensors.canary import CanaryOrder, canary_watch, decide_canary
from smartgrid_core.contracts.serving import LabelMoves, PredictionLog, VariantComparisons
from smartgrid_core.rollout.labels import ServingState

MODEL = "load_forecaster"
SINCE = datetime(2026, 3, 2, 3, tzinfo=UTC)
NOW = SINCE + timedelta(days=5)
TRIAL = ServingState(MODEL, (1, 2), stable=1, canary=2)


def rows(schema, *dicts):
    return schema.validate(pl.DataFrame(dicts, schema=schema.create_empty().schema), cast=True)


def call(number: int, variant: str, *, failed: bool = False, at: datetime = NOW) -> dict:
    version = {"stable": "1", "canary": "2"}[variant]
    return {
        "request_id": f"call-{number}",
        "subject_id": "F1",
        "variant": variant,
        "asked_at": at,
        "model": MODEL,
        "routed_to": variant,
        "model_version": None if failed else version,
        "outcome": "failed" if failed else "answered",
        "error": "UNAVAILABLE: away" if failed else None,
        "rows": 24,
        "latency_ms": 10.0,
    }


def comparison(decision: str, *, at: datetime = NOW, canary: str = "2", stable: str = "1") -> dict:
    return {
        **dict.fromkeys(VariantComparisons.column_names()),
        "model": MODEL,
        "canary_version": canary,
        "stable_version": stable,
        "compared_at": at,
        "issues": 7,
        "pairs": 168,
        "decision": decision,
        "reason": f"{decision}, because",
    }


FAILURES = [call(1, "stable"), call(2, "canary", failed=True), call(3, "canary", failed=True)]


def decided(*, calls=(), comparisons=(), served=TRIAL):
    return decide_canary(
        served,
        log=rows(PredictionLog, *calls),
        comparisons=rows(VariantComparisons, *comparisons),
        since=SINCE,
    )


def test_a_canary_that_fails_is_taken_back_before_anything_was_compared():
    settlement = decided(calls=FAILURES)
    assert (settlement.action, settlement.version) == ("roll_back", 2)
    assert settlement.reason.startswith("100% of its calls failed")


def test_failures_from_before_the_trial_belong_to_another_version():
    early = [{**each, "asked_at": SINCE - timedelta(hours=1)} for each in FAILURES]
    assert decided(calls=early) is None


@pytest.mark.parametrize("decision", ["promote", "roll_back"])
def test_the_newest_verdict_settles_the_canary(decision: str):
    earlier = comparison("keep", at=NOW - timedelta(days=1))
    settled = decided(comparisons=[earlier, comparison(decision)])
    assert settled == CanaryOrder(decision, 2, f"{decision}, because")


@pytest.mark.parametrize(
    "other",
    [
        comparison("keep"),
        comparison("promote", canary="3"),
        comparison("promote", stable="0"),
        comparison("promote", at=SINCE - timedelta(days=1)),
    ],
)
def test_a_verdict_about_other_versions_or_times_and_one_to_wait_settle_nothing(other: dict):
    assert decided(comparisons=[other]) is None


def test_without_a_canary_there_is_nothing_to_settle():
    assert decided(calls=FAILURES, served=ServingState(MODEL, (1,), stable=1)) is None


class Store:
    def __init__(self, *calls: dict) -> None:
        self.tables = {
            PredictionLog: rows(PredictionLog, *calls),
            VariantComparisons: VariantComparisons.create_empty(),
            LabelMoves: rows(
                LabelMoves,
                {
                    "model": MODEL,
                    "label": "canary",
                    "moved_at": SINCE,
                    "version_before": None,
                    "version_after": "2",
                    "action": "published",
                    "reason": "test",
                    "moved_by": "test",
                },
            ),
        }

    def read(self, schema, *, window=None):
        return self.tables[schema]


class Shelf:
    def read_state(self, model: str) -> ServingState:
        return TRIAL


class StillClock:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def look():
    with dg.DagsterInstance.ephemeral() as instance:

        def tick(*calls: dict, cursor: str | None = None):
            return canary_watch(
                dg.build_sensor_context(instance=instance, cursor=cursor),
                warehouse=Store(*calls),
                model_repository=Shelf(),
                clock=StillClock(),
            )

        yield tick


def test_the_sensor_asks_for_the_settlement_with_its_reason_and_not_for_ever(look):
    cursor, keys = None, []
    for _ in range(4):
        result = look(*FAILURES, cursor=cursor)
        cursor = result.cursor
        keys += [request.run_key for request in result.run_requests]
        for request in result.run_requests:
            config = request.run_config["ops"]["settle"]["config"]
            assert (config["action"], config["version"]) == ("roll_back", 2)
    assert len(keys) == len(set(keys)) == 3


def test_the_sensor_waits_while_all_is_well(look):
    assert look(call(1, "stable"), call(2, "canary")).run_requests == []
