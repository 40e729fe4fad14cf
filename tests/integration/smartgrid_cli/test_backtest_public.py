import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from smartgrid_cli.commands.backtest import backtest

app = typer.Typer()
app.command()(backtest)

LONDON = [
    "--data=lcl_london_2013/lcl_100_households_2013_30min_kwh_wide.parquet",
    "--time=timestamp",
    "--target=MAC*",
    "--min-coverage=0.99",
    "--step=1h",
    "--how=sum",
    "--country=GB-ENG",
    "--test-start=2013-10-01",
    "--test-end=2014-01-01",
]

CASES = {
    "pjme": (
        [
            "--data=pjm/PJME_hourly.csv",
            "--time=Datetime",
            "--target=PJME_MW",
            "--timezone=America/New_York",
            "--country=US",
            "--test-start=2017-08-03",
            "--test-end=2018-08-03",
        ],
        "mae",
        1350.0,
    ),
    "london": ([*LONDON, "--total=homes"], "mae", 3.19),
    "homes": (LONDON, "nmae", 38.9),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", CASES)
def test_boosting_beats_the_published_figure_with_an_honest_band(
    case, shared_data, tmp_path, monkeypatch
):
    options, metric, bound = CASES[case]
    monkeypatch.chdir(shared_data)
    result = CliRunner().invoke(app, [*options, f"--out={tmp_path}"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    board = pl.read_csv(tmp_path / "leaderboard.csv").filter(pl.col("series") == "all")
    row = board.filter(pl.col("model") == "boosting").row(0, named=True)
    naive = board.filter(pl.col("model") != "boosting")
    assert row[metric] <= bound
    assert 0.75 <= row["coverage"] <= 0.85
    assert row["pinball"] < naive["pinball"].min()
    assert (tmp_path / "report.html").stat().st_size > 1_000_000
    assert pl.read_parquet(tmp_path / "forecasts.parquet")["p50"].null_count() == 0


def test_the_file_of_pjm_is_read_as_published(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(shared_data)
    options, _, _ = CASES["pjme"]
    naive = [*options, "--models=naive_24h", f"--out={tmp_path}"]
    result = CliRunner().invoke(app, naive, catch_exceptions=False)
    assert "4 duplicate hours averaged" in result.output
    assert "30 missing hours of 145392 left unknown" in result.output
    board = pl.read_csv(tmp_path / "leaderboard.csv").filter(pl.col("series") == "all")
    scores = dict(board.select("model", "mae").rows())
    assert scores["naive_24h"] == pytest.approx(2306.9, rel=1e-3)
    assert scores["naive_168h"] == pytest.approx(3581.5, rel=1e-3)
