"""The lake as a Dagster resource."""

import dagster as dg

from smartgrid_core.protocols import Lake
from smartgrid_core.settings import Settings
from smartgrid_io.parquet_lake import ParquetLake


class LakeResource(dg.ConfigurableResource[Lake]):
    """History in the folder or bucket that SMARTGRID_LAKE_URL names, `<home>/lake` if unset."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> Lake:
        """Return the lake at the settings' place."""
        return ParquetLake(self.settings.lake_place)
