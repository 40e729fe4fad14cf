"""Subjects are dealt to variants once and for all, and somebody answers for each."""

import time
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.contracts.serving import PredictionLog, TrafficSplits
from smartgrid_core.errors import ContractError, ModelUnavailableError
from smartgrid_core.model_protocols import Quantiles
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving.router import DEFAULT_SHARE, Router, Split, find_split

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
BOTH = ServingState("m", (1, 2), stable=1, canary=2)
HALF = Split(0.5)
CUSTOMERS = [f"customer-{number:06}" for number in range(100_000)]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 1.0])
def test_the_share_holds_within_one_percent_over_a_hundred_thousand_customers(share: float):
    split = Split(share, salt="autumn")
    dealt = sum(split.variant_of(customer) == "canary" for customer in CUSTOMERS)
    assert dealt / len(CUSTOMERS) == pytest.approx(share, abs=0.01 if 0 < share < 1 else 0)


@given(st.text(max_size=30), st.text(max_size=10), st.floats(0, 1), st.floats(0, 1))
def test_a_subject_stays_where_it_is_and_a_larger_share_takes_none_from_the_canary(
    subject: str, salt: str, one: float, other: float
):
    small, large = sorted((one, other))
    assert Split(one, salt).variant_of(subject) == Split(one, salt).variant_of(subject)
    if Split(small, salt).variant_of(subject) == "canary":
        assert Split(large, salt).variant_of(subject) == "canary"


def test_another_salt_deals_anew_and_independently():
    spring, autumn = Split(0.5, "spring"), Split(0.5, "autumn")
    same = sum(spring.variant_of(each) == autumn.variant_of(each) for each in CUSTOMERS[:20_000])
    assert same / 20_000 == pytest.approx(0.5, abs=0.02)


def test_a_model_without_a_row_has_the_default_split():
    splits = TrafficSplits.validate(
        pl.DataFrame([("m", 0.25, "x", NOW)], schema=TrafficSplits.column_names(), orient="row"),
        cast=True,
    )
    assert find_split(splits, "m") == Split(0.25, "x")
    assert find_split(splits, "other") == Split(DEFAULT_SHARE, "")


class Server:
    """Version 1 says 1 kW, version 2 says 2 kW, unless an error is set for the label.

    Its first answer takes `connects_in_s` longer, as a connection has to be made.
    """

    def __init__(self, *, connects_in_s: float = 0.0, **errors: Exception) -> None:
        self.errors = errors
        self.connects_in_s = connects_in_s
        self.asked: list[tuple[str, list[float]]] = []
        self.is_connected = False

    def connect(self) -> None:
        if not self.is_connected:
            time.sleep(self.connects_in_s)
            self.is_connected = True

    def list_live_versions(self, model: str) -> list[str]:
        self.connect()
        return ["2", "1"]

    def predict(self, model, features, *, label):
        self.connect()
        self.asked.append((label, features["load_kw"].tolist()))
        if label in self.errors:
            raise self.errors[label]
        version = {"stable": 1, "canary": 2}[label]
        n = len(features["load_kw"])
        frame = pl.DataFrame({name: [float(version)] * n for name in ("p10", "p50", "p90")})
        return Quantiles(frame, model, str(version))


def feeders_of(variant: str, n: int) -> list[str]:
    """The first n feeders that HALF deals to the variant."""
    names = (f"F{number}" for number in range(1000))
    return [name for name in names if HALF.variant_of(name) == variant][:n]


STABLES, CANARIES = feeders_of("stable", 2), feeders_of("canary", 2)
SUBJECTS = [STABLES[0], CANARIES[0], CANARIES[0], STABLES[1], CANARIES[1]]
FEATURES = {"load_kw": np.arange(5, dtype=np.float32)}


def asked(server: Server, served: ServingState = BOTH):
    return Router(server, served, HALF, NOW).ask(FEATURES, SUBJECTS)


def test_each_row_is_answered_by_the_variant_of_its_feeder_in_the_order_of_the_batch():
    server = Server()
    routed = asked(server)
    assert server.asked == [("canary", [1, 2, 4]), ("stable", [0, 3])]
    assert routed.frame.select("p50", "model_version", "variant").rows() == [
        (1.0, "1", "stable"),
        (2.0, "2", "canary"),
        (2.0, "2", "canary"),
        (1.0, "1", "stable"),
        (2.0, "2", "canary"),
    ]
    log = PredictionLog.validate(routed.log)
    assert log.select("subject_id", "routed_to", "variant", "outcome", "rows").rows() == [
        (CANARIES[0], "canary", "canary", "answered", 2),
        (CANARIES[1], "canary", "canary", "answered", 1),
        (STABLES[0], "stable", "stable", "answered", 1),
        (STABLES[1], "stable", "stable", "answered", 1),
    ]
    assert log["request_id"].n_unique() == 2
    assert log["latency_ms"].min() >= 0


def test_the_connection_counts_for_neither_variants_latency():
    assert asked(Server(connects_in_s=0.5)).log["latency_ms"].max() < 500


def test_without_a_canary_stable_answers_all_in_one_call():
    server = Server()
    routed = asked(server, ServingState("m", (1,), stable=1))
    assert server.asked == [("stable", [0, 1, 2, 3, 4])]
    assert set(routed.log["routed_to"]) == set(routed.frame["variant"]) == {"stable"}


@pytest.mark.parametrize(
    "error", [ModelUnavailableError("canary is away"), ContractError("p10 is missing")]
)
def test_stable_answers_for_a_canary_that_does_not_and_both_is_logged(error: Exception):
    server = Server(canary=error)
    routed = asked(server)
    assert server.asked == [("canary", [1, 2, 4]), ("stable", [0, 1, 2, 3, 4])]
    assert routed.frame["variant"].to_list() == ["stable"] * 5
    assert routed.log.filter(pl.col("subject_id") == CANARIES[0]).select(
        "routed_to", "variant", "outcome", "error", "model_version"
    ).rows() == [
        ("canary", "canary", "failed", str(error), None),
        ("canary", "stable", "answered", None, "1"),
    ]


def test_what_nobody_answers_is_null_and_logged_as_failed():
    away = ModelUnavailableError("away")
    routed = asked(Server(stable=away))
    assert routed.frame["p50"].to_list() == [None, 2.0, 2.0, None, 2.0]
    routed = asked(Server(stable=away, canary=away))
    assert routed.frame["variant"].to_list() == [None] * 5
    assert set(routed.log["outcome"]) == {"failed"}


def test_features_that_stable_refuses_are_an_error_of_whoever_asks():
    with pytest.raises(ContractError, match="no such input"):
        asked(Server(stable=ContractError("no such input")))


def test_an_empty_batch_asks_nobody():
    server = Server()
    routed = Router(server, BOTH, HALF, NOW).ask({"load_kw": np.array([], np.float32)}, [])
    assert (routed.frame.height, routed.log.height, server.asked) == (0, 0, [])
