import hashlib
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from demo.files import release_late_files
from smartgrid_core.contracts.grid import GridTopology

pytestmark = pytest.mark.slow


def digests(*folders: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in folders
        for file in sorted(folder.iterdir())
    }


def test_the_same_arguments_give_the_same_bytes(written, write_again, tmp_path):
    write_again(tmp_path / "landing")

    again = digests(tmp_path / "landing", tmp_path / "demo")

    assert again == digests(written.folder, written.folder.parent / "demo")
    assert sorted(again) == [
        "grid_topology.csv",
        "late-meters.csv",
        "meters-2026-11.csv.gz",
        "planted_faults.parquet",
        "sensors-2026-11.parquet",
    ]


def test_another_seed_gives_other_readings(written, write_again, tmp_path):
    write_again(tmp_path / "landing", seed=8)

    other, mine = digests(tmp_path / "landing"), digests(written.folder)

    assert [name for name in mine if mine[name] == other[name]] == ["grid_topology.csv"]


def test_the_manifest_says_what_lies_there(written):
    manifest = written.manifest

    assert [file.name for file in manifest.first_files] == [
        "grid_topology.csv",
        "meters-2026-11.csv.gz",
        "sensors-2026-11.parquet",
    ]
    assert all(file.parent == written.folder for file in manifest.first_files)
    assert all(file.parent != written.folder for file in manifest.late_files)
    assert (manifest.feeders, manifest.transformers) == (5, 7)
    assert (manifest.meters, manifest.sensors) == (145, 19)
    assert manifest.meter_readings == len(written.first)
    assert manifest.late_readings == len(written.late) == 24 + 104
    assert manifest.sensor_readings == len(written.sensors) == 8 * 96 * (37 + 6) - 36


def test_the_columns_are_those_of_the_long_layout(written):
    assert written.first.columns == [
        "meter_id",
        "customer_id",
        "reading",
        "timestamp",
        "unit",
        "reading_kind",
    ]
    assert written.sensors.schema == {
        "sensor_id": pl.String,
        "sensor_type": pl.String,
        "value": pl.Float64,
        "latitude": pl.Float64,
        "longitude": pl.Float64,
        "timestamp": pl.Datetime("us", "UTC"),
    }
    topology = pl.read_csv(written.folder / "grid_topology.csv")
    assert topology.columns == GridTopology.column_names()
    assert written.first["timestamp"].max() < written.manifest.window.end
    assert written.first["reading"].min() >= 0


def test_frequency_stays_around_fifty_hertz(written):
    frequency = written.sensors.filter(pl.col("sensor_type") == "frequency")["value"]

    assert frequency.mean() == pytest.approx(50.0, abs=0.003)
    assert frequency.std() == pytest.approx(0.02, abs=0.003)
    assert frequency.is_between(49.8, 50.2).all()


def test_released_late_files_lie_in_the_landing_folder(written, tmp_path):
    landed = release_late_files(written.manifest, folder=tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["late-meters.csv"]
    assert landed[0].read_bytes() == written.manifest.late_files[0].read_bytes()


def test_a_closing_reading_closes_the_last_quarter_hour(written, write_again, tmp_path):
    manifest = write_again(tmp_path / "landing", closing_reading=True)

    closed = pl.read_csv(tmp_path / "landing" / "meters-2026-11.csv.gz")
    closing = closed.filter(pl.col("timestamp") == "2026-11-22T00:00:00Z")
    before = closed.filter(pl.col("timestamp") == "2026-11-21T23:45:00Z")
    drawn = closing.join(before, on="meter_id")

    assert manifest.meter_readings == written.manifest.meter_readings + 145
    assert (drawn["reading"] - drawn["reading_right"]).is_between(0, 30).all()
    assert closed.filter(pl.col("timestamp") < "2026-11-22").equals(
        pl.read_csv(written.folder / "meters-2026-11.csv.gz")
    )


def test_months_are_written_one_by_one_and_told(write_again, tmp_path):
    told = []

    manifest = write_again(
        tmp_path / "landing",
        end=date(2026, 3, 4),
        progress=lambda what, done, whole: told.append((what, done, whole)),
    )

    assert told == [
        ("planned the faults", 1, 3),
        ("wrote 2026-02", 2, 3),
        ("wrote 2026-03", 3, 3),
    ]
    assert [file.name for file in manifest.first_files] == [
        "grid_topology.csv",
        "meters-2026-02.csv.gz",
        "sensors-2026-02.parquet",
        "meters-2026-03.csv.gz",
        "sensors-2026-03.parquet",
    ]
    both = pl.concat([pl.read_csv(file) for file in manifest.first_files[1::2]])
    faulty = pl.read_parquet(manifest.planted_faults)["subject_id"].to_list()
    sound = both.filter(~pl.col("meter_id").is_in(faulty)).sort("meter_id", "timestamp")
    assert (
        sound.select(pl.col("reading").diff().over("meter_id")).drop_nulls()["reading"].min() >= 0
    )


def test_a_window_without_room_for_the_faults_is_refused(write_again, tmp_path):
    with pytest.raises(ValueError, match="at least 7 days, got 6"):
        write_again(tmp_path / "landing", days=6)
