"""The landing folder as a Dagster resource."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from smartgrid_core.protocols import Arrival, Clock, LandingFolder
from smartgrid_core.settings import Settings

if TYPE_CHECKING:
    from smartgrid_io.landing.layout import LandingLayout
    from smartgrid_io.postgres.warehouse import PostgresWarehouse


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """A folder on this machine whose files go into `warehouse`."""

    folder: Path
    warehouse: "PostgresWarehouse"
    layout: "LandingLayout"
    grace: timedelta
    clock: Clock

    def list_arrivals(self) -> Sequence[Arrival]:
        """Files that wait and no longer grow, the longest waiting first."""
        from smartgrid_io.landing.folder import find_candidates

        waiting = find_candidates(
            self.folder, warehouse=self.warehouse, now=self.clock.now(), grace=self.grace
        )
        return [
            Arrival(file.name, file.run_key, file.size_bytes)
            for file in sorted(waiting, key=lambda file: (file.changed_at, file.name))
        ]

    def land(self, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Bring files of the folder into the warehouse; yield each `LandingReport` as a mapping."""
        from smartgrid_io.landing.land import land_files
        from smartgrid_io.landing.report import LandingReport

        here = [name for name in names if Path(name).name == name]
        for name in set(names).difference(here):
            message = f"{name!r} is not a file of {self.folder}: give its bare name"
            yield asdict(LandingReport(name, "", "refused", message=message))
        reports = land_files(
            [self.folder / name for name in here],
            warehouse=self.warehouse,
            layout=self.layout,
            clock=self.clock,
        )
        yield from map(asdict, reports)


class LandingResource(dg.ConfigurableResource[LandingFolder]):
    """The folder that SMARTGRID_LANDING_DIR names, `<home>/landing` if unset."""

    settings: dg.ResourceDependency[Settings]
    warehouse: dg.ResourceDependency["PostgresWarehouse"]
    clock: dg.ResourceDependency[Clock]

    def create_resource(self, context: dg.InitResourceContext) -> LandingFolder:
        """Return the folder that the settings name, whose files go into the warehouse."""
        from smartgrid_io.landing.layout import LandingLayout

        return WatchedFolder(
            folder=self.settings.landing_place,
            warehouse=self.warehouse,
            layout=LandingLayout.from_settings(self.settings),
            grace=timedelta(seconds=self.settings.landing_grace_s),
            clock=self.clock,
        )
