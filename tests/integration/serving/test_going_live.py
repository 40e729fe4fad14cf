"""A publisher that dies at any step, and the way back, with a real model server."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smartgrid_core.errors import ModelUnavailableError, PublicationError
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving import publisher
from tests.integration.serving.publisher_process import STEPS

pytestmark = pytest.mark.xdist_group("model_server")

ASKED = {"load_kw": [10.0], "temperature_c": [0.0]}
NOW = datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.slow
def test_a_publisher_killed_at_any_step_never_stops_stable_and_the_next_run_ends_its_work(place):
    for step in STEPS:
        model = f"killed_before_{step}"
        assert place.publish(model, 1) == "stable"
        place.kill_publisher(model, 2, before=step)
        assert place.says(model, "stable") == ("1", 10.0)

        assert place.publish(model, 2) == "canary"
        assert place.repository.read_state(model) == ServingState(model, (1, 2), stable=1, canary=2)
        assert place.says(model, "stable") == ("1", 10.0)
        assert place.says(model, "canary") == ("2", 20.0)
        noted = [row for row in place.books.rows() if row["model"] == model]
        assert [(row["label"], row["version_after"]) for row in noted] == [
            ("stable", "1"),
            ("canary", "2"),
        ]
        assert sorted(entry.name for entry in (Path(place.repository.base) / model).iterdir()) == [
            *(".lock", "1", "2")
        ]


@pytest.mark.slow
def test_what_a_killed_publisher_left_is_undone_by_the_next_version(place):
    for step in ("rename", "wait_until_live", "label"):
        model = f"undone_before_{step}"
        place.publish(model, 1)
        place.kill_publisher(model, 2, before=step)
        assert place.publish(model, 3) == "canary"
        assert place.repository.read_state(model) == ServingState(model, (1, 3), stable=1, canary=3)
        assert place.says(model, "canary") == ("3", 30.0)


def test_a_first_publisher_killed_before_its_label_leaves_a_model_that_nobody_is_sent_to(place):
    place.kill_publisher("first", 1, before="label")
    assert place.client.find_labelled_version("first", "stable") is None
    assert place.publish("first", 1) == "stable"
    assert place.says("first", "stable") == ("1", 10.0)


def test_going_back_takes_a_moment_and_the_way_ends_at_the_first_version(place):
    for version in (1, 2, 3):
        if place.publish("back", version) == "canary":
            place.mover().promote("back", reason="better", now=NOW)
    assert place.says("back", "stable") == ("3", 30.0)
    for version in (2, 1):
        began = time.monotonic()
        moved = place.mover().roll_back("back", to=None, reason="worse", now=NOW)
        assert time.monotonic() - began < 2
        assert moved.troubles == ()
        assert place.says("back", "stable") == (str(version), 10.0 * version)
        assert place.books.known()["champion"] == str(version)
    with pytest.raises(PublicationError, match="version 1 of back is the first that was stable"):
        place.mover().roll_back("back", to=None, reason="worse", now=NOW)

    # The files of all three are still there, so the way forward is open, too.
    assert publisher.list_published_versions(base=place.repository.base, model="back") == [1, 2, 3]
    place.mover().roll_back("back", to=3, reason="was right after all", now=NOW)
    assert place.says("back", "stable") == ("3", 30.0)
    with pytest.raises(PublicationError, match="version 9 of back is not in the model folder"):
        place.mover().roll_back("back", to=9, reason="worse", now=NOW)


def test_a_label_is_asked_for_over_both_ways_and_one_that_means_nothing_is_not_there(place):
    for version in (1, 2):
        place.publish("both_ways", version)
    for label, version in (("stable", "1"), ("canary", "2")):
        over_rest = place.client.predict_over_rest("both_ways", ASKED, label=label)
        assert (over_rest.model_version, over_rest.frame["p50"][0]) == (
            version,
            10.0 * int(version),
        )
        assert place.client.list_input_names("both_ways", label=label) == [
            "load_kw",
            "temperature_c",
        ]
    place.mover().end_trial("both_ways", reason="test", now=NOW)
    for ask in (place.client.predict, place.client.predict_over_rest):
        with pytest.raises(ModelUnavailableError, match="label"):
            ask("both_ways", ASKED, label="canary")
