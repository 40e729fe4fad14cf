"""Great Expectations suites as a Dagster resource."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
import polars as pl

from smartgrid_core.protocols import QualitySuites
from smartgrid_core.quality import SuiteResult
from smartgrid_core.settings import Settings
from smartgrid_io.quality.run import list_waiting, run_suite


@dataclass(frozen=True, slots=True)
class DocumentedSuites:
    """Suites whose runs get a page under `docs_dir`, which is served at `docs_url`."""

    docs_dir: Path
    docs_url: str | None
    register_capacity_kwh: float

    def run(self, name: str, frame: pl.DataFrame, *, at: datetime) -> SuiteResult:
        """Judge rows of table `name`, which should reach up to `at`."""
        return run_suite(
            name,
            frame,
            docs_dir=self.docs_dir,
            docs_url=self.docs_url,
            at=at,
            register_capacity_kwh=self.register_capacity_kwh,
        )

    def count_waiting(self) -> int:
        """Return how many runs are still to get their page."""
        return len(list_waiting(self.docs_dir))

    def make_pages(self) -> tuple[list[str], list[str]]:
        """Make the pages that wait, by Great Expectations, which is imported only here."""
        from smartgrid_io.quality.pages import make_pages

        return make_pages(self.docs_dir)


class QualityResource(dg.ConfigurableResource[QualitySuites]):
    """Suites with their Data Docs in `<home>/data_docs`."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> QualitySuites:
        """Return the suites whose pages lie where the settings say."""
        return DocumentedSuites(
            docs_dir=self.settings.data_docs_place,
            docs_url=self.settings.data_docs_url,
            register_capacity_kwh=self.settings.register_capacity_kwh,
        )
