"""Suites over rows: the verdict at once, as Great Expectations finds it too, the page later."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlparse

import polars as pl
import pytest

from smartgrid_core.contracts.aggregates import FeederLoad, MeterConsumption, SensorAggregates
from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.quality import SuiteResult
from smartgrid_io.quality.pages import RUNS_KEPT, make_pages
from smartgrid_io.quality.run import MOST_WAITING, WAITING, list_waiting, run_suite

DAY = datetime(2026, 3, 1, tzinfo=UTC)
END = DAY + timedelta(days=1)
QUARTERS = 96


def times(step: timedelta = timedelta(minutes=15)) -> pl.Series:
    return pl.datetime_range(DAY, END, step, closed="left", eager=True, time_zone="UTC")


def voltages() -> pl.DataFrame:
    """A day of a healthy sensor: 230 V and a little noise."""
    return SensorData.cast(
        pl.DataFrame({"event_time": times()}).select(
            event_id=pl.format("e{}", pl.int_range(pl.len())),
            sensor_id=pl.lit("S1"),
            sensor_type=pl.lit("voltage"),
            value=230.0 + (pl.int_range(pl.len()) % 7) / 10,
            latitude=pl.lit(None),
            longitude=pl.lit(None),
            event_time="event_time",
            ingested_at="event_time",
            metadata=pl.lit(None),
        )
    )


def registers() -> pl.DataFrame:
    """A day of a healthy meter: 0.1 kWh in every quarter of an hour."""
    return MeterReadings.cast(
        pl.DataFrame({"event_time": times()}).select(
            event_id=pl.format("e{}", pl.int_range(pl.len())),
            meter_id=pl.lit("M1"),
            customer_id=pl.lit(None),
            reading=1000 + pl.int_range(pl.len()) / 10,
            unit=pl.lit("kWh"),
            reading_kind=pl.lit("register"),
            event_time="event_time",
            ingested_at="event_time",
        )
    )


def judge(name: str, rows: pl.DataFrame, docs: Path, *, at: datetime = END) -> SuiteResult:
    """The verdict, with which Great Expectations has to agree, and whose page has to stand."""
    verdict = run_suite(name, rows, docs_dir=docs, docs_url=None, at=at)
    pages, differences = make_pages(docs)
    assert differences == []
    assert [docs / page for page in pages] == [to_path(verdict)]
    return verdict


def to_path(verdict: SuiteResult) -> Path:
    return Path(unquote(urlparse(verdict.docs_link).path))


def found(verdict: SuiteResult) -> dict[str, int]:
    """Unexpected rows per column."""
    return {str(finding.column): finding.unexpected_count for finding in verdict.failed}


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("docs")


def test_a_healthy_day_passes_and_leaves_a_page(docs: Path):
    verdict = judge("sensor_data", voltages(), docs)
    page = to_path(verdict)
    index = (docs / "index.html").read_text()
    assert (verdict.passed, verdict.rows, verdict.failed) == (True, QUARTERS, ())
    assert page.is_file()
    assert page.relative_to(docs).as_posix() in unquote(index)
    assert "great-expectations-web-assets" not in page.read_text() + index


def test_the_link_leads_to_where_the_docs_are_served(docs: Path):
    verdict = run_suite(
        "sensor_data", voltages(), docs_dir=docs, docs_url="http://127.0.0.1:5600/", at=END
    )
    assert verdict.docs_link.startswith("http://127.0.0.1:5600/validations/sensor_data/")


def test_a_sag_below_85_percent_is_named_with_sensor_and_time(docs: Path):
    rows = voltages().with_columns(
        value=pl.when(pl.col("event_time") == DAY).then(180.0).otherwise("value")
    )
    verdict = judge("sensor_data", rows, docs)
    assert not verdict.passed
    assert [(finding.severity, finding.examples) for finding in verdict.failed] == [
        (
            severity,
            (
                "sensor_id=S1 sensor_type=voltage event_time=2026-03-01T00:00:00+00:00 "
                "value=180.0 voltage_pu=0.782608695652174",
            ),
        )
        for severity in ("warning", "info")
    ]


def test_a_dip_within_the_standard_is_worth_a_look_and_fails_nothing(docs: Path):
    rows = voltages().with_columns(
        value=pl.when(pl.col("event_time") == DAY).then(200.0).otherwise("value")
    )
    verdict = judge("sensor_data", rows, docs)
    assert verdict.passed
    assert [(finding.severity, finding.unexpected_count) for finding in verdict.failed] == [
        ("info", 1)
    ]


@pytest.mark.parametrize(
    ("fault", "rows", "expected"),
    [
        ("gap", voltages().filter(pl.col("event_time").dt.hour() != 7), {"gap_intervals": 1}),
        ("silence", voltages().filter(pl.col("event_time").dt.hour() < 20), {"silence_hours": 1}),
        (
            "stuck value",
            voltages().with_columns(
                value=pl.when(pl.col("event_time").dt.hour() < 3).then(231.3).otherwise("value")
            ),
            {"standstill_hours": 3},
        ),
        ("a key twice", pl.concat([voltages(), voltages().head(1)]), {"None": 2}),
    ],
)
def test_a_faulty_sensor_is_found(
    fault: str, rows: pl.DataFrame, expected: dict[str, int], docs: Path
):
    verdict = judge("sensor_data", rows, docs)
    assert (fault, verdict.passed, found(verdict)) == (fault, False, expected)


@pytest.mark.parametrize(
    ("fault", "rows", "expected"),
    [
        (
            "register reset",
            registers().with_columns(
                reading=pl.when(pl.col("event_time").dt.hour() >= 12)
                .then(pl.col("reading") - 1000)
                .otherwise("reading")
            ),
            {"register_step_kwh": 1},
        ),
        (
            "unit slip",
            registers().with_columns(
                reading=pl.when(pl.col("event_time").dt.hour() == 12)
                .then(pl.col("reading") * 1000)
                .otherwise("reading")
            ),
            {"register_step_kwh": 1, "register_kw": 1},
        ),
    ],
)
def test_a_faulty_meter_is_found(
    fault: str, rows: pl.DataFrame, expected: dict[str, int], docs: Path
):
    verdict = judge("meter_readings", rows, docs)
    assert (fault, verdict.passed) == (fault, False)
    assert expected.items() <= found(verdict).items()


def test_an_empty_window_is_silence(docs: Path):
    verdict = judge("meter_readings", registers().clear(), docs)
    assert [finding.expectation for finding in verdict.failed] == [
        "at least 1 row: An empty window is silence."
    ]
    assert not verdict.passed


def test_healthy_truth_passes_every_suite(docs: Path):
    hours = pl.DataFrame({"hour": times(timedelta(hours=1))})
    aggregates = SensorAggregates.cast(
        hours.select(
            sensor_id=pl.lit("S1"),
            sensor_type=pl.lit("frequency"),
            hour_bucket="hour",
            avg_value=50.0,
            min_value=49.9,
            max_value=50.1,
            stddev_value=0.01,
            count=4,
            expected_count=4,
        )
    )
    consumption = MeterConsumption.cast(
        pl.DataFrame({"interval_start": times()}).select(
            meter_id=pl.lit("M1"),
            interval_start="interval_start",
            interval_minutes=15,
            energy_kwh=0.1,
            is_estimated=False,
            quality=pl.lit("measured"),
        )
    )
    load = FeederLoad.cast(
        pl.concat(
            hours.select(
                feeder_id=pl.lit(feeder),
                hour_start="hour",
                load_kw=4.0,
                meters=1,
                expected_meters=1,
                estimated_share=0.0,
            )
            for feeder in ("F1", "grid")
        )
    )
    verdicts = [
        judge("meter_readings", registers(), docs),
        judge("sensor_aggregates", aggregates, docs),
        judge("meter_consumption", consumption, docs),
        judge("feeder_load", load, docs),
    ]
    assert [(verdict.suite, verdict.failed) for verdict in verdicts] == [
        ("meter_readings", ()),
        ("sensor_aggregates", ()),
        ("meter_consumption", ()),
        ("feeder_load", ()),
    ]


def test_only_the_newest_runs_keep_a_page(tmp_path: Path):
    judge("feeder_load", FeederLoad.create_empty(), tmp_path)
    (first,) = tmp_path.glob(".results/validations/feeder_load/*/*")
    for second in range(RUNS_KEPT + 5):
        shutil.copytree(first, first.with_name(f"20200101T0000{second:02}.000000Z"))
    judge("feeder_load", FeederLoad.create_empty(), tmp_path)
    runs = sorted(run.name for run in tmp_path.glob(".results/validations/feeder_load/*/*"))
    assert (len(runs), runs[0]) == (RUNS_KEPT, "20200101T000007.000000Z")


def test_a_page_waits_until_it_stands_and_a_newer_run_takes_an_older_ones_place(tmp_path: Path):
    run_suite("sensor_data", voltages().head(3), docs_dir=tmp_path, docs_url=None, at=END)
    newest = run_suite("sensor_data", voltages(), docs_dir=tmp_path, docs_url=None, at=END)
    assert len(list_waiting(tmp_path)) == 1
    assert not to_path(newest).exists()
    assert make_pages(tmp_path)[0] == [to_path(newest).relative_to(tmp_path).as_posix()]
    assert to_path(newest).is_file()
    assert make_pages(tmp_path) == ([], [])


def test_no_more_pages_wait_than_are_kept(tmp_path: Path):
    for hour in range(MOST_WAITING + 3):
        at = END + timedelta(hours=hour)
        run_suite("feeder_load", FeederLoad.create_empty(), docs_dir=tmp_path, docs_url=None, at=at)
    assert len(list_waiting(tmp_path)) == MOST_WAITING
    assert len(list((tmp_path / WAITING).glob("*.parquet"))) == MOST_WAITING


def test_where_great_expectations_sees_something_else_it_is_said(tmp_path: Path):
    verdict = run_suite("sensor_data", voltages(), docs_dir=tmp_path, docs_url=None, at=END)
    (note,) = list_waiting(tmp_path)
    note.write_text(note.read_text().replace('"failed": []', '"failed": [0]'))
    _, differences = make_pages(tmp_path)
    assert differences == [
        "sensor_data up to 2026-03-02 00:00:00+00:00: at least 1 row was refused,"
        " by Great Expectations not"
    ]
    assert to_path(verdict).is_file()


def test_what_a_killed_process_left_half_is_told_and_left_out(tmp_path: Path):
    run_suite("sensor_data", voltages(), docs_dir=tmp_path, docs_url=None, at=END)
    (note,) = list_waiting(tmp_path)
    note.with_suffix(".parquet").write_bytes(b"PAR1")
    pages, differences = make_pages(tmp_path)
    assert (pages, len(differences), list_waiting(tmp_path)) == ([], 1, [])


def test_a_verdict_needs_no_import_of_great_expectations(tmp_path: Path):
    rows = tmp_path / "rows.parquet"
    FeederLoad.create_empty().write_parquet(rows)
    code = f"{JUDGE}assert 'great_expectations' not in sys.modules and 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(rows), str(tmp_path / "docs")], check=True)


JUDGE = """
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from smartgrid_io.quality.run import run_suite

for _ in range(2):
    verdict = run_suite(
        "feeder_load",
        pl.read_parquet(sys.argv[1]),
        docs_dir=Path(sys.argv[2]),
        docs_url=None,
        at=datetime(2026, 3, 2, tzinfo=UTC),
    )
    assert not verdict.passed
"""


PAGES = """
import sys
from pathlib import Path

from smartgrid_io.quality.pages import make_pages

assert make_pages(Path(sys.argv[2]))[1] == []
"""


@pytest.mark.slow
def test_checks_and_page_makers_of_several_processes_share_one_site(tmp_path: Path):
    rows, docs = tmp_path / "rows.parquet", tmp_path / "docs"
    FeederLoad.create_empty().write_parquet(rows)
    commands = [[sys.executable, "-c", code, str(rows), str(docs)] for code in (JUDGE + PAGES,) * 2]
    judges = [subprocess.Popen(command) for command in commands]
    assert [judge.wait(timeout=120) for judge in judges] == [0, 0]
    assert make_pages(docs)[1] == []
    index = unquote((docs / "index.html").read_text())
    pages = [page.relative_to(docs).as_posix() for page in docs.glob("validations/**/*.html")]
    assert pages
    assert all(page in index for page in pages)
