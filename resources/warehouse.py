"""The warehouse as a Dagster resource."""

import dagster as dg

from smartgrid_core.errors import ConfigurationError
from smartgrid_core.protocols import Warehouse


@dg.resource(required_resource_keys={"settings"})
def warehouse(context: dg.InitResourceContext) -> Warehouse:
    """The operational store that SMARTGRID_DATABASE_URL names; its tables are made already."""
    from smartgrid_io.postgres.warehouse import PostgresWarehouse

    url = context.resources.settings.database_url
    if url is None:
        raise ConfigurationError(
            "SMARTGRID_DATABASE_URL is not set: `smartgrid up` sets it, or export "
            "postgresql://user:password@host:5432/smartgrid"
        )
    return PostgresWarehouse(url.get_secret_value())
