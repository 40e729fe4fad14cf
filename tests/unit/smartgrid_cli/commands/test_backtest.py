import math
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from smartgrid_cli.commands.backtest import (
    BacktestProtocol,
    backtest,
    backtest_table,
    follow_training,
)
from smartgrid_cli.files.series import SeriesTable
from smartgrid_cli.files.timestamps import convert_wall_to_utc
from smartgrid_core.errors import ConfigurationError
from smartgrid_ml.progress import FitProgress, SearchProgress

LEADERBOARD = (
    "series,model,mae,mape,nmae,pinball,rcrps,coverage,train_s,predict_ms,peak_nmae,artifact_mb"
)
FORECASTS = ["series", "issue_time", "time", "lead_hours", "model", "p10", "p50", "p90", "actual"]

app = typer.Typer()
app.command()(backtest)


@pytest.fixture
def csv(tmp_path):
    """Fifty days of two homes with a daily shape, unordered, one hour doubled and one missing."""
    start = datetime(2025, 3, 1, tzinfo=UTC)
    rows = [
        f"{start + timedelta(hours=hour):%Y-%m-%d %H:%M},{10 + math.sin(hour / 4):.4f},{hour % 24}"
        for hour in range(50 * 24)
        if hour != 100
    ]
    path = tmp_path / "homes.csv"
    path.write_text("\n".join(["time,a,b", *reversed(rows), rows[7]]) + "\n")
    return path


def run(csv, *options, start="2025-04-10", end="2025-04-18", target="[ab]"):
    arguments = ["--data", csv, "--time", "time", "--target", target, "--test-start", start]
    arguments += ["--test-end", end, "--timezone", "Europe/Tirane", "--out", csv.parent / "out"]
    return CliRunner().invoke(app, [str(word) for word in (*arguments, *options)])


def test_a_file_gets_a_leaderboard_forecasts_and_a_report(csv):
    result = run(csv, "--models", "naive_24h")
    assert result.exit_code == 0, result.output
    out = csv.parent / "out"
    assert "duplicate hours averaged" in result.output
    assert "2 missing hours" in result.output
    assert "naive_168h" in result.output

    board = (out / "leaderboard.csv").read_text().splitlines()
    assert board[0] == LEADERBOARD
    assert sorted(tuple(row.split(",")[:2]) for row in board[1:]) == [
        (series, model)
        for series in ("a", "all", "b")
        for model in ("mean_4_weeks", "naive_168h", "naive_24h", "seasonal_empirical")
    ]
    forecasts = pl.read_parquet(out / "forecasts.parquet")
    assert forecasts.columns == FORECASTS
    assert forecasts.height == 4 * 2 * 8 * 24
    assert forecasts["issue_time"].min() == datetime(2025, 4, 9, 22, tzinfo=UTC)
    assert forecasts["lead_hours"].unique().sort().to_list() == list(range(24))
    scored = forecasts.filter((pl.col("series") == "b") & (pl.col("model") == "naive_24h"))
    assert scored.select((pl.col("p50") - pl.col("actual")).abs().max()).item() == 0

    page = (out / "report.html").read_text()
    assert "Plotly.newPlot" in page
    assert "src=" not in page.split("</script>")[-1]
    assert "homes.csv" in page


def test_half_hours_are_forecast_at_their_own_step_to_the_horizon(tmp_path):
    start = datetime(2025, 3, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=30 * n) for n in range(48 * 40)]
    path = tmp_path / "half.parquet"
    frame = pl.DataFrame({"time": times, "a": [float(n % 48) for n in range(len(times))]})
    frame.write_parquet(path)
    result = run(
        path,
        "--models",
        "naive_24h",
        "--horizon",
        "36h",
        "--issue-at",
        "12:00",
        start="2025-04-01",
        end="2025-04-05",
        target="a",
    )
    assert result.exit_code == 0, result.output
    forecasts = pl.read_parquet(tmp_path / "out" / "forecasts.parquet")
    assert forecasts["lead_hours"].max() == 35.5
    assert forecasts["issue_time"].dt.hour().unique().to_list() == [10]


def test_a_file_in_the_way_of_the_results_is_refused_before_any_work(tmp_path):
    (tmp_path / "out").write_text("mine")
    result = run(tmp_path / "not-there.csv")
    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception) == (
        f"--out {tmp_path / 'out'}: there is a file of that name; name a folder"
    )
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "2026-01-01", "end": "2026-02-01"}, "the data end at 2025-04-19 23:00"),
        ({"start": "2025-03-05", "end": "2025-03-09"}, "--test-start must be 2025-03-22 or later"),
        ({"start": "2025-04-18", "end": "2025-04-10"}, "--test-start 2025-04-18 is not before"),
        ({"start": "soon"}, "--test-start 'soon' is no day"),
        ({"extra": ["--models", "oracle"]}, "--models 'oracle': there is no such forecaster"),
        ({"extra": ["--timezone", "Mars/Olympus"]}, "--timezone 'Mars/Olympus'"),
        ({"extra": ["--issue-at", "00:10"]}, "--issue-at 00:10 is not on the grid of 1h"),
        ({"extra": ["--step", "7h"]}, "--step '7h' does not divide a day"),
        ({"extra": ["--how", "max"]}, "--how 'max': mean or sum"),
        ({"extra": ["--budget", "soon"]}, "--budget 'soon'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_with_the_mend(csv, options, message):
    extra = options.pop("extra", [])
    result = run(csv, *extra, **options)
    assert isinstance(result.exception, ConfigurationError)
    assert message in str(result.exception)


@pytest.mark.slow
def test_a_column_known_ahead_reaches_the_models_for_the_target_hour_itself():
    start = datetime(2025, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=n) for n in range(40 * 24)]
    series = {"feeder_id": ["a"] * len(hours), "hour_start": hours}
    table = SeriesTable(
        loads=pl.DataFrame({**series, "load_kw": [1.0 + n % 7 for n in range(len(hours))]}),
        exog=pl.DataFrame({**series, "price": [float(n) for n in range(len(hours))]}),
        step=timedelta(hours=1),
    )
    protocol = BacktestProtocol(
        test_start=date(2025, 2, 5),
        test_end=date(2025, 2, 7),
        horizon=timedelta(hours=24),
        issue_at=timedelta(0),
        timezone="UTC",
        country=None,
        models=["naive_24h", "boosting"],
    )
    fitted = backtest_table(table, protocol=protocol).fitted["boosting"]
    assert fitted.feature_names[-2:] == ("exog_price", "exog_price_change_1d")


def test_wall_clock_hours_around_clock_changes_become_utc():
    wall = [datetime(2025, 3, 30, 2, 30), datetime(2025, 10, 26, 2), datetime(2025, 7, 1)]  # noqa: DTZ001 - wall clock
    frame = pl.DataFrame({"wall": wall}).with_columns(pl.col("wall").dt.replace_time_zone("UTC"))
    answer = frame.select(convert_wall_to_utc(pl.col("wall"), timezone="Europe/Tirane"))
    assert answer.to_series().to_list() == [
        datetime(2025, 3, 30, 1, 30, tzinfo=UTC),
        datetime(2025, 10, 26, 0, tzinfo=UTC),
        datetime(2025, 6, 30, 22, tzinfo=UTC),
    ]


class Lines:
    """A progress line that remembers what it said and what is to be read afterwards."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.kept: list[str] = []

    def __call__(self, what: str) -> None:
        self.said.append(what)

    def follow(self, say) -> None:
        self.said.append(say())

    def keep(self, what: str) -> None:
        self.kept.append(what)


def test_a_search_is_followed_and_its_end_stays_to_be_read():
    line = Lines()
    show_training = follow_training(line)

    show_training(FitProgress("tpot", 3, 4, 1, 2))
    show_training(SearchProgress("tpot", 5, 0.5, left_s=30.0))
    show_training(SearchProgress("tpot", 6, 0.5, left_s=0.0, ended="budget used"))

    training = "trains tpot (model 3 of 4, fold 1 of 2)"
    assert line.said == [
        training,
        "tpot searches: trial 5, best so far MAE 0.5, 30 s left",
        training,
    ]
    assert line.kept == ["tpot tried 6 models, best MAE 0.5 (budget used)"]
