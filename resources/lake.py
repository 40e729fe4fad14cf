"""The lake as a Dagster resource."""

import dagster as dg

from smartgrid_core.protocols import Lake
from smartgrid_io.parquet_lake import ParquetLake


@dg.resource(required_resource_keys={"settings"})
def lake(context: dg.InitResourceContext) -> Lake:
    """History in the folder or bucket that SMARTGRID_LAKE_URL names, `<home>/lake` if unset."""
    return ParquetLake(context.resources.settings.lake_place)
