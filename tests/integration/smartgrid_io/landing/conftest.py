"""Fixtures of the tests of landings."""

from pathlib import Path

import polars as pl
import pytest

from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.landing.report import LandingReport
from smartgrid_io.postgres.warehouse import PostgresWarehouse
from tests.integration.smartgrid_io.landing.landed import (
    NOW,
    Land,
)


@pytest.fixture
def land(warehouse: PostgresWarehouse, tmp_path: Path) -> Land:
    """Write content to a file and land it."""

    def write_and_land(
        content: str | bytes | pl.DataFrame,
        name: str = "file.csv",
        *,
        layout: LandingLayout | None = None,
        again: bool = False,
    ) -> LandingReport:
        path = tmp_path / name
        if isinstance(content, pl.DataFrame):
            content.write_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return land_file(
            path, warehouse=warehouse, layout=layout or LandingLayout(), now=NOW, again=again
        )

    return write_and_land
