"""The warehouse as a Dagster resource."""

import dagster as dg

from smartgrid_core.errors import ConfigurationError
from smartgrid_core.protocols import Warehouse
from smartgrid_core.settings import Settings


class WarehouseResource(dg.ConfigurableResource[Warehouse]):
    """The operational store that SMARTGRID_DATABASE_URL names; its tables are made already."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> Warehouse:
        """Return the store. Raises ConfigurationError if its address is not set."""
        from smartgrid_io.postgres.warehouse import PostgresWarehouse

        url = self.settings.database_url
        if url is None:
            raise ConfigurationError(
                "SMARTGRID_DATABASE_URL is not set: `smartgrid up` sets it, or export "
                "postgresql://user:password@host:5432/smartgrid"
            )
        return PostgresWarehouse(url.get_secret_value())
