"""The settings as a Dagster resource, read anew in every run."""

from collections.abc import Callable

import dagster as dg

from smartgrid_core.settings import Settings


class SettingsResource(dg.ConfigurableResource[Settings]):
    """What the run needs to know about where things are."""

    read: dg.ResourceDependency[Callable[[], Settings]]
    """How they are read: the class itself reads the environment."""

    def create_resource(self, context: dg.InitResourceContext) -> Settings:
        """Return the settings as they are now."""
        return self.read()
