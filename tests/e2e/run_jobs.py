"""Run jobs of the graph, one after the other, as the settings in the environment have it.

`python run_jobs.py ORDERS ANSWER`: both are JSON files. An order names a `job` and may name the
`days` (first and last) and the `config` of its run. A process of its own, because the partitions
are cut by the settings when the graph is loaded.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg

from smartgrid_assets.definitions import build_definitions
from smartgrid_assets.quality import RANGE_END, RANGE_START


def run(graph: dg.Definitions, order: dict[str, Any], instance: dg.DagsterInstance) -> Any:
    """What a run came to: its seconds, the rows of its tables, the verdicts of its checks."""
    first, last = order.get("days") or (None, None)
    start = time.monotonic()
    result = graph.resolve_job_def(order["job"]).execute_in_process(
        instance=instance,
        tags={RANGE_START: first, RANGE_END: last} if first else {},
        run_config=order.get("config"),
        raise_on_error=True,
    )
    return {
        "job": order["job"],
        "days": order.get("days"),
        "seconds": round(time.monotonic() - start, 1),
        "step_seconds": {
            event.step_key: round(event.step_success_data.duration_ms / 1000, 1)
            for event in result.filter_events(lambda event: event.is_step_success)
        },
        "tables": sorted(
            {
                event.asset_key.to_user_string()
                for event in result.get_asset_materialization_events()
                if event.asset_key is not None
            }
        ),
        "checks": [
            {
                "table": verdict.asset_key.to_user_string(),
                "check": verdict.check_name,
                "severity": verdict.severity.value,
                "passed": verdict.passed,
                "said": verdict.description,
            }
            for verdict in result.get_asset_check_evaluations()
        ],
    }


def main(orders: Path, answer: Path) -> None:
    """Every order in turn; the first that fails ends the process with its traceback."""
    graph = build_definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [run(graph, order, instance) for order in json.loads(orders.read_text())]
    answer.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
