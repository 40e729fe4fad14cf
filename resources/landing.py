"""The landing folder as a Dagster resource."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from smartgrid_core.errors import LandingError
from smartgrid_core.protocols import Arrival, Clock, LandingFolder

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
            Arrival(file.path.name, file.run_key)
            for file in sorted(waiting, key=lambda file: (file.changed_at, file.path))
        ]

    def land(self, name: str) -> Mapping[str, Any]:
        """Bring one file of the folder into the warehouse; a `LandingReport` as a mapping."""
        from smartgrid_io.landing.land import land_file

        if Path(name).name != name:
            raise LandingError(f"{name!r} is not a file of {self.folder}: give its bare name")
        report = land_file(
            self.folder / name, warehouse=self.warehouse, layout=self.layout, now=self.clock.now()
        )
        return asdict(report)


@dg.resource(required_resource_keys={"settings", "warehouse", "clock"})
def landing(context: dg.InitResourceContext) -> LandingFolder:
    """The folder that SMARTGRID_LANDING_DIR names, `<home>/landing` if unset."""
    from smartgrid_io.landing.layout import LandingLayout

    settings = context.resources.settings
    return WatchedFolder(
        folder=settings.landing_place,
        warehouse=context.resources.warehouse,
        layout=LandingLayout.from_settings(settings),
        grace=timedelta(seconds=settings.landing_grace_s),
        clock=context.resources.clock,
    )
