"""The clock as a resource, so that a test can hand in a still one."""

from datetime import UTC, datetime

import dagster as dg

from smartgrid_core.protocols import Clock


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present instant, UTC."""
        return datetime.now(UTC)


@dg.resource
def clock(_context: dg.InitResourceContext) -> Clock:
    """The machine's own clock."""
    return SystemClock()
