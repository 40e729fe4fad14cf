"""Publication on the file system: whole versions, never overwritten, whoever is killed."""

import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.errors import ModelUnavailableError, PublicationError
from smartgrid_io.serving import model_folder
from smartgrid_io.serving.client import VersionStatus
from smartgrid_io.serving.publisher import (
    list_published_versions,
    measure_golden_parity,
    prune_versions,
    publish_version,
    wait_until_available,
    withdraw_version,
)


@pytest.fixture
def base(tmp_path):
    return str(tmp_path / "models")


@pytest.fixture
def saved_model(tmp_path):
    def make(content="one"):
        folder = tmp_path / f"export_{content}"
        (folder / "variables").mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").write_text(content)
        (folder / "variables" / "variables.index").write_text(content * 3)
        return folder

    return make


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_published_version_is_the_saved_model_and_the_same_again_changes_nothing(
    base, saved_model
):
    source = saved_model()
    place = publish_version(source, base=base, model="m", version=3)
    assert place == f"{base}/m/3"
    folder = Path(place)
    assert tree(folder) == {"saved_model.pb": "one", "variables/variables.index": "oneoneone"}
    written = (folder / "saved_model.pb").stat().st_mtime_ns
    assert publish_version(source, base=base, model="m", version=3) == place
    assert (folder / "saved_model.pb").stat().st_mtime_ns == written
    assert list_published_versions(base=base, model="m") == [3]


def test_a_version_is_never_overwritten(base, saved_model):
    place = publish_version(saved_model("one"), base=base, model="m", version=1)
    with pytest.raises(PublicationError, match="exists with other content"):
        publish_version(saved_model("two"), base=base, model="m", version=1)
    assert tree(Path(place))["saved_model.pb"] == "one"


def test_what_no_server_would_take_is_refused(base, saved_model, tmp_path):
    source = saved_model()
    for arguments, words in [
        ({"version": 0}, "versions count from 1"),
        ({"model": "../m"}, "cannot name a model"),
        ({"model": ".m"}, "cannot name a model"),
        ({"base": "gs://models"}, "neither a local folder nor s3"),
    ]:
        with pytest.raises(PublicationError, match=words):
            publish_version(source, **{"base": base, "model": "m", "version": 1, **arguments})
    with pytest.raises(PublicationError, match="no SavedModel"):
        publish_version(tmp_path, base=base, model="m", version=1)


def test_a_disk_that_refuses_leaves_nothing_behind(base, saved_model, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    publish_version(saved_model("one"), base=base, model="m", version=1)
    monkeypatch.setattr(model_folder, "_copy_durably", lambda source, target: full(target.mkdir()))
    with pytest.raises(PublicationError, match="No space left"):
        publish_version(saved_model("two"), base=base, model="m", version=2)
    assert sorted(path.name for path in (Path(base) / "m").iterdir()) == [".lock", "1"]


def test_a_withdrawn_version_is_gone_and_withdrawing_it_again_is_no_error(base, saved_model):
    for version in (1, 2):
        publish_version(saved_model(), base=base, model="m", version=version)
    for _ in range(2):
        withdraw_version(base=base, model="m", version=2)
    withdraw_version(base=base, model="nobody", version=1)
    assert list_published_versions(base=base, model="m") == [1]


def test_the_oldest_beyond_three_are_pruned(base, saved_model):
    for version in (1, 2, 9, 10, 11):
        publish_version(saved_model(), base=base, model="m", version=version)
    assert prune_versions(base=base, model="m") == [1, 2]
    assert list_published_versions(base=base, model="m") == [9, 10, 11]
    assert prune_versions(base=base, model="nobody") == []
    with pytest.raises(PublicationError, match="at least 3"):
        prune_versions(base=base, model="m", keep=2)


def test_a_version_that_a_server_is_told_to_load_is_never_pruned(base, saved_model):
    for version in (1, 2, 3, 4, 5):
        publish_version(saved_model(), base=base, model="m", version=version)
    assert prune_versions(base=base, model="m", spare=[1, 5]) == [2]
    assert list_published_versions(base=base, model="m") == [1, 3, 4, 5]


def test_publishers_of_one_model_wait_for_each_other(base, saved_model):
    sources = [saved_model(f"content {number}") for number in range(8)]
    outcomes = []

    def attempt(source):
        try:
            outcomes.append(publish_version(source, base=base, model="m", version=1))
        except PublicationError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=attempt, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published = [outcome for outcome in outcomes if not isinstance(outcome, PublicationError)]
    assert len(published) == 1
    assert len(outcomes) == 8
    assert len(set(tree(Path(published[0]))["variables/variables.index"].split("content"))) == 2


@pytest.mark.slow
def test_a_publisher_killed_at_any_moment_leaves_a_whole_version_or_none(base, saved_model):
    source = saved_model()
    for number in range(200):
        (source / f"asset_{number:03}").write_text("x" * 5000)
    whole = tree(source)
    script = f"""
        import sys
        from pathlib import Path
        from smartgrid_io.serving import publisher
        place = {{"base": {base!r}, "model": "m"}}
        for version in range(int(sys.argv[1]), 1000000):
            publisher.publish_version(Path({str(source)!r}), **place, version=version)
            print("at work", flush=True)
            publisher.prune_versions(**place)
    """
    seed = random.Random(7)  # noqa: S311  # moments, not secrets
    for start in (1, 1_000, 2_000, 3_000):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(start)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout.readline() == "at work\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(seed.uniform(0.05, 0.4))
            process.send_signal(signal.SIGKILL)
        for version in list_published_versions(base=base, model="m"):
            assert tree(Path(base) / "m" / str(version)) == whole
    publish_version(source, base=base, model="m", version=999_999)
    names = {entry.name for entry in os.scandir(f"{base}/m")}
    assert {name for name in names if not name.isdecimal()} == {".lock"}


class Server:
    """Says one status after the other, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def read_version_status(self, model):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_waiting_ends_when_the_version_answers():
    server = Server(
        ModelUnavailableError("away"),
        [],
        [VersionStatus("2", "LOADING"), VersionStatus("1", "AVAILABLE")],
        [VersionStatus("2", "AVAILABLE"), VersionStatus("1", "AVAILABLE")],
    )
    wait_until_available(server, "m", 2, timeout=20)
    assert len(server.answers) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([VersionStatus("2", "END", "DATA_LOSS", "half a file")], "DATA_LOSS: half a file"),
        ([VersionStatus("1", "AVAILABLE")], r"not live after 0\.1 s: the server knows 1 AVAILABLE"),
        ([], "the server knows no version"),
        (ModelUnavailableError("m does not answer"), "m does not answer"),
    ],
)
def test_waiting_says_why_a_version_does_not_answer(answer, words):
    with pytest.raises(PublicationError, match=words):
        wait_until_available(Server(answer), "m", 2, timeout=0.1)


def quantiles(*rows):
    return pl.DataFrame(
        rows, schema={"p10": pl.Float64, "p50": pl.Float64, "p90": pl.Float64}, orient="row"
    )


def test_parity_is_the_largest_relative_difference():
    offline = quantiles((0.0, 0.5, 1.0), (30_000.0, 30_000.0, 30_000.0))
    served = quantiles((0.0, 0.50005, 1.0), (30_000.0, 30_000.9, 30_000.0))
    assert measure_golden_parity(served, offline) == pytest.approx(5e-5)


@pytest.mark.parametrize(
    ("served", "offline", "words"),
    [
        (
            [(1.0, 2.0, 3.0), (1.0, 2.0, 3.1)],
            [(1.0, 2.0, 3.0), (1.01, 2.0, 3.0)],
            r"p90 of golden row 1 is 3\.1 served and 3\.0 offline, apart by 0\.0333 of 0\.0001",
        ),
        ([(1.0, math.nan, 3.0)], [(1.0, math.nan, 3.0)], "p50 of golden row 0 is nan"),
        ([(1.0, None, 3.0)], [(1.0, 2.0, 3.0)], "p50 of golden row 0 is None"),
        ([(1.0, 2.0, 3.0)], [], "1 rows were served for 0 golden rows"),
        ([], [], "empty"),
    ],
)
def test_a_golden_batch_that_differs_names_its_worst_row(served, offline, words):
    with pytest.raises(PublicationError, match=words):
        measure_golden_parity(quantiles(*served), quantiles(*offline))


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6, allow_nan=False)] * 3), min_size=1, max_size=20))
def test_float32_rounding_never_breaks_parity(rows):
    offline = quantiles(*rows)
    served = offline.cast(pl.Float32).cast(pl.Float64)
    assert measure_golden_parity(served, offline) <= 1e-7
