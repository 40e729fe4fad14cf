"""Public measurements through the whole graph, held against figures straight from the files."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dataframely as dy
import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from smartgrid_core.contracts.aggregates import (
    DailyConsumption,
    FeederLoad,
    MeterConsumption,
    SensorAggregates,
)
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.readings import LandedFiles
from smartgrid_core.contracts.tables import get_table
from smartgrid_io.parquet_lake import ParquetLake
from smartgrid_io.postgres.warehouse import PostgresWarehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RUN_JOBS = Path(__file__).with_name("run_jobs.py")
EXACT = {"rel_tol": 1e-9, "abs_tol": 1e-9}

SPRING = (date(2013, 3, 15), date(2013, 4, 7))
AUTUMN = (date(2013, 10, 14), date(2013, 11, 3))
"""London around the two changes of its clock."""
SHORT_DAY, LONG_DAY = date(2013, 3, 31), date(2013, 10, 27)

WINTER = (date(2006, 12, 16), date(2007, 1, 31))
"""The house in Sceaux, from its first minute on."""


@dataclass(frozen=True)
class Place:
    """Where the graph of one data set works."""

    home: Path
    warehouse: PostgresWarehouse

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    @property
    def lake(self) -> ParquetLake:
        return ParquetLake(str(self.home / "lake"))

    def run(self, orders: list[dict[str, Any]], **settings: str) -> list[dict[str, Any]]:
        """What the ordered jobs came to, in a process that has these settings."""
        orders_file, answer = self.home / "orders.json", self.home / "answer.json"
        orders_file.write_text(json.dumps(orders, default=str))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMARTGRID_", "DAGSTER"))}
        done = subprocess.run(
            [sys.executable, str(RUN_JOBS), str(orders_file), str(answer)],
            env={
                **kept,
                "SMARTGRID_HOME": str(self.home),
                "SMARTGRID_DATABASE_URL": self.warehouse.url,
                **{f"SMARTGRID_{name.upper()}": value for name, value in settings.items()},
            },
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(answer.read_text())

    def rows(self, schema: type[dy.Schema], *, in_both_stores: bool = False) -> pl.DataFrame:
        """Everything the graph made of a table, by key."""
        key = get_table(schema).key
        rows = self.lake.scan(schema).collect().sort(key)
        if in_both_stores:
            assert_frame_equal(self.warehouse.read(schema).sort(key), rows)
        return rows


@pytest.fixture
def place(tmp_path: Path, warehouse: PostgresWarehouse) -> Place:
    (tmp_path / "home" / "landing").mkdir(parents=True)
    return Place(tmp_path / "home", warehouse)


def test_a_hundred_london_homes_come_out_as_their_file_has_them(place: Place, shared_data: Path):
    source = shared_data / "lcl_london_2013" / "lcl_100_households_2013_30min_kwh_wide.parquet"
    (place.landing / "homes.parquet").write_bytes(source.read_bytes())
    homes = pd.read_parquet(source).astype("float64").tz_localize("UTC")
    feeder_of = write_topology(place.landing / "grid.csv", meters=list(homes.columns))

    runs = place.run(
        [
            land("grid.csv"),
            land("homes.parquet"),
            {"job": "read_topology"},
            *({"job": "refresh_days", "days": span} for span in (SPRING, AUTUMN)),
            *({"job": "sum_local_days", "days": span} for span in (SPRING, AUTUMN)),
            *({"job": "build_features", "days": last_fortnight(span)} for span in (SPRING, AUTUMN)),
            {"job": "judge_readings"},
        ],
        first_day="2013-01-01",
        last_day="2013-12-31",
        timezone="Europe/London",
        country="GB",
        meter_interval_minutes="30",
        landing_reading_kind="interval",
        landing_starts_interval_minutes="30",
    )

    nothing_blocks(runs)
    year = homes.count().sum()
    assert year == homes.size - 77_282
    landed = landed_rows(place, "homes.parquet")
    assert (landed["rows_new"], landed["rows_refused"]) == (year, 0)

    spans = [homes.loc[utc(first) : utc(last, end=True)] for first, last in (SPRING, AUTUMN)]
    computed = pd.concat(spans)
    consumption_is_the_files(place, computed)
    local_days_are_the_files(place, computed)
    load = feeder_load_is_the_sum_of_homes(place, computed, feeder_of)
    features_look_back_by_local_days(place, load)


def test_the_house_in_sceaux_comes_out_as_its_file_has_it(place: Place, shared_data: Path):
    source = shared_data / "uci_household_power" / "uci_household_power_1min.parquet"
    quantities = {
        "Voltage": "voltage",
        "Global_intensity": "current",
        "Global_active_power": "power",
    }
    # The file's clock is French winter time all year: it never jumps.
    clock = "Etc/GMT-1"
    first, last = (pd.Timestamp(day) for day in WINTER)
    minutes = pd.read_parquet(source).loc[first : last + pd.Timedelta("2D")]
    minutes.to_parquet(place.landing / "house.parquet")

    runs = place.run(
        [
            land("house.parquet"),
            *({"job": job, "days": WINTER} for job in ("refresh_days", "sum_local_days")),
            {"job": "judge_readings"},
        ],
        first_day=str(WINTER[0]),
        last_day=str(WINTER[1]),
        timezone="Europe/Paris",
        country="FR",
        sensor_interval_minutes="1",
        landing_timezone=clock,
        landing_columns=json.dumps(
            {theirs: f"sceaux:{kind}" for theirs, kind in quantities.items()}
        ),
    )

    nothing_blocks(runs)
    landed = landed_rows(place, "house.parquet")
    measured = minutes[list(quantities)].astype("float64").rename(columns=quantities)
    measured.index = measured.index.tz_localize(clock).tz_convert("UTC").rename("hour_bucket")
    assert (landed["rows_new"], landed["rows_refused"]) == (measured.count().sum(), 0)
    by_hour = measured.loc[: utc(WINTER[1], end=True)].resample("1h")
    figures = {"avg_value": "mean", "min_value": "min", "max_value": "max", "stddev_value": "std"}
    expected = pl.concat(
        pl.from_pandas(by_hour[kind].agg([*figures.values(), "count"]), include_index=True).select(
            sensor_id=pl.lit("sceaux"),
            sensor_type=pl.lit(kind),
            hour_bucket=pl.col("hour_bucket").cast(pl.Datetime("us", "UTC")),
            **{ours: pl.col(theirs) for ours, theirs in figures.items()},
            count=pl.col("count").cast(pl.Int64),
            expected_count=pl.lit(60, dtype=pl.Int64),
        )
        for kind in quantities.values()
    ).sort(get_table(SensorAggregates).key)
    hours = place.rows(SensorAggregates, in_both_stores=True)
    assert_frame_equal(hours, expected, **EXACT)
    counts = hours.group_by("count").len("hours").sort("count")
    assert counts.rows() == [(36, 3), (60, 3 * (47 * 24 - 17))]


def land(name: str) -> dict[str, Any]:
    """The order to land one file of the landing folder."""
    return {
        "job": "land_files",
        "config": {"ops": {"land_waiting_files": {"config": {"names": [name]}}}},
    }


def landed_rows(place: Place, name: str) -> dict[str, Any]:
    """How many rows of a file were landed and refused."""
    files = place.warehouse.read(LandedFiles).filter(pl.col("source") == name)
    return files.row(0, named=True)


def last_fortnight(span: tuple[date, date]) -> tuple[date, date]:
    """The fourteen days at the end, which have a week of history at least."""
    return span[1] - timedelta(days=13), span[1]


def utc(day: date, *, end: bool = False) -> pd.Timestamp:
    """A UTC day's first instant, or its last."""
    start = pd.Timestamp(day, tz="UTC")
    return start + pd.Timedelta("1D") - pd.Timedelta("1ns") if end else start


def write_topology(file: Path, *, meters: list[str]) -> dict[str, str]:
    """A substation, two feeders of two transformers, the meters in turn; the meters' feeders."""
    nodes = [("sub", "substation", None), ("north", "feeder", "sub"), ("south", "feeder", "sub")]
    nodes += [(f"{f}_{n}", "transformer", f) for f in ("north", "south") for n in (1, 2)]
    transformers = [node for node, kind, _ in nodes if kind == "transformer"]
    hangs_on = {meter: transformers[i % 4] for i, meter in enumerate(meters)}
    nodes += [(meter, "meter", hangs_on[meter]) for meter in meters]
    pl.DataFrame(nodes, schema=["node_id", "node_kind", "parent_id"], orient="row").with_columns(
        name=pl.col("node_id"), latitude=pl.lit(51.5), longitude=pl.lit(-0.12)
    ).write_csv(file)
    return {meter: transformer.partition("_")[0] for meter, transformer in hangs_on.items()}


def nothing_blocks(runs: list[dict[str, Any]]) -> None:
    """Every table of the runs was checked, and no failed check is an error."""
    verdicts = [verdict for run in runs for verdict in run["checks"]]
    checked = {v["table"] for v in verdicts if v["check"] == "schema"}
    assert checked == {table for run in runs for table in run["tables"]} - {"reading_findings"}
    assert [v for v in verdicts if not v["passed"] and v["severity"] == "ERROR"] == []


def consumption_is_the_files(place: Place, homes: pd.DataFrame) -> None:
    """Every half-hour that the file has and none that it has not."""
    expected = (
        pl.from_pandas(homes.rename_axis("interval_start"), include_index=True, nan_to_null=True)
        .unpivot(index="interval_start", variable_name="meter_id", value_name="energy_kwh")
        .drop_nulls()
        .select(
            "meter_id",
            pl.col("interval_start").cast(pl.Datetime("us", "UTC")),
            pl.lit(30, dtype=pl.Int32).alias("interval_minutes"),
            "energy_kwh",
            is_estimated=pl.lit(value=False),
            quality=pl.lit("measured"),
        )
        .sort(get_table(MeterConsumption).key)
    )
    assert homes.isna().sum().sum() > 9_000, "there are gaps to keep"
    assert_frame_equal(place.rows(MeterConsumption), expected, **EXACT)


def local_days_are_the_files(place: Place, homes: pd.DataFrame) -> None:
    """Sums by London's calendar, and how much of each day the file tells; 23 and 25 hours too."""
    london = homes.tz_convert("Europe/London")
    by_day = london.groupby(london.index.date)
    energy, halves = by_day.sum(min_count=1), by_day.count()
    days = {
        day for first, last in (SPRING, AUTUMN) for day in pl.date_range(first, last, eager=True)
    }
    expected = {
        (meter, day): (energy.at[day, meter], halves.at[day, meter] / 2)
        for day in days
        for meter in homes.columns
        if halves.at[day, meter]
    }
    rows = place.rows(DailyConsumption, in_both_stores=True)
    found = {
        (m, d): (kwh, covered)
        for m, d, kwh, covered in rows.select(
            "meter_id", "local_day", "energy_kwh", "covered_hours"
        ).rows()
    }
    assert found.keys() == expected.keys()
    keys = sorted(expected)
    np.testing.assert_allclose(
        [found[k] for k in keys], [expected[k] for k in keys], rtol=1e-9, atol=1e-9
    )
    hours = dict(rows.select("local_day", "hours").unique().rows())
    assert {day: h for day, h in hours.items() if h != 24} == {SHORT_DAY: 23, LONG_DAY: 25}
    for day, length in ((SHORT_DAY, 23.0), (LONG_DAY, 25.0)):
        of_day = rows.filter(pl.col("local_day") == day)
        assert of_day["covered_hours"].max() == length
    assert rows["estimated_kwh"].sum() == 0.0


def feeder_load_is_the_sum_of_homes(
    place: Place, homes: pd.DataFrame, feeder_of: dict[str, str]
) -> pd.DataFrame:
    """Mean kW per hour of each feeder and of the grid; returns the grid's and feeders' load."""
    known = homes.groupby(homes.index.floor("1h")).mean() * 2
    series = {feeder: [m for m in homes if feeder_of[m] == feeder] for feeder in ("north", "south")}
    series["grid"] = list(homes.columns)
    load = pd.DataFrame({name: known[meters].sum(axis=1) for name, meters in series.items()})
    meters = pd.DataFrame({name: known[ids].count(axis=1) for name, ids in series.items()})
    assert {len(series["north"]), len(series["south"])} == {50}
    expected = pl.concat(
        pl.DataFrame(
            {
                "feeder_id": [name] * len(load),
                "hour_start": load.index.tz_localize(None).to_numpy().astype("datetime64[us]"),
                "load_kw": load[name].to_numpy(),
                "meters": meters[name].to_numpy(),
                "expected_meters": [len(series[name])] * len(load),
                "estimated_share": np.zeros(len(load)),
            }
        ).with_columns(
            pl.col("hour_start").dt.replace_time_zone("UTC"),
            pl.col("meters", "expected_meters").cast(pl.Int32),
        )
        for name in series
    ).sort(get_table(FeederLoad).key)
    assert_frame_equal(place.rows(FeederLoad, in_both_stores=True), expected, **EXACT)
    return load


def features_look_back_by_local_days(place: Place, load: pd.DataFrame) -> None:
    """`load_kw` is the hour's load; `same_hour_1d_kw` the same local hour's, a day before."""
    rows = place.rows(LoadFeatures).select(
        "feeder_id", "issue_time", "hour_start", "load_kw", "same_hour_1d_kw", "latest_1h_kw"
    )
    assert rows.height == 3 * 24 * 2 * 14
    missing = float("nan")
    for feeder, issue, hour, target, day_before, latest in rows.rows():
        assert target == pytest.approx(load[feeder][hour])
        assert latest == pytest.approx(load[feeder][issue - timedelta(hours=1)])
        then = same_local_hour_before(hour, issue=issue)
        expected = missing if then is pd.NaT else load[feeder].get(then, missing)
        found = missing if day_before is None else day_before
        assert found == pytest.approx(expected, nan_ok=True), f"{feeder} {hour} from {issue}"
    ordinary = rows.filter(pl.col("same_hour_1d_kw").is_not_null()).height
    assert ordinary == rows.height - 3


def same_local_hour_before(hour: pd.Timestamp, *, issue: pd.Timestamp) -> pd.Timestamp:
    """When the London clock last showed that hour on a day before, as known at the issue time.

    The first of an hour that autumn repeats; not a time for the one that spring leaves out.
    """
    local = pd.Timestamp(hour).tz_convert("Europe/London").tz_localize(None)
    then = pd.Timestamp(issue)
    days = 0
    while then is not pd.NaT and then >= pd.Timestamp(issue):
        days += 1
        then = (local - pd.Timedelta(days=days)).tz_localize(
            "Europe/London", ambiguous=True, nonexistent="NaT"
        )
        then = then if then is pd.NaT else then.tz_convert("UTC")
    return then
