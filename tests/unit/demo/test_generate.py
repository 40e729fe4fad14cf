import polars as pl
import pytest

from demo.generate import classify_profile
from demo.grid import DATA


@pytest.mark.parametrize(
    ("profile", "kind"),
    [
        ("H0-A", "household"),
        ("G4-B", "commercial"),
        ("L2-A", "agricultural"),
        ("PV6", "pv"),
        ("Air_Semi-Parallel_1", "heat_pump"),
        ("Soil_Alternative_2", "heat_pump"),
        ("HLS_A_22.0", "ev"),
        ("APLS_B_11.0", "ev"),
    ],
)
def test_a_profile_name_says_what_the_customer_is(profile: str, kind: str):
    assert classify_profile(profile) == kind


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_generator_rebuilds_the_committed_tables(tmp_path):
    pytest.importorskip("simbench", reason="the simbench package is not installed")
    from demo.generate import generate

    generate(tmp_path)

    for name in ("nodes", "lines", "transformers", "meters", "feeders"):
        assert (tmp_path / f"{name}.csv").read_text() == (DATA / f"{name}.csv").read_text()
    rebuilt = pl.read_parquet(tmp_path / "profiles.parquet")
    assert rebuilt.equals(pl.read_parquet(DATA / "profiles.parquet"))
