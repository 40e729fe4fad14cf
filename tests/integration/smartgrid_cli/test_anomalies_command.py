"""`smartgrid anomalies` as people call it: on files of their own, good and bad."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from smartgrid_cli.main import app
from smartgrid_core.errors import SmartGridError

FIRST = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 42
SPIKE, FLAT = 20 * 24 + 15, 30 * 24 + 3
FLAT_HOURS = 20

ALL_COLUMNS = ["series", "time", "value", "lower", "upper", "score", "kind", "reason"]


def load(*, seed: int, days: int = DAYS) -> np.ndarray:
    """An hourly load of some kW with a daily shape and noise."""
    hours = np.arange(24 * days)
    noise = np.random.default_rng(seed).normal(0, 0.15, len(hours))
    return 5 + 2 * np.sin(2 * np.pi * hours / 24) + noise


def table(*, days: int = DAYS) -> pl.DataFrame:
    """Two loads; of feeder a one spike and one standstill are known and labelled."""
    a, b = load(seed=1, days=days), load(seed=2, days=days)
    fault = np.zeros(len(a), dtype=int)
    a[SPIKE] += 9
    a[FLAT : FLAT + FLAT_HOURS] = a[FLAT]
    fault[SPIKE] = fault[FLAT : FLAT + FLAT_HOURS] = 1
    times = [FIRST + timedelta(hours=hour) for hour in range(len(a))]
    return pl.DataFrame({"when": times, "a": a, "b": b, "fault": fault})


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "loads.csv"
    table().write_csv(path)
    return path


def run(*options: str, catch: bool = False):
    result = CliRunner().invoke(app, ["anomalies", *options], catch_exceptions=catch)
    assert result.exit_code == 0, result.output
    return result


def refused(*options: str) -> str:
    result = CliRunner().invoke(app, ["anomalies", *options])
    assert isinstance(result.exception, SmartGridError), result.output
    return str(result.exception)


def test_known_faults_are_found_told_and_judged(file, tmp_path):
    out = tmp_path / "deep" / "out"
    result = run(
        f"--data={file}", "--time=when", "--target=a", "--target=b", "--label=fault", f"--out={out}"
    )
    assert sorted(path.name for path in out.iterdir()) == [
        "anomalies.parquet",
        "metrics.json",
        "report.html",
        "scores.parquet",
    ]
    found = pl.read_parquet(out / "anomalies.parquet")
    assert found.columns[:8] == ALL_COLUMNS
    of_a = found.filter(pl.col("series") == "a")
    spike = of_a.filter(pl.col("kind") == "spike").row(0, named=True)
    assert spike["time"] == FIRST + timedelta(hours=SPIKE)
    assert not spike["lower"] <= spike["value"] <= spike["upper"]
    assert "expected was" in spike["reason"]
    assert of_a.filter(pl.col("kind") == "flatline").height >= FLAT_HOURS - 2
    scores = pl.read_parquet(out / "scores.parquet")
    assert scores.columns == ["series", "time", "score"]
    assert scores.group_by("series").len().sort("series").rows() == [
        ("a", 24 * DAYS),
        ("b", 24 * DAYS),
    ]
    assert scores["score"].is_finite().all()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["recall"] >= 0.85
    assert metrics["pr_auc"] >= 0.8
    assert metrics["by_event"]["found"] == 2
    assert metrics["detection_delay"]["events"] == 2
    assert set(metrics["precision_at_k"]) == {"10", "20", "50", "100"}
    assert set(metrics["by_series"]) == {"a", "b"}
    page = (out / "report.html").read_text()
    assert spike["reason"] in page
    assert "<script src" not in page
    assert "2 of 2 events found" in result.output


def test_the_same_file_gives_the_same_bytes(file, tmp_path):
    outs = [tmp_path / name for name in ("one", "two")]
    for out in outs:
        run(f"--data={file}", "--time=when", "--target=a", "--label=fault", f"--out={out}")
    for name in ("anomalies.parquet", "scores.parquet", "metrics.json"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()


def test_without_labels_nothing_is_judged(file, tmp_path):
    out = tmp_path / "out"
    run(f"--data={file}", "--time=when", "--target=[ab]", f"--out={out}")
    metrics = json.loads((out / "metrics.json").read_text())
    assert [metrics[name] for name in ("precision", "recall", "f1", "pr_auc", "roc_auc")] == [
        None
    ] * 5
    assert metrics["anomalies"] >= 2
    assert "no labels" in (out / "report.html").read_text()


def test_a_long_file_names_its_series_in_a_column(tmp_path):
    wide = table()
    long = wide.select("when", "a", "b").unpivot(["a", "b"], index="when", variable_name="feeder")
    labels = wide.select("when", "fault", feeder=pl.lit("a"))
    path, out = tmp_path / "long.parquet", tmp_path / "out"
    long.join(labels, on=["when", "feeder"], how="left").write_parquet(path)
    run(
        *(f"--data={path}", "--time=when", "--target=value", "--series=feeder", "--label=fault"),
        f"--out={out}",
    )  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["rows"] == 24 * DAYS
    assert "1008 rows have no label in 'fault': no figure judges them" in metrics["notes"]
    assert metrics["by_event"]["found"] == 2


@pytest.mark.parametrize("zone", ["UTC", "Europe/Tirane"])
def test_times_without_an_offset_come_back_as_they_were_written(tmp_path, zone):
    naive = table().with_columns(pl.col("when").dt.replace_time_zone(None))
    path, out = tmp_path / "naive.csv", tmp_path / "out"
    naive.write_csv(path)
    run(f"--data={path}", "--time=when", "--target=a", f"--timezone={zone}", f"--out={out}")
    scores = pl.read_parquet(out / "scores.parquet")
    lacking = set(naive["when"].cast(pl.String)) - set(scores["time"].cast(pl.String))
    assert lacking == ({"2025-03-30 02:00:00.000000"} if zone == "Europe/Tirane" else set())
    found = pl.read_parquet(out / "anomalies.parquet").filter(pl.col("kind") == "spike")
    assert found["time"].to_list() == [naive["when"][SPIKE]]
    assert f"times are of {zone}" in (out / "report.html").read_text()


def test_an_hour_that_autumn_repeats_comes_back_twice(tmp_path):
    begin = datetime(2025, 10, 1, tzinfo=UTC)
    values = load(seed=1)
    local = pl.Series([begin + timedelta(hours=n) for n in range(len(values))])
    local = local.dt.convert_time_zone("Europe/Tirane").dt.replace_time_zone(None)
    path, out = tmp_path / "autumn.csv", tmp_path / "out"
    pl.DataFrame({"when": local, "a": values}).write_csv(path)
    run(f"--data={path}", "--time=when", "--target=a", "--timezone=Europe/Tirane", f"--out={out}")
    assert pl.read_parquet(out / "scores.parquet")["time"].to_list() == local.to_list()


def test_daily_anomalies_begin_on_the_local_day_that_the_file_names(tmp_path):
    values = 20 + np.random.default_rng(3).normal(0, 0.5, 120)
    values[90] += 15
    days = [FIRST.replace(tzinfo=None) + timedelta(days=n) for n in range(len(values))]
    path, out = tmp_path / "daily.csv", tmp_path / "out"
    pl.DataFrame({"when": days, "a": values}).write_csv(path)
    run(f"--data={path}", "--time=when", "--target=a", "--timezone=Europe/Tirane", f"--out={out}")
    found = pl.read_parquet(out / "anomalies.parquet").filter(pl.col("time") == days[90])
    assert found["start_time"].to_list() == [days[90]]
    assert found["end_time"].to_list() == [days[91]]
    assert f"at {days[90]:%Y-%m-%d} 00:00," in found["reason"][0]


def test_limits_are_kept_from_the_first_reading_on(file, tmp_path):
    out = tmp_path / "out"
    run(f"--data={file}", "--time=when", "--target=a", "--limits=a=,12", f"--out={out}")
    found = pl.read_parquet(out / "anomalies.parquet").filter(pl.col("kind") == "out_of_band")
    assert found["value"].to_list() == [pytest.approx(table()["a"][SPIKE])]
    assert found["upper"].to_list() == [12.0]


def test_weather_explains_and_phases_are_held_against_each_other(tmp_path):
    hours = 24 * DAYS
    weather = np.cumsum(np.random.default_rng(9).normal(0, 0.4, hours))
    phases = {name: load(seed=seed) + weather for seed, name in enumerate("xyz")}
    day = slice(30 * 24, 31 * 24)
    phases["x"][day] *= 1.6
    times = [FIRST + timedelta(hours=hour) for hour in range(hours)]
    path, out = tmp_path / "phases.csv", tmp_path / "out"
    pl.DataFrame({"when": times, **phases, "weather": weather}).write_csv(path)
    run(
        *(f"--data={path}", "--time=when", "--target=[xyz]", "--phases=x,y,z", f"--out={out}"),
        *("--exog=weather", "--country=AL", "--timezone=Europe/Tirane"),
    )
    found = pl.read_parquet(out / "anomalies.parquet")
    uneven = found.filter(pl.col("kind") == "phase_imbalance", pl.col("series") == "x")
    assert uneven["time"].is_between(times[day][0], times[day][-1] + timedelta(hours=2)).any()


def test_what_is_before_from_is_history(file, tmp_path):
    out = tmp_path / "out"
    begin = FIRST + timedelta(days=25)
    run(
        *(f"--data={file}", "--time=when", "--target=a", "--label=fault", f"--out={out}"),
        f"--from={begin:%Y-%m-%d}",
    )  # fmt: skip
    scores = pl.read_parquet(out / "scores.parquet")
    assert scores["time"].min() == begin
    assert json.loads((out / "metrics.json").read_text())["by_event"]["events"] == 1


def test_a_month_without_rows_is_one_anomaly_not_a_month_of_them(tmp_path):
    path, out = tmp_path / "gap.csv", tmp_path / "out"
    gap = pl.col("when").is_between(FIRST + timedelta(days=40), FIRST + timedelta(days=72))
    table(days=90).filter(~gap).write_csv(path)
    run(f"--data={path}", "--time=when", "--target=b", f"--out={out}")
    found = pl.read_parquet(out / "anomalies.parquet").filter(pl.col("kind") == "missing")
    assert found.height <= 1
    assert pl.read_parquet(out / "scores.parquet").height == 24 * 90


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([4.0] * 24 * 21, id="constant"),
        pytest.param([1.0, 2.0, 3.0], id="three hours"),
        pytest.param([1.0, math.inf, math.nan, *([2.0, 3.0] * 200)], id="inf and NaN"),
        pytest.param([1.0, *([None] * 400), 2.0], id="nearly nothing"),
        pytest.param([1e300, -1e300] * 200, id="huge"),
    ],
)
def test_odd_series_are_judged_without_a_crash(tmp_path, values):
    path, out = tmp_path / "odd.csv", tmp_path / "out"
    times = [FIRST + timedelta(hours=hour) for hour in range(len(values))]
    pl.DataFrame({"when": times, "v": values}).write_csv(path)
    run(f"--data={path}", "--time=when", "--target=v", f"--out={out}")
    assert pl.read_parquet(out / "scores.parquet")["score"].is_finite().all()


def test_seconds_unsorted_and_doubled_are_read(tmp_path):
    path, out = tmp_path / "seconds.csv", tmp_path / "out"
    seconds = np.random.default_rng(3).permutation(np.repeat(np.arange(7200), 2))
    times = [FIRST + timedelta(seconds=int(second)) for second in seconds]
    pl.DataFrame({"when": times, "v": np.sin(seconds / 600)}).write_csv(path)
    run(f"--data={path}", "--time=when", "--target=v", f"--out={out}")
    assert pl.read_parquet(out / "scores.parquet").height == 7200


def test_a_refused_call_leaves_nothing_and_says_the_mend(file, tmp_path):
    out = tmp_path / "out"
    given = (f"--data={file}", "--time=when", "--target=a", f"--out={out}")
    assert "Did you mean 'fault'?" in refused(*given, "--label=fualt")
    assert "no label; labels are 0 and 1" in refused(*given, "--label=b")
    assert "--limits 'a:1,2'" in refused(*given, "--limits=a:1,2")
    assert "'x' is no series" in refused(*given, "--limits=x=1,2")
    assert "write three columns" in refused(*given, "--phases=a,b")
    assert "'b' is no --target" in refused(*given, "--phases=a,b,c")
    assert "--from 'soon' is no day" in refused(*given, "--from=soon")
    assert "has no rows from then on" in refused(*given, "--from=2031-01-01")
    assert "is no whole minute" in refused(*given, "--step=10s")
    assert "Europe/London" in refused(*given, "--timezone=Mars")
    assert "country 'XX'" in refused(*given, "--country=XX")
    assert "no such file" in refused(*given[1:], "--data=nowhere.csv")
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_file_is_no_folder_for_results(file):
    said = refused(f"--data={file}", "--time=when", "--target=a", f"--out={file}")
    assert "there is a file of that name" in said


def test_help_shows_an_example():
    assert "smartgrid anomalies --data" in run("--help").output
