"""Boosting on 200 feeders and a year: features, four folds and their scores, in time and memory.

The load is made up: a daily and a weekly rhythm, a season and noise, of feeders of 20 kW to 2 MW.
Prints seconds and peak memory against their bounds, and the error as a ratio to the best naive row
in the same run; ends with 1 if a bound is missed. `--feeders` and `--days` make it smaller.
"""

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from measuring import peak_bytes

from smartgrid_core.features.load import HISTORY_NEEDED, build_load_features
from smartgrid_ml.evaluation.backtest import BacktestSettings, backtest_models
from smartgrid_ml.evaluation.metrics import ALL_SERIES
from smartgrid_ml.forecasting.registry import NAIVE_ROWS

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
FOLDS = 4
SECONDS, MEGABYTES = 300.0, 4_000.0
"""Bounds on two cores."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--feeders", type=int, default=200)
    parser.add_argument("--days", type=int, default=365)
    arguments = parser.parse_args()
    loads = simulate_loads(arguments.feeders, days=arguments.days)
    first_issue = FIRST + HISTORY_NEEDED
    n_issues = arguments.days - HISTORY_NEEDED.days
    issues = [first_issue + timedelta(days=day) for day in range(n_issues)]
    started = time.perf_counter()
    features = build_load_features(
        loads, issue_times=issues, timezone="Europe/Tirane", country="AL"
    )
    features_s = time.perf_counter() - started
    rows = features.height
    result = backtest_models(
        features,
        BacktestSettings(
            models=[*NAIVE_ROWS, "boosting"],
            test_start=issues[-len(issues) // 4],
            test_end=issues[-1] + timedelta(days=1),
            folds=FOLDS,
        ),
    )
    total_s = time.perf_counter() - started
    board = result.leaderboard.filter(pl.col("series") == ALL_SERIES)
    loss = dict(board.select("model", "pinball").rows())
    naive = min(loss[name] for name in NAIVE_ROWS)
    memory_mb = peak_bytes() / 1e6
    print(
        f"{arguments.feeders} feeders, {arguments.days} days, {rows:,} rows:"
        f" features {features_s:.0f} s, with"
        f" {FOLDS} folds {total_s:.0f} s (bound {SECONDS:.0f}, ratio {total_s / SECONDS:.2f});"
        f" peak memory {memory_mb:,.0f} MB"
        f" (bound {MEGABYTES:,.0f}, ratio {memory_mb / MEGABYTES:.2f})"
    )
    print(f"pinball of boosting against the best naive row: ratio {loss['boosting'] / naive:.2f}")
    return int(total_s > SECONDS or memory_mb > MEGABYTES or loss["boosting"] >= naive)


def simulate_loads(feeders: int, *, days: int) -> pl.DataFrame:
    """Return simulated loads: columns feeder_id, hour_start, load_kw."""
    random = np.random.default_rng(11)
    hour = np.arange(24 * days)
    end = FIRST + timedelta(hours=24 * days - 1)
    times = pl.datetime_range(FIRST, end, "1h", time_unit="us", time_zone="UTC", eager=True)
    rows = []
    for number, size in enumerate(np.geomspace(20, 2000, feeders)):
        peak, weekend, season = (
            random.uniform(8, 20),
            random.uniform(0, 0.3),
            random.uniform(0, 0.4),
        )
        shape = 1 + 0.4 * np.cos((hour - peak) / 24 * 2 * np.pi)
        shape -= weekend * (hour // 24 % 7 >= 5)
        shape += season * np.cos(hour / 8760 * 2 * np.pi)
        weather = np.convolve(random.normal(size=len(hour) + 47), np.ones(48) / 48, "valid")
        load = size * (shape + 0.3 * weather) * (1 + 0.06 * random.normal(size=len(hour)))
        rows.append(
            pl.DataFrame(
                {"feeder_id": f"F{number:03}", "hour_start": times, "load_kw": np.maximum(load, 0)}
            )
        )
    return pl.concat(rows)


if __name__ == "__main__":
    sys.exit(main())
