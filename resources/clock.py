"""The machine's clock, so that a test can hand in a still one."""

from datetime import UTC, datetime


class SystemClock:
    """The machine's own clock; a resource as it is, for it has nothing to configure."""

    def now(self) -> datetime:
        """Return the present instant, UTC."""
        return datetime.now(UTC)
