"""A repository of models without a folder, whose server follows at once."""

from collections.abc import Callable
from pathlib import Path

from smartgrid_core.rollout.labels import LOAD_FORECASTER as MODEL
from smartgrid_core.rollout.labels import ServingState


class Shelf:
    """Remembers what lies on it and what is served."""

    def __init__(self) -> None:
        self.versions: set[int] = set()
        self.now = ServingState(MODEL)

    def read_state(self, model: str) -> ServingState:
        return self.now

    def update_state(
        self, model: str, move: Callable[[ServingState], ServingState]
    ) -> ServingState:
        self.now = move(self.now)
        return self.now

    def publish(self, saved_model: Path, *, model: str, version: int) -> str:
        self.versions.add(version)
        return str(saved_model)

    def wait_until_live(self, model: str, version: int) -> None:
        assert version in self.versions & set(self.now.versions)

    def wait_until_labelled(self, model: str, label: str, version: int) -> None:
        assert self.now.labels[label] == version

    def withdraw(self, model: str, version: int) -> None:
        assert version not in self.now.versions
        self.versions.discard(version)

    def prune(self, model: str) -> list[int]:
        return []
