"""Segments and outliers at scale: 1,000,000 profiles into segments, DBSCAN on 200,000.

The profiles are made up: eight kinds of typical days with noise, shifts and lone exceptions. Each
part runs in a process of its own; prints seconds and peak memory against their bounds and ends
with 1 if a bound is missed. `--segments` and `--dbscan` make them smaller.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
from measuring import peak_bytes

from smartgrid_core.contracts.segments import ConsumerProfiles
from smartgrid_ml.mining.segments.find import find_segments
from smartgrid_ml.mining.segments.kmeans import LocalKMeans
from smartgrid_ml.mining.segments.outliers import find_outliers

DAY = date(2026, 2, 28)
KINDS = 8
DBSCAN_GB, SEGMENTS_GB, SEGMENTS_SECONDS = 4.0, 6.0, 300.0
"""Bounds of the whole process on two cores."""


def generate_profiles(count: int) -> pl.DataFrame:
    """Return made-up rows of `ConsumerProfiles`; one in a thousand is like no other."""
    random = np.random.default_rng(11)
    hour = np.arange(24, dtype=np.float32)
    peaks, widths = random.uniform(0, 24, KINDS), random.uniform(1.5, 4, KINDS)
    floors, weekends = random.uniform(0.1, 0.6, KINDS), random.uniform(0.5, 1.3, KINDS)
    kind = random.integers(0, KINDS, count)
    shift = random.normal(0, 0.7, count).astype(np.float32)
    apart = np.abs((hour - (peaks[kind] + shift)[:, None] + 12) % 24 - 12).astype(np.float32)
    base = floors[kind, None] + np.exp(-((apart / widths[kind, None]) ** 2))
    del apart
    both = np.stack([base, base * weekends[kind, None]]).astype(np.float32)
    both *= random.lognormal(0, 0.25, both.shape).astype(np.float32)
    odd = random.choice(count, count // 1_000, replace=False)
    both[:, odd] = random.pareto(1.0, (2, len(odd), 24)).astype(np.float32)
    both /= (5 * both[0].mean(axis=1) + 2 * both[1].mean(axis=1))[:, None] / 7
    week = (5 * both[0] + 2 * both[1]) / 7
    frame = pl.DataFrame(
        {
            "meter_id": pl.int_range(count, eager=True).cast(pl.String).str.zfill(7),
            "window_start": pl.repeat(datetime(2026, 1, 1, tzinfo=UTC), count, eager=True),
            "window_end": pl.repeat(datetime(2026, 3, 1, tzinfo=UTC), count, eager=True),
            "weekday_shape": both[0],
            "weekend_shape": both[1],
            "mean_kw": random.lognormal(-1, 0.5, count),
            "variability": random.uniform(0.2, 0.6, count),
            "peak_hour": week.argmax(axis=1).astype(np.int32),
            "night_share": (week[:, :6].sum(axis=1) / 24).clip(0, 1).astype(np.float64),
            "weekend_share": (2 * both[1].mean(axis=1) / 7).clip(0, 1).astype(np.float64),
            "midday_dip": np.zeros(count),
            "is_feed_in": np.zeros(count, dtype=bool),
            "has_feed_in": np.zeros(count, dtype=bool),
            "coverage": np.ones(count),
        }
    )
    return ConsumerProfiles.cast(frame.select(ConsumerProfiles.column_names()))


def measure_here(part: str, count: int) -> dict[str, float | str]:
    """Run one part in this process."""
    profiles = generate_profiles(count)
    held = peak_bytes() / 1e9
    began = time.perf_counter()
    if part == "dbscan":
        outliers = find_outliers(profiles, day=DAY)
        outcome = f"{outliers.rows.height:,} outliers, {outliers.clusters} dense clusters"
    else:
        segments = find_segments(profiles, day=DAY, engine=LocalKMeans())
        outcome = f"{segments.members['segment_id'].n_unique()} segments: {segments.reason}"
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_gb": peak_bytes() / 1e9, "input_gb": held, "outcome": outcome}


def measure(part: str, count: int) -> dict[str, float | str]:
    """Run one part in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--part", part, "--count", str(count)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: dict[str, float | str] = json.loads(done.stdout)
    return answer


def main() -> int:
    """Print the figures; 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--dbscan", type=int, default=200_000)
    parser.add_argument("--part", choices=["segments", "dbscan"])
    parser.add_argument("--count", type=int)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(measure_here(arguments.part, arguments.count)))
        return 0
    missed = False
    for part, count, most_gb, most_s in (
        ("dbscan", arguments.dbscan, DBSCAN_GB, None),
        ("segments", arguments.segments, SEGMENTS_GB, SEGMENTS_SECONDS),
    ):
        figures = measure(part, count)
        peak, took = float(figures["peak_gb"]), float(figures["seconds"])
        late = most_s is not None and took > most_s
        missed |= peak > most_gb or late
        limit = "" if most_s is None else f" (bound {most_s:.0f}, ratio {took / most_s:.2f})"
        print(
            f"{part} of {count:,} profiles: {took:.0f} s{limit}, peak memory {peak:.2f} GB"
            f" (bound {most_gb:.0f}, ratio {peak / most_gb:.2f}; {figures['input_gb']:.2f} GB to"
            f" make the profiles); {figures['outcome']}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
