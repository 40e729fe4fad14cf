from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from demo.faults import FaultOverlay, FaultPlan
from demo.files import DemoManifest, write_demo
from demo.grid import Flow, Grid, PowerFlow
from demo.profiles import generate_normal_power
from smartgrid_core.time import Window

END = date(2026, 11, 22)
DAYS = 8


@dataclass(frozen=True)
class Written:
    """A short demo on disk, with what its files say."""

    folder: Path
    manifest: DemoManifest
    first: pl.DataFrame
    late: pl.DataFrame
    sensors: pl.DataFrame
    truth: pl.DataFrame

    def fault(self, kind: str, *, subject_kind: str = "meter", longest: bool = False) -> dict:
        """The only fault of a kind on a sort of subject, or the longest or shortest of two."""
        found = self.truth.filter(
            pl.col("kind") == kind, pl.col("subject_kind") == subject_kind
        ).sort(pl.col("end_time") - pl.col("start_time"), descending=longest)
        return found.row(0, named=True)

    def readings(self, meter: str) -> pl.DataFrame:
        """What the first delivery says about a meter, in order of time."""
        return self.first.filter(pl.col("meter_id") == meter).sort("timestamp")


def read_meters(files: list[Path]) -> pl.DataFrame:
    return pl.concat([pl.read_csv(file) for file in files]).with_columns(
        pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC", time_unit="us")
    )


@pytest.fixture(scope="session")
def grid() -> Grid:
    return Grid.load()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("demo") / "landing"
    manifest = write_demo(folder, end=END, days=DAYS)
    return Written(
        folder,
        manifest,
        read_meters(sorted(folder.glob("meters-*.csv.gz"))),
        read_meters(list(manifest.late_files)),
        pl.concat([pl.read_parquet(file) for file in sorted(folder.glob("sensors-*.parquet"))]),
        pl.read_parquet(manifest.planted_faults),
    )


@dataclass(frozen=True)
class Sound:
    """Two days without any fault."""

    active_kw: np.ndarray
    registers_kwh: np.ndarray
    flow: Flow


@pytest.fixture(scope="session")
def sound(grid: Grid) -> Sound:
    window = Window.of_days(date(2026, 1, 14), date(2026, 1, 15))
    part, active, reactive = next(generate_normal_power(grid, window=window, seed=7))
    overlay = FaultOverlay(grid, FaultPlan((), np.full(grid.meters.height, 1000.0)))
    flow = PowerFlow(grid).solve(active, reactive, busbar_pu=np.full(active.shape[1], 1.02))
    return Sound(active, overlay.count_registers(part, active), flow)


@pytest.fixture(scope="session")
def write_again() -> Callable[..., DemoManifest]:
    def write(folder: Path, **changes: object) -> DemoManifest:
        return write_demo(folder, **{"end": END, "days": DAYS, **changes})

    return write
