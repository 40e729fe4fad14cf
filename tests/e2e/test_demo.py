"""What a newcomer sees: one command, the whole graph, an exit code; again in seconds."""

import ipaddress
import json
import re
import subprocess
import sys
import time

import pytest
from polars.testing import assert_frame_equal

from smartgrid_core.aggregates.feeder import mask_silent_hours
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.settings import Settings
from smartgrid_io.parquet_lake import ParquetLake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2700), pytest.mark.xdist_group("e2e")]


def test_the_demo_shows_what_happened(undisturbed):
    said = undisturbed.said.read_text()
    for heading in ("Rows per table", "Checks: ", "Leaderboard"):
        assert heading in said
    for model in ("boosting", "autokeras", "tpot", "h2o", "ensemble", "seasonal_empirical"):
        assert re.search(rf"^ *{model} ", said, re.MULTILINE)
    assert re.search(r"The gate (promotes|refuses) version 1: ", said)
    assert re.search(r"beats_naive_24h +(not )?better", said)
    promoted = "The gate promotes version 1: " in said
    assert ("Forecast of the whole grid" in said) == promoted
    assert ("over gRPC the same within" in said) == promoted
    assert "Open alerts: " in said
    assert re.search(r"Dagster +http://127\.0\.0\.1:21002", said)
    assert "All is right after" in said


def test_the_demo_finds_what_was_planted_and_says_how_things_stand(undisturbed):
    said = undisturbed.said.read_text()
    for refused in (
        "anomalies.planted_anomalies_found",
        "event_rules.planted_rule_found",
        "inspections.planted_theft_found",
    ):
        assert refused not in said
    assert "The grid up to Saturday, 21 November 2026" in said
    for section in ("To inspect", "Anomalies", "What goes together", "Kinds of consumers"):
        assert re.search(rf"{section}: .*\d+ ", said)


def test_features_hold_the_load_as_it_stands_after_the_late_readings(undisturbed):
    lake = ParquetLake(str(undisturbed.home.root / "lake"))
    hour = ["feeder_id", "hour_start"]
    learned = lake.scan(LoadFeatures).select(*hour, "load_kw").collect().sort(hour)
    truth = mask_silent_hours(lake.scan(FeederLoad), least_share=Settings().min_meter_share)
    stands = learned.select(hour).join(
        truth.select(*hour, "load_kw").collect(), on=hour, how="left"
    )
    assert_frame_equal(learned, stands.sort(hour))


def test_no_secret_is_printed_or_logged(undisturbed):
    password = (undisturbed.home.root / "postgres" / "password").read_text()
    assert len(password) >= 24
    places = [undisturbed.said, *undisturbed.home.logs.glob("*"), *undisturbed.home.run.glob("*")]
    assert [place for place in places if password in place.read_text(errors="replace")] == []


def test_a_second_demo_changes_nothing_that_is_right(undisturbed):
    lake = undisturbed.home.root / "lake"
    before = {file: file.stat().st_mtime_ns for file in lake.rglob("*.parquet")}
    assert before
    undisturbed.said.write_text("")
    start = time.monotonic()
    assert undisturbed.finish(undisturbed.demo()) == 0, undisturbed.last_words()
    took = time.monotonic() - start
    assert "0 runs were needed" in undisturbed.said.read_text()
    assert {file: file.stat().st_mtime_ns for file in lake.rglob("*.parquet")} == before
    assert took < 180


def test_a_second_up_says_who_runs_and_status_shows_it(undisturbed):
    up = undisturbed.start("up")
    undisturbed.said.write_text("")
    try:
        undisturbed.wait(
            lambda: "Ctrl-C stops everything" in undisturbed.said.read_text(), up, "everything runs"
        )
        assert undisturbed.start("up").wait(60) == 1
        assert f"process {up.pid} runs everything there" in undisturbed.said.read_text()
        assert undisturbed.start("status").wait(60) == 0
        said = undisturbed.said.read_text()
        assert re.search(r"dagster_daemon +\d+", said)
        assert re.search(r"feeder_load +[\d,]+ +[\d,]+", said)
        ps = subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
        assert (undisturbed.home.root / "postgres" / "password").read_text() not in ps
        listening = subprocess.run(
            [sys.executable, "-c", LISTENING, str(undisturbed.home.root)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert {as_ipv4(host) for host in json.loads(listening)} == {"127.0.0.1"}
    finally:
        up.terminate()
        assert up.wait(120) == 130
    assert undisturbed.home.read_up_note() is None
    assert not list(undisturbed.home.run.glob("*.json"))
    assert not list(undisturbed.home.run.glob("*.sock"))


def as_ipv4(host: str) -> str:
    """An IPv4 address that a socket of both families writes as IPv6 (::ffff:127.0.0.1) -> IPv4."""
    address = ipaddress.ip_address(host)
    return str(getattr(address, "ipv4_mapped", None) or address)


LISTENING = """
import json, sys
from pathlib import Path
from smartgrid_cli.machine.child_process import find_leftovers
from smartgrid_cli.machine.home import Home
hosts = set()
for process in find_leftovers(Home(Path(sys.argv[1]))):
    hosts |= {c.laddr.ip for c in process.net_connections("inet") if c.status == "LISTEN"}
print(json.dumps(sorted(hosts)))
"""
