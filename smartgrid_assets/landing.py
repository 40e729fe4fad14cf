"""The job that lands files: from the landing folder into the warehouse."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from pydantic import Field

from smartgrid_core.protocols import LandingFolder

COUNTS = ("rows_read", "rows_new", "rows_changed", "rows_repeated", "rows_refused")
"""What a landing says about the rows of a file."""

LOG_EVERY_S = 2.0
"""An entry of the run's log costs as much as a small file: one tells of all since the last."""


class FilesToLand(dg.Config):
    """Which files of the landing folder a run takes."""

    names: list[str] = Field(default=[])
    """As the folder knows them; everything that has come to rest if empty."""


@dataclass
class Tally:
    """What became of the files of a run so far, and what of it has not been logged yet."""

    files: Counter[str] = field(default_factory=Counter)
    """Files by status."""
    rows: Counter[str] = field(default_factory=Counter)
    """Rows by COUNTS."""
    refused: list[str] = field(default_factory=list)
    """One line per file that could not be landed."""
    fresh: list[str] = field(default_factory=list)
    """One sentence per file since the last `take_fresh`."""

    def add(self, report: Mapping[str, Any]) -> None:
        """Count one file."""
        self.files[report["status"]] += 1
        self.rows.update({key: report[key] for key in COUNTS})
        self.fresh.append(describe_landing(report))
        if report["status"] == "refused":
            self.refused.append(f"{report['source']}: {report['message']}")

    def take_fresh(self) -> str:
        """Return what became of the files since the last call, a line each."""
        text = "\n".join(self.fresh)
        self.fresh.clear()
        return text


def describe_landing(report: Mapping[str, Any]) -> str:
    """Return a sentence on what became of one file."""
    match report["status"]:
        case "already_landed":
            return (
                f"{report['source']}: its content was landed before as {report['landed_as']}, "
                "nothing to do; it may be removed"
            )
        case "refused" | "growing" as status:
            return f"{report['source']} {status}: {report['message']}"
        case status:
            counts = ", ".join(f"{key} {report[key]}" for key in (*COUNTS, "rows_removed"))
            return f"{report['source']} {status}: {counts}"


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
    tally = Tally()
    logged_at = time.monotonic()
    for number, report in enumerate(landing.land(names), start=1):
        tally.add(report)
        if number == len(names) or time.monotonic() - logged_at >= LOG_EVERY_S:
            context.log.info(f"{number} of {len(names)} files\n{tally.take_fresh()}")
            logged_at = time.monotonic()
    context.add_output_metadata(
        {
            **{f"files_{key}": n for key, n in tally.files.items()},
            **{key: tally.rows[key] for key in COUNTS},
        }
    )
    if tally.refused:
        lines = "\n".join(f"- {text}" for text in tally.refused)
        raise dg.Failure(
            description=f"{len(tally.refused)} of {len(names)} files could not be landed",
            metadata={"files": dg.MetadataValue.md(lines)},
            allow_retries=False,
        )


@dg.job(
    name="land_files",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_runtime": "21600", "smartgrid/writes": "landed_files"},
    description="Bring files from the landing folder into the warehouse.",
)
def land_files() -> None:
    """One batch of files."""
    land()
