"""Has a version go live; run as a script: in a process that stops before a step until it is killed.

The script reads a line of JSON per publisher: `base`, `grpc`, `rest`, `model`, `version`,
`saved_models`, `state` (a file that stands for registry and journal) and `stop_at`. It says the
publisher's process number and, from there, where the publisher stands.
"""

import json
import os
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from smartgrid_assets.models.going_live import go_live
from smartgrid_core.contracts.serving import LabelMoves
from smartgrid_core.model_protocols import ModelVersion
from smartgrid_core.protocols import WriteResult
from smartgrid_io.serving import model_folder as folder_module
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.model_repository import ModelServerRepository
from smartgrid_ml.export.artifact.golden import write_golden

STEPS = (
    *("download", "rename", "offer", "wait_until_live", "predict", "label"),
    *("wait_until_labelled", "settle", "set_alias", "upsert", "prune"),
)
"""What happens one after the other; to stop at one is to be killed with all before it done."""

FEATURES = {"load_kw": [1.0, 2.0], "temperature_c": [0.0, 5.0]}


class Books:
    """Registry and journal in one file: aliases, and how many moves were noted."""

    def __init__(self, state: Path, saved_models: Path) -> None:
        self.state = state
        self.saved_models = saved_models

    def known(self) -> dict:
        return json.loads(self.state.read_text()) if self.state.exists() else {}

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """The SavedModel that multiplies by its version, with what it said offline."""
        factor = int(version.version)
        copy = folder / "model"
        shutil.copytree(self.saved_models / f"times_{factor}", copy)
        middle = [factor * kw + c for kw, c in zip(*FEATURES.values(), strict=True)]
        quantiles = pl.DataFrame(
            {"p10": [x - 1 for x in middle], "p50": middle, "p90": [x + 1 for x in middle]}
        )
        write_golden(copy, rows=pl.DataFrame(FEATURES).cast(pl.Float32), quantiles=quantiles)
        return copy

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.state.write_text(json.dumps({**self.known(), alias: version}))

    def read(self, schema: type) -> pl.DataFrame:
        frame = LabelMoves.create_empty()
        rows = [{**row, "moved_at": datetime.fromisoformat(row["moved_at"])} for row in self.rows()]
        return pl.DataFrame(rows, schema=frame.schema) if rows else frame

    def rows(self) -> list[dict]:
        return self.known().get("moves", [])

    def upsert(self, schema: type, rows: pl.DataFrame) -> WriteResult:
        new = [{**row, "moved_at": row["moved_at"].isoformat()} for row in rows.to_dicts()]
        self.state.write_text(json.dumps({**self.known(), "moves": [*self.rows(), *new]}))
        return WriteResult(rows.height, rows)


def stop_before(step: str, owner: object, name: str, stop_at: str | None) -> None:
    """Let the call of `owner.name` be where the process stays until it is killed."""
    if step != stop_at:
        return

    def stay(*_: object, **__: object) -> None:
        print(f"stands before {step}", flush=True)
        time.sleep(600)

    setattr(owner, name, stay)


def publish(
    *,
    base: str,
    grpc: str,
    rest: str,
    model: str,
    version: int,
    saved_models: str,
    state: str,
    stop_at: str | None = None,
) -> str:
    """Have the version go live; returns its label."""
    books = Books(Path(state), Path(saved_models))
    with ModelServerClient(grpc, rest, timeout=20) as client:
        repository = ModelServerRepository(base, client)
        stop_before("rename", folder_module.os, "rename", stop_at)
        for name in ("wait_until_live", "wait_until_labelled", "prune"):
            stop_before(name, repository, name, stop_at)
        for name in ("download", "set_alias", "upsert"):
            stop_before(name, books, name, stop_at)
        stop_before("predict", client, "predict", stop_at)
        change = repository.update_state

        def change_or_stay(name: str, move):
            called = move.__code__.co_names
            step = {"add_trial": "offer", "give_label": "label"}.get(called[0], "settle")
            stop_before(step, repository, "update_state", stop_at)
            return repository.update_state(name, move) if step == stop_at else change(name, move)

        repository.update_state = change_or_stay
        return go_live(
            ModelVersion(model, str(version), "run"),
            registry=books,
            repository=repository,
            server=client,
            journal=books,
            by="test",
            now=datetime.now(UTC),
        ).label


def main() -> None:
    """Fork a publisher per line of JSON, once everything is imported, and bury it."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            # Each line is read by the parent alone, and said by whoever it is about.
            publish(**json.loads(line))
            os._exit(1)
        print(child, flush=True)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
