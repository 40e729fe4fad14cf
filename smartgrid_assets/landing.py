"""The job that lands files: from the landing folder into the warehouse."""

from collections import Counter

import dagster as dg
from pydantic import Field

from smartgrid_core.errors import LandingError
from smartgrid_core.protocols import LandingFolder

COUNTS = ("rows_read", "rows_new", "rows_changed", "rows_repeated", "rows_refused")
"""What a landing says about the rows of a file."""


class FilesToLand(dg.Config):
    """Which files of the landing folder a run takes."""

    names: list[str] = Field(default=[])
    """As the folder knows them; everything that has come to rest if empty."""


@dg.op(name="land_waiting_files", out=dg.Out(dg.Nothing))
def land(
    context: dg.OpExecutionContext,
    config: FilesToLand,
    landing: dg.ResourceParam[LandingFolder],
) -> None:
    """Land one file after the other; one that cannot be landed does not stop the others.

    Fails at the end, naming every file that could not be landed.
    """
    names = config.names or [arrival.name for arrival in landing.list_arrivals()]
    totals = dict.fromkeys(COUNTS, 0)
    files: Counter[str] = Counter()
    refused: list[str] = []
    for name in names:
        try:
            report = landing.land(name)
        except LandingError as error:
            context.log.error(str(error))
            refused.append(f"{name}: {error}")
            continue
        context.log.info(
            f"{name} {report['status']}: "
            + ", ".join(f"{key} {report[key]}" for key in (*COUNTS, "rows_removed"))
        )
        files[report["status"]] += 1
        if report["status"] == "refused":
            refused.append(f"{name}: {report['message']}")
        for key in COUNTS:
            totals[key] += report[key]
    context.add_output_metadata({**{f"files_{key}": n for key, n in files.items()}, **totals})
    if refused:
        raise dg.Failure(
            description=f"{len(refused)} of {len(names)} files could not be landed",
            metadata={"files": dg.MetadataValue.md("\n".join(f"- {text}" for text in refused))},
            allow_retries=False,
        )


@dg.job(
    name="land_files",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_runtime": "21600", "smartgrid/writes": "readings"},
    description="Bring files from the landing folder into the warehouse.",
)
def land_files() -> None:
    """One batch of files."""
    land()
