"""Day-ahead accuracy on public measurements: `smartgrid backtest` against published figures.

Prints, for each data set, our figure, the reference and their ratio; ends with 1 if one is worse
than its reference. Run it with the folder of the data in SMARTGRID_SHARED_DATA:

    python benchmarks/backtest_public.py            # all of them
    python benchmarks/backtest_public.py pjme       # one

Each figure is that of one command, printed before it runs. The protocol is the same for all: issue
at 00:00 of day D, load known to 23:00 of D-1, horizon 24 h, trained strictly before the test span,
not trained again, no weather.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"

LONDON = (
    "--data lcl_london_2013/lcl_100_households_2013_30min_kwh_wide.parquet --time timestamp"
    " --target 'MAC*' --min-coverage 0.99 --step 1h --how sum --timezone UTC --country GB-ENG"
    " --test-start 2013-10-01 --test-end 2014-01-01"
)


@dataclass(frozen=True, slots=True)
class Case:
    """One figure: which command gives it, which column it is, and what it has to beat."""

    name: str
    """By which it is chosen on the command line."""
    title: str
    """Data, span, figure and unit."""
    options: str
    """Of `smartgrid backtest`, but `--out`."""
    metric: str
    """Column of the leaderboard."""
    reference: float
    """The published figure, in the unit of the metric."""


CASES = (
    Case(
        "pjme",
        "PJM East 2017-08-03..2018-08-03, MAE, MW",
        "--data pjm/PJME_hourly.csv --time Datetime --target PJME_MW --timezone America/New_York"
        " --country US --test-start 2017-08-03 --test-end 2018-08-03",
        "mae",
        1350.0,
    ),
    Case(
        "london",
        "London, sum of the 90 complete homes, Oct-Dec 2013, MAE, kWh per hour",
        f"{LONDON} --total homes",
        "mae",
        3.19,
    ),
    Case("homes", "London, each of the 90 homes, nMAE, %", LONDON, "nmae", 38.9),
    Case(
        "house",
        "One house in Sceaux, 2010, MAE, kW",
        "--data uci_household_power/uci_household_power_hourly_agg.parquet --time date_time"
        " --target Global_active_power_mean --timezone Europe/Paris --country FR"
        " --test-start 2010-01-01 --test-end 2010-11-27",
        "mae",
        0.441,
    ),
)


def main(names: list[str]) -> int:
    data = Path(os.environ.get("SMARTGRID_SHARED_DATA", DEFAULT_DATA))
    if not data.is_dir():
        print(f"skipped: no public measurements in {data}; set SMARTGRID_SHARED_DATA")
        return 0
    cases = [case for case in CASES if not names or case.name in names]
    return max([measure_case(case, data=data) for case in cases], default=0)


def measure_case(case: Case, *, data: Path) -> int:
    print(f"\n{case.title}\n  smartgrid backtest {case.options} --out {case.name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                str(Path(sys.executable).with_name("smartgrid")),
                "backtest",
                *shlex.split(case.options),
                "--out",
                folder,
            ],
            check=True,
            cwd=data,
            stdout=subprocess.DEVNULL,
        )
        board = pl.read_csv(Path(folder) / "leaderboard.csv").filter(pl.col("series") == "all")
    naive = board.filter(pl.col("model") != "boosting")[case.metric].min()
    row = board.filter(pl.col("model") == "boosting").row(0, named=True)
    figure = row[case.metric]
    print(
        f"  {case.metric} {figure:.4g} against {case.reference:.4g}: ratio"
        f" {figure / case.reference:.3f}; best naive row {naive:.4g};"
        f" coverage of P10-P90 {row['coverage']:.3f}; trained in {row['train_s']:.0f} s",
        flush=True,
    )
    return int(figure > case.reference or not 0.75 <= row["coverage"] <= 0.85)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
