"""`smartgrid digest` on a real database and lake: equal rows, equal digests."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from smartgrid_cli.main import app
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.errors import ConfigurationError
from smartgrid_io.parquet_lake import ParquetLake

FIRST = datetime(2026, 3, 29, 22, tzinfo=UTC)


@pytest.fixture
def load() -> pl.DataFrame:
    """Four hours around a UTC midnight."""
    hours = [FIRST + timedelta(hours=n) for n in range(4)]
    return FeederLoad.validate(
        pl.DataFrame(
            {
                "feeder_id": "F1",
                "hour_start": hours,
                "load_kw": [1.5, -0.25, 1e-9, 3.0],
                "meters": 2,
                "expected_meters": 2,
                "estimated_share": 0.0,
            }
        ),
        cast=True,
    )


@pytest.fixture
def digest(warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Call the command; returns exit code and output."""
    monkeypatch.setenv("SMARTGRID_DATABASE_URL", warehouse.url)
    monkeypatch.setenv("SMARTGRID_HOME", str(tmp_path / "home"))

    def call(*options: str) -> tuple[int, str]:
        outcome = CliRunner().invoke(app, ["digest", *options])
        if outcome.exception and not isinstance(outcome.exception, SystemExit):
            raise outcome.exception
        return outcome.exit_code, outcome.output

    return call


@pytest.fixture
def lake(tmp_path: Path) -> ParquetLake:
    return ParquetLake(str(tmp_path / "home" / "lake"))


def test_a_table_reads_alike_in_both_stores(digest, warehouse, lake, load, tmp_path):
    warehouse.upsert(FeederLoad, load)
    lake.replace(FeederLoad, load)

    code, text = digest("--out", str(tmp_path / "now.json"))
    kept = json.loads((tmp_path / "now.json").read_text())

    assert code == 0
    assert "All 2: " in text
    assert (kept["mode"], "ingested_at" in kept["left_out"]) == ("reproducible", True)
    tables = kept["tables"]
    assert [(each["table"], each["store"], each["rows"]) for each in tables] == [
        ("feeder_load", "warehouse", 4),
        ("feeder_load", "lake", 4),
    ]
    assert tables[0]["sha256"] == tables[1]["sha256"]


def test_what_changed_since_an_earlier_call_is_named(digest, warehouse, load, tmp_path):
    before = str(tmp_path / "before.json")
    warehouse.upsert(FeederLoad, load)
    digest("--out", before)
    assert digest("--against", before)[0] == 0

    warehouse.upsert(FeederLoad, load.tail(1).with_columns(load_kw=pl.lit(3.5)))
    code, text = digest("--against", before)

    assert code == 1
    assert "feeder_load (warehouse): 4 rows, but not the same" in text


def test_a_table_that_is_kept_whole_has_its_digest(digest, warehouse, tmp_path):
    node = {name: [None] for name in GridTopology.column_names()}
    node |= {"node_id": ["S1"], "node_kind": ["substation"], "name": ["One"]}
    node |= {"latitude": [41.3], "longitude": [19.8]}
    warehouse.upsert(GridTopology, GridTopology.validate(pl.DataFrame(node), cast=True))

    _, text = digest()

    assert "grid_topology" in text


def test_empty_stores_have_no_digests(digest):
    code, text = digest()
    assert (code, text.splitlines()[-1].split(":")[0]) == (0, "All 0")


def test_a_file_of_another_kind_is_refused_by_name(digest, tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"rows": 1}')
    with pytest.raises(ConfigurationError, match=r"other\.json holds no digests"):
        digest("--against", str(other))


def test_a_list_of_an_earlier_version_is_refused_by_name(digest, tmp_path):
    old = tmp_path / "old.json"
    old.write_text('[{"table": "feeder_load", "store": "lake", "rows": 4, "sha256": "ab"}]')
    with pytest.raises(ConfigurationError, match=r"old\.json holds no digests .* digest --out"):
        digest("--against", str(old))


def test_digests_of_another_mode_are_not_compared(digest, warehouse, load, tmp_path):
    warehouse.upsert(FeederLoad, load)
    before = str(tmp_path / "before.json")
    digest("--out", before, "--all-columns")
    assert digest("--against", before, "--all-columns")[0] == 0
    with pytest.raises(ConfigurationError) as refused:
        digest("--against", before)
    assert str(refused.value) == (
        f"{before} cannot be compared, its mode is all_columns, this one is reproducible:"
        " call both times with --all-columns, or both times without it"
    )


def test_digests_that_left_out_other_columns_are_not_compared(digest, tmp_path):
    before = tmp_path / "before.json"
    digest("--out", str(before))
    kept = json.loads(before.read_text())
    kept["left_out"] = sorted({*kept["left_out"], "load_kw"} - {"seq"})
    before.write_text(json.dumps(kept))
    with pytest.raises(ConfigurationError, match="one of the two leaves out load_kw, seq: write"):
        digest("--against", str(before))
