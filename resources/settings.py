"""The settings as a resource, read anew in every run."""

import dagster as dg

from smartgrid_core.settings import Settings


@dg.resource
def settings(_context: dg.InitResourceContext) -> Settings:
    """What the run needs to know about where things are."""
    return Settings()
