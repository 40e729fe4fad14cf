"""The warm image as a child: the first process that is started, since all others wait for it."""

import sys
from collections.abc import Mapping
from pathlib import Path

from smartgrid_cli.machine.child_process import CommandChild
from smartgrid_cli.machine.home import Home

CODE_MODULE = "smartgrid_assets.definitions"
WARM_MODULES = (
    "dagster._cli.api",
    "dagster._grpc.server",
    "dagster_webserver.app",
    "dagster_webserver.cli",
    "smartgrid_cli.dagster_host.daemon",
    "smartgrid_cli.dagster_host.fail_lost_runs",
    "smartgrid_cli.dagster_host.pooled_storage",
)
"""What the image imports, beside the code location's module."""


def find_image_socket(home: Home) -> Path:
    """Return where the image of a home listens."""
    return home.run / "warm.sock"


def make_image_child(home: Home, *, code_module: str, overrides: Mapping[str, str]) -> CommandChild:
    """Return the warm image of a home.

    Args:
        home: The home folder.
        code_module: Module of the definitions that Dagster loads.
        overrides: Further environment variables of all processes: the days of the partitions are
            fixed when the definitions are imported.
    """
    socket = find_image_socket(home)
    return CommandChild(
        "warm_image",
        [
            *(sys.executable, "-m", "smartgrid_cli.machine.warm_image", str(socket)),
            *(code_module, *WARM_MODULES),
        ],
        home=home,
        environment={
            "SMARTGRID_HOME": str(home.root),
            "DAGSTER_HOME": str(home.dagster),
            "PYTHONUNBUFFERED": "1",
            **overrides,
        },
        ready=socket.exists,
        before_start=lambda: socket.unlink(missing_ok=True),
    )
