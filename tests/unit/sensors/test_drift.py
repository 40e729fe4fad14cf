"""Drift asks for one training, not for one a day."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from sensors.drift import REST, SAME_AGAIN, decide_retraining, drift_watch
from smartgrid_core.contracts.forecasts import LoadBacktest
from smartgrid_core.contracts.promotion import ModelDrift

NOW = datetime(2026, 3, 3, 6, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=20)
FACT = "3:feature:same_hour_1d_kw"


def drift(*names: str, day: date = date(2026, 3, 2), version: str = "3") -> pl.DataFrame:
    """The signs of a day: those named drifted, another one did not."""
    rows = [
        {
            "day": day,
            "model_version": version,
            "kind": "feature",
            "name": name,
            "figure": 0.4 if name in names else 0.1,
            "bound": 0.25,
            "is_drifted": name in names,
        }
        for name in {*names, "same_hour_7d_kw"}
    ]
    return ModelDrift.validate(
        pl.DataFrame(rows, schema=ModelDrift.create_empty().schema), cast=True
    )


def decided(rows, *, before=None, trained_at=LONG_AGO, now=NOW):
    return decide_retraining(rows, before=before or {}, trained_at=trained_at, now=now)


def test_a_new_sign_asks_for_a_training():
    decision = decided(drift("same_hour_1d_kw"))
    assert decision.facts == [FACT]
    assert decision.cursor == {FACT: NOW.date().toordinal()}
    assert decision.run_key.startswith("drift:")


def test_the_same_sign_asks_once_in_four_weeks_also_if_it_comes_and_goes():
    first = decided(drift("same_hour_1d_kw"))
    asked, cursor = [], first.cursor
    for day in range(1, SAME_AGAIN.days + 1):
        now = NOW + timedelta(days=day)
        names = () if day % 3 == 0 else ("same_hour_1d_kw",)
        rows = drift(*names, day=now.date() - timedelta(days=1))
        decision = decided(rows, before=cursor, now=now)
        cursor = decision.cursor
        asked += [day] * len(decision.facts)
    assert asked == [SAME_AGAIN.days]


def test_another_sign_and_another_version_are_other_facts():
    before = {FACT: NOW.date().toordinal()}
    assert decided(drift("same_hour_1d_kw", "temperature_1d_c"), before=before).facts == [
        "3:feature:temperature_1d_c"
    ]
    assert decided(drift("same_hour_1d_kw", version="4"), before=before).facts == [
        "4:feature:same_hour_1d_kw"
    ]


@pytest.mark.parametrize(
    ("rows", "trained_at", "waits"),
    [
        (drift(), LONG_AGO, "nothing has drifted"),
        (drift("x", day=date(2026, 2, 20)), LONG_AGO, "no fresh look at drift"),
        (ModelDrift.create_empty(), LONG_AGO, "no fresh look at drift"),
        (drift("x"), NOW - timedelta(days=1), "models were trained at 2026-03-02 06:00"),
    ],
)
def test_nothing_is_asked_for_and_the_reason_is_said(rows, trained_at, waits):
    decision = decided(rows, trained_at=trained_at)
    assert (decision.facts, decision.cursor, decision.waits) == ([], {}, waits)


def test_a_sign_that_waited_for_the_rest_after_a_training_is_asked_about_later():
    waiting = decided(drift("x"), trained_at=NOW - timedelta(days=1))
    later = decided(drift("x"), before=waiting.cursor, trained_at=NOW - REST)
    assert later.facts == ["3:feature:x"]


class Store:
    def read(self, schema, *, window=None):
        return {ModelDrift: drift("x"), LoadBacktest: LoadBacktest.create_empty()}[schema]


class StillClock:
    def now(self) -> datetime:
        return NOW


def test_the_sensor_asks_once_with_the_sign_as_a_tag():
    with dg.DagsterInstance.ephemeral() as instance:

        def tick(cursor=None):
            context = dg.build_sensor_context(instance=instance, cursor=cursor)
            return drift_watch(context, warehouse=Store(), clock=StillClock())

        first = tick()
        second = tick(first.cursor)
    (request,) = first.run_requests
    assert request.tags["smartgrid/drift"] == "3:feature:x"
    assert second.run_requests == []
    assert second.skip_reason.skip_message == "a training was asked for already"
